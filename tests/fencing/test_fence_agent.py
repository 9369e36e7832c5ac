"""Fence agents by their standard interface: metadata, parameters, exit codes, time, secrets."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from monitoring.fencing import fence_agent
from monitoring.fencing.api import Context, FenceError, Power, PropertyError
from monitoring.fencing.fence_agent import FenceAgent
from monitoring.fencing.metadata import is_secret, read_metadata
from tests.fencing.agents import METADATA, SWITCH, calls, write_agent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which agents are looked for."""
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    return tmp_path


def agent(timeout: float = 10.0, **values: object) -> FenceAgent:
    return FenceAgent("fence_test", values, Context(node="NODE1", timeout=timeout))


# What can be set


def test_parameters_come_from_the_metadata(folder: Path):
    write_agent(folder, SWITCH)
    props = {prop.name: prop for prop in FenceAgent.properties("fence_test")}
    assert set(props) == {"ip", "password", "plug", "mode", "ssl", "wait"}
    assert props["ip"].required and props["ip"].help == "Address of the device"
    assert props["password"].secret and not props["ip"].secret
    assert props["mode"].choices == ("soft", "hard") and props["mode"].default == "soft"
    assert (props["ssl"].kind, props["ssl"].default) == ("bool", True)
    assert (props["wait"].kind, props["wait"].default, props["wait"].unit) == ("int", 3, "s")


def test_only_what_differs_from_the_defaults_is_kept(folder: Path):
    write_agent(folder, SWITCH)
    given = {"ip": "10.0.0.1", "plug": "3", "mode": "soft", "ssl": "0", "wait": "3", "password": ""}
    assert FenceAgent.clean("fence_test", given, complete=True) == {
        "ip": "10.0.0.1",
        "plug": "3",
        "ssl": False,
    }


def test_the_plug_may_be_left_to_each_node(folder: Path):
    write_agent(folder, SWITCH)
    assert FenceAgent.clean("fence_test", {"ip": "10.0.0.1"}, complete=False) == {"ip": "10.0.0.1"}
    with pytest.raises(PropertyError, match="plug"):
        FenceAgent.clean("fence_test", {"ip": "10.0.0.1"}, complete=True)


@pytest.mark.parametrize(
    ("values", "field", "match"),
    [
        ({}, "ip", "required"),
        ({"ip": "x", "mode": "fast"}, "mode", "none of"),
        ({"ip": "x", "wait": "soon"}, "wait", "whole number"),
        ({"ip": "x\naction=on"}, "ip", "line breaks"),
        ({"ip": "x", "colour": "red"}, "colour", "no such property"),
        ({"ipaddr": "x"}, "ipaddr", "use ip"),
        ({"ip": "x", "action": "reboot"}, "action", "cluster service"),
        ({"ip": "x", "password_script": "/bin/sh"}, "password_script", "run another program"),
        ({"ip": "x", "missing_as_off": "1"}, "missing_as_off", "would count as off"),
    ],
)
def test_what_cannot_be_is_refused_by_name(folder: Path, values: dict, field: str, match: str):
    write_agent(folder, SWITCH)
    with pytest.raises(PropertyError, match=match) as caught:
        FenceAgent.clean("fence_test", values, complete=False)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml at all",
        "<other/>",
        '<!DOCTYPE x [<!ENTITY a "b">]><resource-agent name="x"><longdesc>&a;</longdesc></resource-agent>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><resource-agent/>',
        "<resource-agent>" + "x" * 600_000 + "</resource-agent>",
    ],
)
def test_metadata_that_is_none_is_refused(text: str):
    with pytest.raises(FenceError, match="metadata of fence_x"):
        read_metadata("fence_x", text)


def test_metadata_of_a_changed_program_is_asked_again(folder: Path):
    write_agent(folder, SWITCH)
    assert "wait" in {prop.name for prop in FenceAgent.properties("fence_test")}
    write_agent(folder, SWITCH, metadata=METADATA.replace('"wait"', '"patience"'))
    os.utime(folder / "fence_test", (1, 1))
    assert "patience" in {prop.name for prop in FenceAgent.properties("fence_test")}


def test_an_agent_that_does_not_tell_its_metadata_is_not_asked_at_every_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_agent(folder, SWITCH)
    path.write_text(f"#!/bin/sh\necho asked >> {folder}/asked\nexit 1\n")
    for _ in range(3):
        with pytest.raises(FenceError, match="does not tell its metadata"):
            FenceAgent.properties("fence_test")
    assert (folder / "asked").read_text() == "asked\n"
    monkeypatch.setattr(fence_agent, "REMEMBERED", 0.0)
    with pytest.raises(FenceError):
        FenceAgent.properties("fence_test")
    assert (folder / "asked").read_text() == "asked\nasked\n"


def test_the_check_of_an_off_has_the_time_that_is_left(folder: Path):
    write_agent(folder, 'time.sleep({"off": 0.7, "status": 30}[action])')
    began = time.monotonic()
    with pytest.raises(FenceError, match="status took longer"):
        agent(timeout=2.0, ip="x", plug="1").off()
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("name", ["../../bin/sh", "sh", "fence_", "fence_x/../../bin/sh", "fence_ test"])
def test_only_fence_agents_are_run(folder: Path, name: str):
    with pytest.raises(FenceError, match="no fence agent"):
        fence_agent.find(name)


