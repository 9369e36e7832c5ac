"""OCF agents are run as the standard says: started, asked, stopped, ended by force; without Pacemaker."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL, ResourceError
from monitoring.resource_dlls.ocf import dll
from tests.resource_dlls.context import LocalContext, call, make, online, wait_until
from tests.resource_dlls.ocf_agents import use_real_root, use_root, write_agent

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the test's own agent: its faults and the calls that it saw."""
    write_agent(tmp_path / "ocf", "Checked")
    use_root(monkeypatch, tmp_path / "ocf", tmp_path / "cache")
    (tmp_path / "folder").mkdir()
    yield tmp_path / "folder"
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path / "resources" / "7", name="thing")


def checked(context: LocalContext, folder: Path, **properties) -> ResourceDLL:
    return make("ocf:test:Checked", context, folder=str(folder), **properties)


def calls(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "calls").read_text().splitlines()]


def test_it_is_asked_validated_started_and_stopped_in_this_order(context: LocalContext, folder: Path) -> None:
    resource = checked(context, folder, CheckLevel=10)
    call(resource.online)
    assert call(resource.looks_alive)
    assert call(resource.is_alive)
    call(resource.offline)
    lines = (folder / "calls").read_text().splitlines()
    assert lines == [
        "monitor level=0 interval=0",  # a probe
        "validate-all level=0 interval=0",
        "start level=0 interval=0",
        "monitor level=0 interval=10000",
        "monitor level=10 interval=60000",
        "stop level=0 interval=0",
    ]
    assert context.lines == []


def test_it_finds_the_environment_of_the_standard(context: LocalContext, folder: Path) -> None:
    context.name = "file server/1"
    with online(checked(context, folder, password="hush")):
        seen = dict(
            line.partition("=")[::2]
            for line in (folder / "environment").read_text().splitlines()
            if "=" in line
        )
    assert seen["OCF_ROOT"] == str(folder.parent / "ocf")
    assert (seen["OCF_RESOURCE_TYPE"], seen["OCF_RESOURCE_PROVIDER"]) == ("Checked", "test")
    assert seen["OCF_RESOURCE_INSTANCE"].startswith("file_server_1-")
    assert (seen["OCF_RA_VERSION_MAJOR"], seen["OCF_RESKEY_password"]) == ("1", "hush")
    assert seen["OCF_RESKEY_CRM_meta_timeout"] == "20000"
    assert Path(seen["HA_RSCTMP"]).parent.parent == context.state_dir.parent
    assert "OCF_RESKEY_CheckLevel" not in seen


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "it failed"),
        (2, "a parameter cannot be used"),
        (4, "permission is missing"),
        (5, "is not installed on this node"),
        (6, "not configured rightly"),
        (7, "it does not run"),
        (9, "promoted, and has failed"),
        (77, "ended with exit code 77, which the OCF standard does not know"),
    ],
)
def test_what_a_monitor_says_fails_it_in_words(
    context: LocalContext, folder: Path, code: int, words: str
) -> None:
    with online(checked(context, folder)) as resource:
        (folder / "monitor.code").write_text(str(code))
        assert not call(resource.looks_alive)
        with pytest.raises(ResourceError, match=words) as failed:
            call(resource.is_alive)
        assert "monitor was told to" in str(failed.value)


def test_a_secret_is_not_repeated_when_an_agent_prints_it(context: LocalContext, folder: Path) -> None:
    with online(checked(context, folder, password="hush-hush")) as resource:
        (folder / "monitor.code").write_text("1")
        with pytest.raises(ResourceError) as failed:
            call(resource.is_alive)
        assert "hush-hush" not in str(failed.value)
        assert "password •••" in str(failed.value)


def test_what_is_degraded_is_alive_and_said_once(context: LocalContext, folder: Path) -> None:
    with online(checked(context, folder)) as resource:
        (folder / "monitor.code").write_text("190")
        assert call(resource.is_alive)
        assert call(resource.is_alive)
        (folder / "monitor.code").unlink()
        assert call(resource.is_alive)
    assert [(level, "will fail soon" in text) for level, text, _ in context.lines] == [(2, True), (0, False)]


