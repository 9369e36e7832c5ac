"""A name in a hosts file, and one that a machine answers for on its network (multicast DNS)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import Provider, ResourceDLL, ResourceError
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, make, online, wait_until
from tests.resource_dlls.machines import DEVICE, ROOT, Machine, Resource, wire

HOSTS = "127.0.0.1\tlocalhost\n# a line of the operator's\n10.0.0.9 printer  # on the second floor"


# A hosts file


def in_file(path: Path, node: str = "NODE1", epoch: int = 1, name: str = "EVS1", **more: str) -> ResourceDLL:
    providers = [Provider("ip", "IP Address", {"Address": address}) for address in ("10.0.0.5", "fd00::5")]
    context = LocalContext(path.parent / node / name, node=node, epoch=epoch, providers=providers)
    return make("Network Name", context, **{"Name": name, "HostsFile": str(path), **more})


def test_a_hosts_file_gets_lines_with_the_name_and_keeps_its_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(HOSTS)
    path.chmod(0o640)
    with online(in_file(path)) as resource, online(in_file(path, name="EVS2")):
        assert path.read_text().startswith(HOSTS + "\n")
        assert "\n10.0.0.5\tEVS1\nfd00::5\tEVS1\n" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o640
        assert call(resource.is_alive)
        call(resource.offline)
        assert "\tEVS1" not in path.read_text()
        assert "\n10.0.0.5\tEVS2\n" in path.read_text()
    assert path.read_text().startswith(HOSTS + "\n")
    assert "10.0.0.5" not in path.read_text()


def test_the_full_name_stands_beside_the_short_one(tmp_path: Path) -> None:
    providers = [Provider("ip", "IP Address", {"Address": "10.0.0.5"})]
    values = {"Name": "EVS1", "HostsFile": str(tmp_path / "hosts"), "DnsZone": "example.org"}
    with online(make("Network Name", LocalContext(tmp_path / "state", providers=providers), **values)):
        assert "10.0.0.5\tEVS1 evs1.example.org\n" in (tmp_path / "hosts").read_text()


def test_lines_that_somebody_has_changed_or_removed_are_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    with online(in_file(path)) as resource:
        for text in (path.read_text().replace("10.0.0.5", "10.0.0.6"), HOSTS):
            path.write_text(text)
            assert not call(resource.looks_alive)
            with pytest.raises(ResourceError, match="hosts does not lead from EVS1 to 10.0.0.5, fd00::5"):
                call(resource.is_alive)
            call(resource.terminate)
            call(resource.online)
            assert call(resource.is_alive)


def test_a_file_that_nodes_share_is_not_written_by_an_old_owner(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    old, new = in_file(path, "NODE1", 1), in_file(path, "NODE2", 2)
    call(old.online)
    call(new.online)
    with pytest.raises(ResourceError, match="does not lead"):
        call(old.is_alive)
    call(old.terminate)
    assert "\tEVS1" in path.read_text()
    with pytest.raises(ResourceError, match=r"is registered for group GROUP on NODE2 \(epoch 2\)"):
        call(old.online)
    call(new.offline)
    with pytest.raises(ResourceError, match="was last registered"):
        call(old.online)


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(HOSTS)
    (tmp_path / "hosts").symlink_to("real")
    with online(in_file(tmp_path / "hosts")):
        assert (tmp_path / "hosts").is_symlink()
        assert "\tEVS1" in (tmp_path / "real").read_text()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="EVS1 cannot be registered: .*nowhere") as refused:
        call(in_file(tmp_path / "hosts", HostsFile=str(tmp_path / "nowhere" / "hosts")).online)
    assert refused.value.code == 1215


def test_a_new_agent_takes_over_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    call(in_file(path).online)
    providers = [Provider("ip", "IP Address", {"Address": address}) for address in ("10.0.0.5", "fd00::5")]
    dll = get("Network Name")
    values = dll.clean({"Name": "EVS1", "HostsFile": str(path)})
    resource = dll(LocalContext(tmp_path / "again", providers=providers), values)
    assert call(resource.adopt)
    call(resource.offline)
    assert "\tEVS1" not in path.read_text()


def test_several_ways_are_taken_together_and_without_any_it_says_which_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTERWEB_NAMES", raising=False)
    providers = [Provider("ip", "IP Address", {"Address": "10.0.0.5"})]
    context = LocalContext(tmp_path / "state", providers=providers)
    with pytest.raises(ResourceError, match="set DnsServers, MulticastDns, HostsFile or RegistryPath"):
        call(make("Network Name", context, Name="EVS1").online)
    both = {"HostsFile": str(tmp_path / "hosts"), "RegistryPath": str(tmp_path / "names")}
    with online(make("Network Name", context, Name="EVS1", **both)):
        assert "10.0.0.5\tEVS1" in (tmp_path / "hosts").read_text()
        assert "10.0.0.5\tEVS1" in (tmp_path / "names" / "hosts").read_text()


# Multicast DNS, on a wire between two machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    with wire(tmp_path_factory.mktemp("wire")) as (first, second):
        yield first, second


def name_of(machine: Machine, name: str, *addresses: str, again: str = "", epoch: int = 1) -> Resource:
    providers = [[each, "IP Address", {"Address": each}] for each in addresses or (machine.address,)]
    context = {"epoch": epoch, "providers": providers}
    values: dict[str, Any] = {"Name": name, "MulticastDns": True}
    return machine.make("Network Name", context, again, **values)


def test_a_name_is_answered_for_by_the_machine_of_its_group_wherever_that_is(
    machines: tuple[Machine, Machine],
) -> None:
    four, six = "10.99.0.60", "fd99::60"
    for epoch, (here, there) in enumerate((machines, machines[::-1]), start=1):
        addresses = [
            here.make("IP Address", Address=address, SubnetMask=prefix, Network=DEVICE)
            for address, prefix in ((four, "24"), (six, "64"))
        ]
        name = name_of(here, "EVS60", four, six, epoch=epoch)
        for resource in (*addresses, name):
            resource("online")
        assert name("looks_alive")
        assert name("is_alive")
        assert name.facts()["mDNS"] == "evs60.local"
        assert there.ask("resolve_local", "EVS60") == [four, six]
        for resource in (name, *addresses):
            resource("offline")
        assert not name("looks_alive")
        assert here.ask("threads") == 1
    assert there.ask("resolve_local", "EVS60") == []


def test_a_name_that_another_machine_answers_for_is_refused_and_one_that_it_takes_later_has_failed(
    machines: tuple[Machine, Machine],
) -> None:
    here, there = machines
    own, thief = name_of(here, "EVS62"), name_of(there, "EVS62")
    own("online")
    with pytest.raises(ResourceError, match=f"EVS62.local leads to {here.address}: another machine has"):
        thief("online")
    there.ask("answer_for", thief.key)
    with pytest.raises(ResourceError, match=f"leads to .*{there.address}.* on the local network"):
        own("is_alive")
    thief("terminate")
    own("terminate")


def test_who_remembers_a_name_is_told_that_it_is_gone(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    name = name_of(here, "EVS64")
    name("online")
    assert there.ask("remember_local", "EVS64") == [here.address]
    assert there.ask("remembers_local", "EVS64")
    name("terminate")
    wait_until(lambda: not there.ask("remembers_local", "EVS64"), 3)
    there.kill()


def test_a_new_agent_answers_again(machines: tuple[Machine, Machine]) -> None:
    here, there = machines
    name = name_of(here, "EVS63")
    name("online")
    here.kill()
    assert there.ask("resolve_local", "EVS63") == []
    again = name_of(here, "EVS63", again=name.key)
    assert again("adopt")
    assert there.ask("resolve_local", "EVS63") == [here.address]
    again("terminate")


def test_the_demo_loads_no_library_for_names(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.resource_dlls.context import *;"
        "providers = [Provider('a', 'IP Address', {'Address': '127.1.1.1'})];"
        f"c = LocalContext(Path('{tmp_path}/1'), providers=providers);"
        f"r = make('Network Name', c, Name='EVS1', RegistryPath='{tmp_path}/2');"
        "call(r.online); call(r.is_alive); call(r.terminate);"
        "print([m for m in sys.modules if m in ('dns', 'zeroconf')])"
    )
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