# What it does


def test_off_on_status_and_monitor(folder: Path):
    write_agent(folder, SWITCH)
    one = agent(ip="10.0.0.1", plug="3", ssl=False)
    assert one.monitor() == "the device answers"
    assert one.status() is Power.ON
    assert "says that it is off" in one.off()
    assert one.status() is Power.OFF
    assert one.off()
    assert one.on()
    assert one.status() is Power.ON
    assert calls(folder)[0] == {"action": "monitor", "ip": "10.0.0.1", "plug": "3", "ssl": "0"}


def test_an_off_that_the_status_contradicts_is_a_failure(folder: Path):
    write_agent(folder, 'sys.exit({"off": 0, "status": 0}.get(action, 1))')
    with pytest.raises(FenceError, match="and that it is on"):
        agent(ip="x", plug="1").off()


def test_an_off_whose_status_cannot_be_had_is_a_failure(folder: Path):
    write_agent(folder, 'sys.exit({"off": 0, "status": 1}.get(action, 1))')
    with pytest.raises(FenceError, match="exit code 1"):
        agent(ip="x", plug="1").off()


def test_an_agent_without_status_is_taken_at_its_word(folder: Path):
    bare = METADATA.replace('<action name="status"/>', "")
    write_agent(folder, 'sys.exit(0 if action == "off" else 1)', metadata=bare)
    assert agent(ip="x", plug="1").off() == "fence_test says that it is off"


def test_a_failure_says_what_the_agent_said_and_never_a_secret(folder: Path):
    write_agent(folder, 'print("login with", given["password"], "failed", file=sys.stderr); sys.exit(3)')
    with pytest.raises(FenceError) as caught:
        agent(ip="x", plug="1", password="hunter2").off()
    text = str(caught.value)
    assert "cannot log in" in text and "login with" in text
    assert "hunter2" not in text


def test_an_agent_that_takes_too_long_is_ended_with_all_that_it_started(folder: Path):
    (folder / "sleeper").symlink_to("/bin/sleep")
    write_agent(
        folder,
        'subprocess.Popen([here + "/sleeper", "60"], start_new_session=True)\n'
        'open(here + "/pid", "w").write(str(os.getpid()))\n'
        "time.sleep(60)\n",
    )
    began = time.monotonic()
    with pytest.raises(FenceError, match="off took longer than 1 s"):
        agent(timeout=1.0, ip="x", plug="1").off()
    assert time.monotonic() - began < 8
    assert not _left(folder), "nothing of it is left"


def test_what_an_agent_leaves_behind_is_ended_too(folder: Path):
    (folder / "sleeper").symlink_to("/bin/sleep")
    write_agent(folder, 'subprocess.Popen([here + "/sleeper", "60"], start_new_session=True); sys.exit(0)')
    assert agent(ip="x", plug="1").monitor()
    assert not _left(folder)


def _left(folder: Path) -> list[int]:
    """Processes of programs in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_an_agent_does_not_see_the_environment_of_the_cluster_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@host/db")
    write_agent(folder, 'open(here + "/seen", "w").write(repr(sorted(os.environ)))')
    agent(ip="x", plug="1").monitor()
    seen = (folder / "seen").read_text()
    assert "PATH" in seen
    assert "DATABASE_URL" not in seen


# The agents of Debian


def test_every_installed_agent_tells_what_can_be_set():
    names = fence_agent.installed()
    if len(names) < 50:
        pytest.skip("Debian's fence-agents are not installed")
    for name in names:
        about = fence_agent.metadata(name)
        assert about.title, name
        assert {"off", "on", "monitor"} & about.actions, name
        offered = {prop.name for prop in about.properties}
        assert "action" not in offered and not offered & set(about.refused), name
        for prop in about.properties:
            assert prop.secret == is_secret(prop.name)
            if prop.default is not None and not prop.secret:
                assert prop.clean(prop.default) == prop.default, (name, prop)
    ipmi = {prop.name: prop for prop in FenceAgent.properties("fence_ipmilan")}
    assert ipmi["plug"].kind == "text" and ipmi["password"].secret and ipmi["ipport"].default == 623
    assert "ipmitool_path" in fence_agent.metadata("fence_ipmilan").refused
    snmp = {prop.name: prop for prop in FenceAgent.properties("fence_apc_snmp")}
    assert snmp["community"].secret and snmp["snmp_priv_passwd"].secret


def test_an_agent_of_debian_is_really_run(tmp_path: Path):
    if "fence_dummy" not in fence_agent.installed():
        pytest.skip("Debian's fence-agents are not installed")
    values = FenceAgent.clean("fence_dummy", {"status_file": str(tmp_path / "power")}, complete=True)
    dummy = FenceAgent("fence_dummy", values, Context(timeout=20))
    assert dummy.monitor() == "the device answers"
    assert dummy.on()
    assert dummy.status() is Power.ON
    assert "says that it is off" in dummy.off()
    assert dummy.off(), "off of what is off succeeds"
    assert dummy.status() is Power.OFF
    assert (tmp_path / "power").read_text() == "off"