@pytest.mark.parametrize("action", ["validate-all", "start"])
def test_it_does_not_come_online_where_the_agent_says_no(
    context: LocalContext, folder: Path, action: str
) -> None:
    (folder / f"{action}.code").write_text("6")
    resource = checked(context, folder)
    with pytest.raises(ResourceError, match=f"{action}: it is not configured rightly"):
        call(resource.online)
    call(resource.terminate)
    assert calls(folder)[-1] == ("stop" if action == "start" else "validate-all")


def test_a_verdict_that_validate_all_does_not_have_to_give_stops_nothing(
    context: LocalContext, folder: Path
) -> None:
    (folder / "validate-all.code").write_text("3")
    with online(checked(context, folder)) as resource:
        assert call(resource.is_alive)


def test_what_runs_before_its_start_is_stopped_first(context: LocalContext, folder: Path) -> None:
    (folder / "running").touch()
    resource = checked(context, folder)
    assert calls(folder) == ["monitor", "stop"]
    assert not (folder / "running").exists()
    assert "It was there before its start" in context.lines[0][1]
    call(resource.close)


def test_a_node_without_the_software_says_so_and_stops_nothing(context: LocalContext, folder: Path) -> None:
    (folder / "monitor.code").write_text("5")
    resource = fresh(context, folder)
    with pytest.raises(ResourceError, match="cannot be used on NODE1.*is not installed on this node"):
        call(resource.open)
    call(resource.terminate)
    assert calls(folder) == ["monitor"]


def test_a_monitor_that_hangs_is_ended_with_all_that_it_started(context: LocalContext, folder: Path) -> None:
    with online(checked(context, folder, MonitorTimeout=1)) as resource:
        (folder / "monitor.hang").touch()
        began = time.monotonic()
        with pytest.raises(ResourceError, match="did not end within 1 s: monitor is waiting") as hung:
            call(resource.is_alive)
        assert 0.9 < time.monotonic() - began < 5
        assert hung.value.code == 1230
        (folder / "monitor.hang").unlink()
        wait_until(lambda: not _sleepers(folder))
        assert call(resource.is_alive)


