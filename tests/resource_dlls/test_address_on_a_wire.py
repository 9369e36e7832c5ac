"""Addresses on real interfaces: two machines on one wire, each a network namespace with a process in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.resource_dlls.api import ResourceError
from tests.resource_dlls.context import wait_until
from tests.resource_dlls.machines import DEVICE, Machine, Resource, wire

IPV4: dict[str, Any] = {"Address": "10.99.0.50", "SubnetMask": "255.255.255.0", "Network": DEVICE}
IPV6: dict[str, Any] = {"Address": "fd99::50", "SubnetMask": "64", "Network": DEVICE}
BOTH = pytest.mark.parametrize("values", [IPV4, IPV6], ids=["IPv4", "IPv6"])
OTHERS = "02:00:00:00:00:99"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    with wire(tmp_path_factory.mktemp("wire")) as (first, second):
        yield first, second


@pytest.fixture
def pair(machines: tuple[Machine, Machine]) -> Iterator[tuple[Machine, Machine]]:
    """The two machines, with no more than their own addresses."""
    own = [machine.addresses() for machine in machines]
    yield machines
    left = [
        sorted(set(machine.addresses()) - set(before)) for machine, before in zip(machines, own, strict=True)
    ]
    for machine, addresses in zip(machines, left, strict=True):
        for each in addresses:  # the next test shall fail for reasons of its own
            machine.ip("address", "del", each, "dev", DEVICE)
            machine.kill()
    assert left == [[], []]


def address(machine: Machine, values: dict[str, Any], **more: object) -> Resource:
    return machine.make("IP Address", **{**values, **more})


def with_prefix(values: dict[str, Any]) -> str:
    return f"{values['Address']}/{'24' if values is IPV4 else '64'}"


@BOTH
def test_an_address_is_added_to_its_interface_and_removed_again(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, there = pair
    resource = address(here, values)
    resource("online")
    assert with_prefix(values) in here.addresses()
    assert resource("looks_alive")
    assert resource("is_alive")
    assert there.ask("reaches", values["Address"])
    assert resource.facts()["Interface"] == f"{DEVICE}, link up"
    resource("offline")
    assert with_prefix(values) not in here.addresses()
    assert not resource("looks_alive")
    assert not resource("is_alive")


@BOTH
def test_an_address_in_use_on_the_network_is_refused_with_the_name_of_who_has_it(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, there = pair
    owner, second = address(there, values), address(here, values)
    owner("online")
    began = time.monotonic()
    with pytest.raises(ResourceError, match=f"is in use on {DEVICE} by {there.hardware()}") as refused:
        second("online")
    assert refused.value.code == 1049
    assert time.monotonic() - began < 2
    assert with_prefix(values) not in here.addresses()
    assert owner("is_alive"), "who asks for an address before it takes it disturbs nobody"
    owner("offline")


def test_what_the_kernel_finds_to_be_a_duplicate_is_refused(pair: tuple[Machine, Machine]) -> None:
    here, there = pair
    owner, second = address(there, IPV6), address(here, IPV6)
    owner("online")
    here.ask("ask_nobody_before")
    with pytest.raises(ResourceError, match=f"is in use on {DEVICE} by {there.hardware()}") as refused:
        second("online")
    assert refused.value.code == 1049
    here.kill()  # with what was changed in it
    second = here.make("IP Address", again=second.key, **IPV6)
    second("open")
    owner("offline")


@BOTH
def test_an_address_that_another_takes_later_has_failed(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, there = pair
    resource = address(here, values)
    resource("online")
    there.ip("address", "add", with_prefix(values), "dev", DEVICE, *([] if values is IPV4 else ["nodad"]))
    with pytest.raises(ResourceError, match=f"is also in use on {DEVICE} by {there.hardware()}") as found:
        resource("is_alive")
    assert found.value.code == 1049
    there.ip("address", "del", with_prefix(values), "dev", DEVICE)
    assert resource("is_alive")
    resource("terminate")


@BOTH
def test_the_machine_itself_is_not_taken_for_another(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    """It has a second interface on the same network, which answers for the address as Linux does."""
    here, there = pair
    there.ip("link", "add", "lan", "type", "bridge")
    here.ip("link", "add", "cw1", "type", "veth", "peer", "name", "to1", "netns", there.name)
    try:
        there.ip("link", "set", DEVICE, "master", "lan")
        for device in ("to1", "lan"):
            there.ip("link", "set", device, "up")
        there.ip("link", "set", "to1", "master", "lan")
        here.ip("link", "set", "cw1", "up")
        resource = address(here, values)
        resource("online")
        there.ip("address", "add", "10.99.0.77/24", "dev", "lan")
        assert resource("is_alive")
        resource("offline")
    finally:
        here.ip("link", "delete", "cw1")
        there.ip("link", "delete", "lan")


@BOTH
def test_an_address_that_is_removed_under_it_fails_at_once(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, _ = pair
    resource = address(here, values)
    resource("online")
    here.ip("address", "del", with_prefix(values), "dev", DEVICE)
    removed = time.monotonic()
    reason, failed = resource.wait_failed()
    assert failed - removed < 0.5
    assert f"is no longer on {DEVICE}" in reason
    assert not resource("looks_alive")
    with pytest.raises(ResourceError, match="is no longer on"):
        resource("is_alive")
    resource("terminate")


def test_a_loss_is_noticed_also_where_the_kernel_had_more_to_tell_than_it_could(
    pair: tuple[Machine, Machine],
) -> None:
    here, _ = pair
    here.ask("hear_little")
    resource = address(here, IPV4)
    resource("online")
    with here.stopped():
        for number in range(20):
            here.ip("address", "add", f"10.98.0.{number + 1}/16", "dev", DEVICE)
            here.ip("address", "del", f"10.98.0.{number + 1}/16", "dev", DEVICE)
        here.ip("address", "del", with_prefix(IPV4), "dev", DEVICE)
    reason, _when = resource.wait_failed()
    assert f"is no longer on {DEVICE}" in reason
    resource("terminate")


def test_a_link_that_goes_down_fails_all_addresses_on_it_at_once(pair: tuple[Machine, Machine]) -> None:
    here, there = pair
    resources = [address(here, {**IPV4, "Address": f"10.99.0.5{number}"}) for number in range(3)]
    for resource in resources:
        resource("online")
    there.ip("link", "set", DEVICE, "down")
    cut = time.monotonic()
    try:
        for resource in resources:
            reason, failed = resource.wait_failed()
            assert failed - cut < 0.5
            assert reason == f"the link of {DEVICE} is down"
        with pytest.raises(ResourceError, match=f"cannot be reached: the link of {DEVICE} is down"):
            resources[0]("is_alive")
        resources[1]("offline")
        with pytest.raises(ResourceError, match=f"cannot be used: the link of {DEVICE} is down"):
            resources[1]("online")
    finally:
        there.ip("link", "set", DEVICE, "up")
        there.ip("address", "replace", "fd99::2/64", "dev", DEVICE, "nodad")
    wait_until(lambda: resources[0]("looks_alive"))
    assert len(resources[0].failures) == 1
    for resource in resources:
        resource("terminate")


@BOTH
def test_the_neighbours_learn_where_the_address_is_now(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, there = pair
    there.ip("neigh", "replace", values["Address"], "lladdr", OTHERS, "dev", DEVICE, "nud", "stale")
    resource = address(here, values, AnnounceCount=3, AnnounceInterval=200)
    resource("online")
    wait_until(lambda: there.neighbour(values["Address"]) == here.hardware())
    assert resource.facts()["Announced"].endswith(" of 3 times")
    wait_until(lambda: resource.facts()["Announced"] == "3 times")
    resource("terminate")


def test_an_announcement_is_repeated_until_the_address_is_given_up(pair: tuple[Machine, Machine]) -> None:
    here, there = pair
    resource = address(here, IPV4, AnnounceCount=100, AnnounceInterval=100)
    resource("online")
    for _ in range(2):  # each time somebody has a wrong idea of where it is, that is put right
        there.ip("neigh", "replace", IPV4["Address"], "lladdr", OTHERS, "dev", DEVICE, "nud", "stale")
        wait_until(lambda: there.neighbour(IPV4["Address"]) == here.hardware())
    resource("terminate")
    there.ip("neigh", "replace", IPV4["Address"], "lladdr", OTHERS, "dev", DEVICE, "nud", "stale")
    time.sleep(0.4)
    assert there.neighbour(IPV4["Address"]) == OTHERS
    assert here.ask("threads") == 1, "nothing is left that watches"


def test_an_address_that_is_given_up_at_the_last_moment_is_neither_there_nor_watched(
    pair: tuple[Machine, Machine],
) -> None:
    here, _ = pair
    resource = address(here, IPV4)
    here.ask("terminate_late", resource.key)
    with pytest.raises(ResourceError, match="was given up while it came online"):
        resource("online")
    assert with_prefix(IPV4) not in here.addresses()
    assert here.ask("threads") == 1
    assert resource.failures == []


@BOTH
def test_an_address_of_a_dead_agent_is_taken_over_by_the_next_or_taken_back(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, _ = pair
    resource = address(here, values)
    resource("online")
    here.kill()
    resource = here.make("IP Address", again=resource.key, **values)
    assert resource("adopt")
    assert resource("is_alive")
    assert resource("looks_alive"), "it is watched again"
    here.kill()
    assert with_prefix(values) in here.addresses()
    here.make("IP Address", again=resource.key, **values)("open")
    assert with_prefix(values) not in here.addresses()


def test_an_address_that_went_while_there_was_no_agent_is_not_taken_over(
    pair: tuple[Machine, Machine],
) -> None:
    here, _ = pair
    resource = address(here, IPV4)
    resource("online")
    here.kill()
    here.ip("address", "del", with_prefix(IPV4), "dev", DEVICE)
    resource = here.make("IP Address", again=resource.key, **IPV4)
    with pytest.raises(ResourceError, match=r"10\.99\.0\.50"):
        resource("adopt")
    resource("terminate")


def test_the_machines_own_address_is_refused_and_stays(pair: tuple[Machine, Machine]) -> None:
    here, _ = pair
    resource = address(here, {**IPV4, "Address": here.address})
    with pytest.raises(ResourceError, match="configured on this machine already") as refused:
        resource("online")
    assert refused.value.code == 1049
    resource("terminate")
    assert f"{here.address}/24" in here.addresses()


@pytest.mark.parametrize("values", [{**IPV4, "Address": "10.98.0.50"}, {**IPV6, "Address": "fd98::50"}])
def test_an_address_outside_the_subnets_of_the_interface_takes_a_word(
    pair: tuple[Machine, Machine], values: dict[str, Any]
) -> None:
    here, _ = pair
    with pytest.raises(ResourceError, match=f"is in no subnet of {DEVICE}; set OverrideAddressMatch"):
        address(here, values)("online")
    resource = address(here, values, OverrideAddressMatch=True)
    resource("online")
    resource("offline")


def test_an_interface_that_is_not_there_is_named_beside_those_that_are(pair: tuple[Machine, Machine]) -> None:
    here, _ = pair
    with pytest.raises(ResourceError, match=f"no interface eth7 on this node; it has {DEVICE}, lo"):
        address(here, {**IPV4, "Network": "eth7"})("online")


def test_the_first_address_of_a_subnet_leaves_the_others_of_it_where_they_are(
    pair: tuple[Machine, Machine],
) -> None:
    here, _ = pair
    first, second = (
        address(here, {**IPV4, "Address": f"10.98.0.{number}"}, OverrideAddressMatch=True)
        for number in (50, 51)
    )
    first("online")
    second("online")
    first("offline")
    assert "10.98.0.51/24" in here.addresses()
    assert second("is_alive")
    second("offline")


def test_what_the_machine_itself_sends_does_not_come_from_an_address_that_moves(
    pair: tuple[Machine, Machine],
) -> None:
    here, _ = pair
    resource = address(here, {**IPV6, "Address": "fd99::a"})  # nearer to fd99::2 than the machine's own
    resource("online")
    assert "src fd99::1" in here.ip("-6", "route", "get", "fd99::b")
    resource("offline")
