"""An address is on one node at a time, and is taken back even from a dead agent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, free_address, make, online


def loopback(tmp_path: Path, address: str, node: str = "NODE1"):
    return make(
        "IP Address", LocalContext(tmp_path / node, node=node), Address=address, SubnetMask="255.0.0.0"
    )


def test_two_nodes_never_hold_an_address_at_once(tmp_path: Path) -> None:
    address = free_address()
    first, second = loopback(tmp_path, address), loopback(tmp_path, address, "NODE2")
    with online(first):
        assert call(first.looks_alive)
        with pytest.raises(ResourceError, match="in use on this machine") as refused:
            call(second.online)
        assert refused.value.code == 1049
        call(first.offline)
        assert not call(first.is_alive)
        with online(second):
            assert call(second.is_alive)


def test_an_address_that_is_given_up_while_it_comes_online_is_held_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = free_address()
    interrupted = loopback(tmp_path, address)
    take_claim = interrupted._take_claim

    def take_claim_late():
        interrupted.terminate()
        return take_claim()

    monkeypatch.setattr(interrupted, "_take_claim", take_claim_late)
    with pytest.raises(ResourceError, match="given up while it came online"):
        call(interrupted.online)
    with online(loopback(tmp_path, address, "NODE2")) as other:
        assert call(other.is_alive)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("Address", {"Address": "300.1.1.1", "SubnetMask": "255.0.0.0"}),
        ("Address", {"Address": "::1", "SubnetMask": "255.0.0.0"}),
        ("Address", {"Address": "224.0.0.1", "SubnetMask": "255.0.0.0", "Network": "eth0"}),
        ("Address", {"Address": "10.0.0.255", "SubnetMask": "255.255.255.0", "Network": "eth0"}),
        ("SubnetMask", {"Address": "127.1.1.1", "SubnetMask": "255.255.255.255"}),
        ("SubnetMask", {"Address": "127.1.1.1"}),
        ("Network", {"Address": "10.0.0.5", "SubnetMask": "255.255.255.0"}),
    ],
)
def test_what_cannot_be_an_address_is_refused(field: str, values: dict[str, str]) -> None:
    with pytest.raises(PropertyError) as refused:
        get("IP Address").clean(values)
    assert refused.value.field == field


# The rest runs inside network namespaces of its own: two machines on one wire.

ON_THE_WIRE = """
import json, sys
from pathlib import Path
from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, make, call

state, interface, address, verbs = sys.argv[1:]
resource = None
for verb in verbs.split(","):
    if verb == "make":
        resource = make("IP Address", LocalContext(Path(state)), Address=address,
                        SubnetMask="255.255.255.0", Network=interface)
        continue
    if verb == "find":  # an instance of a new agent, of what an earlier one has left
        dll = get("IP Address")
        values = dict(Address=address, SubnetMask="255.255.255.0", Network=interface)
        resource = dll(LocalContext(Path(state)), dll.clean(values))
        continue
    try:
        print(json.dumps([verb, call(getattr(resource, verb)), 0]))
    except ResourceError as error:
        print(json.dumps([verb, str(error), error.code]))
"""


class Wire:
    """Two network namespaces, joined by a pair of virtual interfaces."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.names = [f"cw{os.getpid()}{side}" for side in "ab"]
        for name in self.names:
            self.ip("netns", "add", name)
        first, second = self.names
        self.ip("-n", first, "link", "add", "cw0", "type", "veth", "peer", "name", "cw0", "netns", second)
        for host, name in enumerate(self.names, start=1):
            self.ip("-n", name, "address", "add", f"10.99.0.{host}/24", "dev", "cw0")
            self.ip("-n", name, "link", "set", "cw0", "up")
            self.ip("-n", name, "link", "set", "lo", "up")

    def ip(self, *arguments: str) -> str:
        return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout

    def run(self, side: int, verbs: str, address: str = "10.99.0.50") -> list[list[object]]:
        """Run entry points in one namespace, in a process that then dies without cleaning up."""
        arguments = [str(self.state / str(side)), "cw0", address, verbs]
        done = subprocess.run(
            ["ip", "netns", "exec", self.names[side], sys.executable, "-c", ON_THE_WIRE, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def addresses(self, side: int) -> str:
        return self.ip("-n", self.names[side], "-4", "-brief", "address", "show", "dev", "cw0")


@pytest.fixture
def wire(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to make network namespaces")
    if shutil.which("ip") is None:
        subprocess.run(["apt-get", "install", "-y", "-q", "iproute2"], check=True, capture_output=True)
    wire = Wire(tmp_path)
    yield wire
    for name in wire.names:
        wire.ip("netns", "delete", name)


def test_an_address_is_added_to_its_interface_and_removed_again(wire: Wire) -> None:
    results = wire.run(0, "make,online,is_alive,offline,is_alive")
    assert results == [
        ["online", None, 0],
        ["is_alive", True, 0],
        ["offline", None, 0],
        ["is_alive", False, 0],
    ]
    assert "10.99.0.50" not in wire.addresses(0)


def test_an_address_in_use_on_the_network_is_refused(wire: Wire) -> None:
    wire.run(1, "make,online")
    assert "10.99.0.50/24" in wire.addresses(1)
    ((_, text, code),) = wire.run(0, "make,online")
    assert code == 1049
    assert "in use on cw0 by" in str(text)
    assert "10.99.0.50" not in wire.addresses(0)


def test_an_address_of_a_dead_agent_is_taken_back(wire: Wire) -> None:
    wire.run(0, "make,online")
    assert "10.99.0.50" in wire.addresses(0)
    wire.run(0, "make")
    assert "10.99.0.50" not in wire.addresses(0)


def test_the_machines_own_address_is_refused_and_stays(wire: Wire) -> None:
    ((_, text, code),) = wire.run(0, "make,online,terminate", address="10.99.0.1")[:1]
    assert (code, "configured on this machine already" in str(text)) == (1049, True)
    assert "10.99.0.1/24" in wire.addresses(0)


def test_an_address_outside_the_subnets_of_the_interface_is_refused(wire: Wire) -> None:
    ((_, text, _code),) = wire.run(0, "make,online", address="10.98.0.50")
    assert "is in no subnet of cw0" in str(text)


def test_a_new_agent_takes_over_the_address_that_is_still_there(wire: Wire) -> None:
    wire.run(0, "make,online")
    assert wire.run(0, "find,adopt,is_alive") == [["adopt", True, 0], ["is_alive", True, 0]]
    assert "10.99.0.50" in wire.addresses(0)
    wire.run(0, "find,adopt,terminate")
    assert "10.99.0.50" not in wire.addresses(0)
    ((_, text, _code),) = wire.run(0, "find,adopt")
    assert "10.99.0.50" in str(text), "it is not there any more, so its claim cannot be taken"