def _sleepers(folder: Path) -> list[int]:
    """Processes that the test's agent has left."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and f"OCF_RESKEY_folder={folder}".encode() in (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_terminate_interrupts_a_start_that_hangs_and_stops_it(context: LocalContext, folder: Path) -> None:
    (folder / "start.hang").touch()
    resource = checked(context, folder)

    async def interrupted() -> None:
        starting = asyncio.ensure_future(resource.online())
        while "start" not in calls(folder):
            await asyncio.sleep(0.01)
        starting.cancel()
        await resource.terminate()

    asyncio.run(interrupted())
    assert calls(folder)[-1] == "stop"
    wait_until(lambda: not _sleepers(folder))


def test_what_cannot_be_stopped_is_never_said_to_be_down(context: LocalContext, folder: Path) -> None:
    resource = checked(context, folder)
    call(resource.online)
    (folder / "stop.code").write_text("1")
    with pytest.raises(ResourceError, match="stop: it failed"):
        call(resource.offline)
    with pytest.raises(ResourceError, match="stop: it failed"):
        call(resource.terminate)
    assert "its processes are ended by force" in context.lines[-1][1]
    (folder / "stop.code").unlink()
    call(resource.terminate)
    assert not (folder / "running").exists()


def test_a_stop_that_hangs_is_ended_and_tried_again_until_it_succeeds(
    context: LocalContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dll, "STOP_FIRST", 1.0)
    monkeypatch.setattr(dll, "STOP_AGAIN", 1.0)
    resource = checked(context, folder)
    call(resource.online)
    (folder / "stop.hang").touch()
    with pytest.raises(ResourceError, match="stop did not end within 1 s"):
        call(resource.terminate)
    wait_until(lambda: not _sleepers(folder))
    assert "stop is waiting for Godot; its processes are ended by force" in context.lines[-1][1]
    (folder / "stop.hang").unlink()
    call(resource.terminate)
    assert not (folder / "running").exists()


def test_what_a_dead_agent_left_is_stopped_without_an_instance(context: LocalContext, folder: Path) -> None:
    resource = checked(context, folder, password="hush")
    call(resource.online)
    record = context.state_dir / "ocf.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    (folder / "stop.code").write_text("1")
    with pytest.raises(ResourceError, match="stop: it failed"):
        type(resource).sweep(context.state_dir)
    assert record.exists()
    (folder / "stop.code").unlink()
    type(resource).sweep(context.state_dir)
    assert not (folder / "running").exists()
    assert not record.exists()
    type(resource).sweep(context.state_dir)
    assert calls(folder).count("stop") == 2


def fresh(context: LocalContext, folder: Path) -> ResourceDLL:
    """An instance that was not opened."""
    type_ = registry.get("ocf:test:Checked")
    return type_(context, type_.clean({"folder": str(folder)}))


def test_a_restarted_node_agent_goes_on_with_what_runs(context: LocalContext, folder: Path) -> None:
    call(checked(context, folder).online)
    before = calls(folder)
    again = fresh(context, folder)
    assert call(again.adopt) is True
    assert calls(folder)[len(before) :] == ["monitor"]
    call(again.offline)
    assert not (folder / "running").exists()
    assert call(fresh(context, folder).adopt) is False


def test_what_failed_meanwhile_is_not_taken_over(context: LocalContext, folder: Path) -> None:
    call(checked(context, folder).online)
    (folder / "running").unlink()
    with pytest.raises(ResourceError, match="it does not run"):
        call(fresh(context, folder).adopt)


def test_what_an_earlier_instance_started_is_stopped_by_the_next_one(
    context: LocalContext, folder: Path
) -> None:
    call(checked(context, folder).online)
    call(fresh(context, folder).terminate)
    assert not (folder / "running").exists()
    assert calls(folder)[-1] == "stop"


# Real agents of the package resource-agents


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalContext]:
    use_real_root(monkeypatch)
    yield LocalContext(tmp_path / "resources" / "8", name=f"real{os.getpid()}")
    monkeypatch.undo()
    registry.refresh()


def test_an_agent_in_python_runs_as_one_in_shell(real: LocalContext, tmp_path: Path) -> None:
    resource = make("ocf:heartbeat:dummypy", real, state=str(tmp_path / "state"), fake="x")
    with online(resource):
        assert call(resource.is_alive)
        call(resource.offline)
        assert not (tmp_path / "state").exists()


def test_dummy_runs_fails_and_comes_back(real: LocalContext) -> None:
    with online(make("ocf:heartbeat:Dummy", real)) as resource:
        assert call(resource.looks_alive)
        assert call(resource.is_alive)
        (state,) = real.state_dir.parent.glob("ocf/*/Dummy-*.state")
        state.unlink()
        with pytest.raises(ResourceError, match=r"monitor: it does not run \(exit code 7\)"):
            call(resource.is_alive)
        call(resource.terminate)
        call(resource.online)
        assert call(resource.is_alive)
        call(resource.offline)
        call(resource.offline)  # stop has to succeed where nothing runs
        assert not state.exists()


def test_anything_runs_a_process_that_belongs_to_the_resource(real: LocalContext, tmp_path: Path) -> None:
    pidfile = tmp_path / "anything.pid"
    resource = make(
        "ocf:heartbeat:anything", real, binfile="/bin/sleep", cmdline_options="61", pidfile=str(pidfile)
    )
    with online(resource):
        pid = int(pidfile.read_text())
        assert call(resource.is_alive)
        os.kill(pid, 9)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        with pytest.raises(ResourceError, match="exit code"):
            call(resource.is_alive)
        call(resource.terminate)
        call(resource.online)
        second = int(pidfile.read_text())
        call(resource.offline)
        wait_until(lambda: not Path(f"/proc/{second}").exists())


def test_a_program_that_is_not_there_is_named(real: LocalContext) -> None:
    type_ = registry.get("ocf:heartbeat:anything")
    resource = type_(real, type_.clean({"binfile": "/no/such/program"}))
    with pytest.raises(ResourceError, match=r"not installed on this node|/no/such/program"):
        call(resource.open)
        call(resource.online)
    call(resource.terminate)


IN_A_NAMESPACE = """
import json, subprocess, sys
from pathlib import Path
from monitoring.resource_dlls.api import ResourceError
from tests.resource_dlls.context import LocalContext, make, call

