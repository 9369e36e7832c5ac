"""OCF agents become resource types by what they say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import PropertyError
from monitoring.resource_dlls.ocf import catalogue
from tests.resource_dlls.ocf_agents import REAL_ROOT, actions, parameter, use_real_root, use_root, write_agent

DEEP = (
    '<action name="monitor" depth="0" timeout="15s" interval="12s"/>'
    '<action name="monitor" depth="10" timeout="45s" interval="2min"/>'
    '<action name="monitor" depth="20" timeout="90s" role="Promoted"/>'
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty OCF root that the registry looks at."""
    use_root(monkeypatch, tmp_path / "ocf", tmp_path / "cache")
    yield tmp_path / "ocf"
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The agents of the package resource-agents."""
    use_real_root(monkeypatch)
    yield
    monkeypatch.undo()
    registry.refresh()


def test_parameters_become_properties_with_their_rules(root: Path) -> None:
    given = (
        parameter("ip", attributes='required="1" unique="1"')
        + parameter("port", "integer", default="5432")
        + parameter("strict", "boolean", default="yes")
        + parameter("state", default="${HA_RSCTMP}/x-${OCF_RESOURCE_INSTANCE}")
        + parameter("admin_password", default="guest")
        + parameter("nic", attributes='required="1"', default="eth0")
        + parameter("bad name")
    )
    path = write_agent(root, "Thing", parameters=given)
    path.write_text(path.read_text().replace("<<'END'", "<<END"))  # its defaults are the shell's
    dll = registry.get("ocf:test:Thing")

    by_name = {prop.name: prop for prop in dll.properties}
    assert next(iter(by_name)) == "ip"
    assert (by_name["ip"].required, by_name["ip"].unique, by_name["ip"].help) == (
        True,
        "cluster",
        "The ip of it.",
    )
    assert (by_name["port"].kind, by_name["port"].default, by_name["port"].placeholder) == (
        "int",
        None,
        "5432",
    )
    assert (by_name["strict"].kind, by_name["strict"].default) == ("bool", True)
    assert by_name["state"].placeholder == ""
    assert (by_name["admin_password"].secret, by_name["admin_password"].placeholder) == (True, "")
    assert by_name["nic"].required is False
    assert "bad name" not in by_name
    with pytest.raises(PropertyError, match="ip: a value is required"):
        dll.clean({})
    with pytest.raises(PropertyError, match="port: 'many' is not a whole number"):
        dll.clean({"ip": "x", "port": "many"})
    assert dll.clean({"ip": "x", "port": "-1"})["port"] == -1


def test_actions_give_intervals_and_time_outs(root: Path) -> None:
    write_agent(
        root,
        "Deep",
        offered=actions(frozenset({"stop", "meta-data"}), DEEP).replace("20s", "600s")
        + '<action name="start" timeout="90"/>',
    )
    dll = registry.get("ocf:test:Deep")
    assert (dll.looks_alive_ms, dll.is_alive_ms) == (12_000, 120_000)
    assert (dll.pending_timeout_ms, dll.deadlock_timeout_ms) == (600_000, 600_000)
    defaults = dll.clean({"folder": "/x"})
    assert (defaults["CheckLevel"], defaults["MonitorTimeout"]) == (0, 45)
    assert "the agent names 0, 10" in {prop.name: prop.help for prop in dll.properties}["CheckLevel"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ("nothing at all", "it printed no <resource-agent>"),
        ("<resource-agent><oops></resource-agent>", "cannot be read"),
        ("<resource-agent><actions/></resource-agent>", "names no action start"),
        ("<resource-agent>" + "x" * 600_000 + "</resource-agent>", "too long"),
        (
            '<!DOCTYPE r [<!ENTITY a "b">]><resource-agent><shortdesc>&a;</shortdesc></resource-agent>',
            "cannot be read",
        ),
    ],
)
def test_an_agent_that_cannot_be_used_is_named_with_the_reason_and_costs_no_other(
    root: Path, metadata: str, reason: str
) -> None:
    write_agent(root, "Bad", metadata=metadata)
    write_agent(root, "Good")
    assert "ocf:test:Good" in registry.all_types()
    (broken,) = registry.broken()
    assert broken.name == "ocf:test:Bad"
    assert reason in broken.reason


def test_an_agent_is_asked_once_for_each_version_of_it(root: Path) -> None:
    path = write_agent(root, "Counted")
    path.write_text(path.read_text().replace("#!/bin/sh", f"#!/bin/sh\necho x >> {root}/asked"))
    asked = root / "asked"
    for _ in range(3):
        registry.refresh()
        assert "ocf:test:Counted" in registry.all_types()
    assert asked.read_text() == "x\n"
    path.write_text(path.read_text() + "# a new version\n")
    registry.refresh()
    assert "ocf:test:Counted" in registry.all_types()
    assert asked.read_text() == "x\nx\n"
    path.unlink()
    registry.refresh()
    assert "ocf:test:Counted" not in registry.all_types()


def test_an_agent_sees_none_of_the_clusters_secrets_when_it_is_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTERWEB_NODE_KEY", "very-secret")
    path = write_agent(root, "Curious")
    path.write_text(path.read_text().replace("#!/bin/sh", f"#!/bin/sh\nenv > {root}/seen"))
    assert "ocf:test:Curious" in registry.all_types()
    assert "very-secret" not in (root / "seen").read_text()


def test_types_of_another_machine_come_from_its_catalogue(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_agent(root, "Remote")
    written = subprocess.run(
        [sys.executable, "-m", "monitoring.resource_dlls.ocf"],
        env=os.environ.copy(),
        capture_output=True,
        check=True,
    )
    (tmp_path / "catalogue.json").write_bytes(written.stdout)
    use_root(monkeypatch, tmp_path / "nothing", tmp_path / "other-cache")
    assert "ocf:test:Remote" not in registry.all_types()
    monkeypatch.setenv("CLUSTERWEB_OCF_CATALOGUE", str(tmp_path / "catalogue.json"))
    registry.refresh()
    assert registry.get("ocf:test:Remote").clean({"folder": "/x"})["folder"] == "/x"


def test_a_root_that_cannot_be_read_costs_no_other_type(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_agent(root, "Thing")
    monkeypatch.setattr(catalogue, "_programs", lambda: (root / "nothing-here").iterdir())
    registry.refresh()
    assert "IP Address" in registry.all_types()
    (broken,) = registry.broken()
    assert (broken.name, "nothing-here" in broken.reason) == ("ocf", True)


def test_without_a_root_there_are_no_such_types(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_agent(root, "Thing")
    monkeypatch.setenv("CLUSTERWEB_OCF_ROOT", "")
    registry.refresh()
    assert not [name for name in registry.all_types() if name.startswith("ocf:")]


def test_pacemakers_tools_are_found_where_they_are_called_and_not_where_they_are_described(
    root: Path,
) -> None:
    write_agent(root, "Calls", body='"${HA_SBIN_DIR}/crm_attribute" -N x # not cibadmin\n')
    write_agent(
        root,
        "Describes",
        parameters=parameter("attrd_updater"),
        body="# crm_mon would do it\nmy_crm_resource=1\n",
    )
    (root / "lib" / "test").mkdir(parents=True)
    (root / "lib" / "test" / "common.sh").write_text("score() { crm_master -v 1; }\n")
    write_agent(root, "Includes", body=". ${OCF_FUNCTIONS_DIR}/common.sh\n")
    assert "Calls Pacemaker's crm_attribute: may not" in registry.get("ocf:test:Calls").notice
    assert registry.get("ocf:test:Describes").notice == ""
    assert "crm_master" in registry.get("ocf:test:Includes").notice


def test_an_agent_that_works_only_when_promoted_says_that_it_cannot_be_used(root: Path) -> None:
    promotable = actions() + '<action name="promote"/><action name="demote"/>'
    write_agent(root, "Master", offered=promotable)
    write_agent(root, "Either", offered=promotable, body="ocf_is_ms && promote_it\n")
    assert "only where a cluster manager promotes it" in registry.get("ocf:test:Master").unusable
    assert registry.get("ocf:test:Either").unusable == ""
    assert "Runs on one node" in registry.get("ocf:test:Either").notice


def test_every_agent_of_the_package_is_a_type(real: None) -> None:
    programs = [path for path in (REAL_ROOT / "resource.d" / "heartbeat").glob("[!.]*") if path.is_file()]
    types = {name: dll for name, dll in registry.all_types().items() if name.startswith("ocf:heartbeat:")}
    assert registry.broken() == ()
    assert len(types) == len(programs) > 100
    for dll in types.values():
        required = {prop.name: "1" for prop in dll.properties if prop.required}
        assert set(dll.clean(required)) == {prop.name for prop in dll.properties}
        assert all(len(prop.help) <= 200 for prop in dll.properties)
        assert dll.description


def test_what_is_said_of_the_packages_agents_is_true_of_some_that_are_known(real: None) -> None:
    address, dummy = registry.get("ocf:heartbeat:IPaddr2"), registry.get("ocf:heartbeat:Dummy")
    ip = address.properties[0]
    assert (ip.name, ip.required, ip.unique) == ("ip", True, "cluster")
    assert (dummy.looks_alive_ms, dummy.pending_timeout_ms, dummy.notice) == (10_000, 20_000, "")
    assert "crm_resource" in registry.get("ocf:heartbeat:VirtualDomain").notice
    assert (
        "crm_mon only where it replicates: as one server it works"
        in registry.get("ocf:heartbeat:redis").notice
    )
    assert registry.get("ocf:heartbeat:galera").unusable
    assert not registry.get("ocf:heartbeat:pgsql").unusable
    assert catalogue.root() == REAL_ROOT