state, type_name, properties, script = sys.argv[1:]
context = LocalContext(Path(state), name="namespaced")
resource = None
for verb in script.split(";"):
    if verb.startswith("!"):
        done = subprocess.run(verb[1:], shell=True, capture_output=True, text=True)
        print(json.dumps([verb, done.stdout.strip()]))
        continue
    try:
        if verb == "make":
            resource = make(type_name, context, **json.loads(properties))
            continue
        print(json.dumps([verb, call(getattr(resource, verb))]))
    except ResourceError as error:
        print(json.dumps([verb, str(error)]))
"""


def in_namespaces(flags: list[str], state: Path, type_name: str, properties: dict, script: str) -> dict:
    """The answers of entry points, called in namespaces that end with the process that calls them."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make namespaces")
    if shutil.which("ip") is None:
        pytest.skip("needs the package iproute2 (make packages)")
    done = subprocess.run(
        ["unshare", *flags, sys.executable, "-c", IN_A_NAMESPACE]
        + [str(state), type_name, json.dumps(properties), script],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_ipaddr2_holds_an_address_on_an_interface(real: LocalContext) -> None:
    said = in_namespaces(
        ["--net"],
        real.state_dir,
        "ocf:heartbeat:IPaddr2",
        {"ip": "10.98.0.50", "cidr_netmask": "24", "nic": "cw0"},
        "!ip link add cw0 type veth peer name cw1 && ip link set cw1 up"
        " && ip address add 10.98.0.1/24 dev cw0 && ip link set cw0 up;make;online;"
        "looks_alive;!ip -brief address show dev cw0;!ip address del 10.98.0.50/24 dev cw0;is_alive;"
        "terminate;online;offline;!ip -brief -4 address show",
    )
    assert (said["online"], said["looks_alive"], said["offline"]) == (None, True, None)
    assert "10.98.0.50/24" in said["!ip -brief address show dev cw0"]
    assert "it does not run (exit code 7)" in said["is_alive"]
    assert "10.98.0.50" not in said["!ip -brief -4 address show"]
    assert "10.98.0.1" in said["!ip -brief -4 address show"]


def test_an_interface_that_is_not_there_is_named(real: LocalContext) -> None:
    said = in_namespaces(
        ["--net"],
        real.state_dir,
        "ocf:heartbeat:IPaddr2",
        {"ip": "10.98.0.50", "cidr_netmask": "24", "nic": "cw9"},
        "make;online;terminate",
    )
    assert "cw9" in (said.get("online") or said["make"])
    assert said.get("terminate") is None


def test_filesystem_mounts_and_unmounts_and_is_busy_no_longer(real: LocalContext, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    said = in_namespaces(
        ["--mount", "--propagation", "private"],
        real.state_dir,
        "ocf:heartbeat:Filesystem",
        {"device": "none", "directory": str(mount), "fstype": "tmpfs", "options": "size=1m"},
        f"make;online;is_alive;!grep -c {mount} /proc/mounts;!echo kept > {mount}/file && cat {mount}/file;"
        f"!umount {mount};looks_alive;terminate;online;!cd {mount} && (sleep 61 >/dev/null 2>&1 &);"
        f"offline;!grep {mount} /proc/mounts",
    )
    assert (said["online"], said["is_alive"], said["offline"]) == (None, True, None)
    assert said[f"!grep -c {mount} /proc/mounts"] == "1"
    assert said["looks_alive"] is False
    assert said[f"!grep {mount} /proc/mounts"] == ""
