"""Leases as they are granted, nodes that are isolated, and nodes that keep dropping out."""

from __future__ import annotations

import pytest

from monitoring.core.messages import Heartbeat, HeartbeatAck, seal
from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.models import Cluster, Event, FailoverRecord, Group, Node
from monitoring.service import clock, inbox, intents, membership
from tests.service.conftest import Make


class Time:
    """Both clocks of the cluster service, moved by the test."""

    def __init__(self) -> None:
        self.mono = 1000.0
        self.wall = 1_700_000_000.0

    def run(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch, nodes: list[Node]) -> Time:
    moved = Time()
    monkeypatch.setattr(clock, "monotonic", lambda: moved.mono)
    monkeypatch.setattr(clock, "now", lambda: moved.wall)
    monkeypatch.setattr(membership, "_observer", None)
    membership.observe()
    return moved


def beat(node: Node, number: int, incarnation: int | None = None) -> HeartbeatAck:
    life = node.incarnation if incarnation is None else incarnation
    answer = inbox.receive(seal(node.name, Heartbeat(life, number, 0), node.key))
    assert isinstance(answer, HeartbeatAck)
    return answer


def look() -> None:
    assert membership._observer is not None
    membership.look(membership._observer)


def pass_by(time: Time, seconds: float, *talking: Node) -> None:
    """Time goes by; the nodes that talk send two heartbeats a second, and the service looks as often."""
    for _ in range(round(seconds * 2)):
        time.run(0.5)
        for node in talking:
            beat(node, int(time.mono * 2))
        look()


def state(node: Node) -> NodeState:
    node.refresh_from_db()
    return NodeState(node.state)


def said(part: str) -> bool:
    return Event.objects.filter(text__contains=part).exists()


def test_a_wall_clock_that_jumps_by_hours_ends_no_lease(time: Time, nodes: list[Node]) -> None:
    one, two = nodes
    pass_by(time, 5, one, two)
    for jump in (7 * 3600, -9 * 3600):
        time.wall += jump
        pass_by(time, 2.5, two)
        assert state(one) is NodeState.UP
        pass_by(time, 1, one, two)
    pass_by(time, 4, two)
    assert state(one) is NodeState.DOWN


def test_a_lease_made_shorter_counts_once_the_longer_one_is_over_whatever_the_wall_clock_says(
    time: Time, nodes: list[Node]
) -> None:
    one, two = nodes
    Cluster.objects.update(lease_ms=30_000)
    pass_by(time, 2, one, two)
    assert beat(one, int(time.mono * 2) + 1).lease_ms == 30_000
    Cluster.objects.update(lease_ms=1000)
    time.wall += 24 * 3600
    pass_by(time, 29, two)  # the shorter lease never reached NODE1
    assert state(one) is NodeState.UP
    pass_by(time, 3, two)
    assert state(one) is NodeState.DOWN


def test_a_cluster_service_that_starts_anew_waits_for_the_longest_lease_that_was_granted(
    time: Time, nodes: list[Node]
) -> None:
    one, two = nodes
    Cluster.objects.update(lease_ms=60_000)
    pass_by(time, 2, one, two)
    Cluster.objects.update(lease_ms=1000)
    membership.observe()
    pass_by(time, 59, two)
    assert state(one) is NodeState.UP
    pass_by(time, 3, two)
    assert state(one) is NodeState.DOWN


def test_an_isolated_node_keeps_its_groups_as_long_as_its_lease_says(
    time: Time, nodes: list[Node], make: Make
) -> None:
    one, two = nodes
    group = make("G")
    Node.objects.filter(pk=one.pk).update(resiliency_period_s=20)
    one.refresh_from_db()
    pass_by(time, 2, one, two)
    assert beat(one, int(time.mono * 2) + 1).lease_ms == 23_000
    pass_by(time, 10, two)
    assert state(one) is NodeState.UP
    assert one.isolated
    assert said("NODE1 is isolated")
    with pytest.raises(Refused, match="NODE1 is isolated"):
        intents.submit("move", by="alice", group=Group.objects.create(name="H", owner=two).pk, node=one.pk)
    pass_by(time, 1, one, two)
    assert not Node.objects.get(pk=one.pk).isolated
    assert said("NODE1 is no longer isolated")
    pass_by(time, 24, two)
    assert state(one) is NodeState.DOWN
    group.refresh_from_db()
    assert group.owner == two


def drop_out(time: Time, node: Node, other: Node) -> None:
    """The node is lost, then joins with a new life."""
    pass_by(time, 4, other)
    assert state(node) is NodeState.DOWN
    beat(node, 1, incarnation=node.incarnation + 1)
    node.refresh_from_db()
    pass_by(time, 1, node, other)


def test_a_node_that_drops_out_three_times_within_an_hour_takes_no_groups_for_a_while(
    time: Time, nodes: list[Node], make: Make
) -> None:
    one, two = nodes
    pass_by(time, 2, one, two)
    drop_out(time, one, two)
    drop_out(time, one, two)
    assert state(one) is NodeState.UP
    drop_out(time, one, two)
    assert state(one) is NodeState.PAUSED
    assert said("NODE1 is quarantined until")
    group = make("G")
    Group.objects.filter(pk=group.pk).update(owner=two)
    with pytest.raises(Refused, match="NODE1 is quarantined"):
        intents.submit("move", by="alice", group=group.pk, node=one.pk)
    with pytest.raises(Refused, match="clear its quarantine"):
        intents.submit("resume", by="alice", node=one.pk)
    time.run(7200)
    beat(one, int(time.mono * 2))
    beat(two, int(time.mono * 2))
    pass_by(time, 1, one, two)
    assert state(one) is NodeState.UP
    assert said("no longer quarantined: its time is over")


def test_an_operator_clears_a_quarantine_and_a_paused_node_stays_paused(
    time: Time, nodes: list[Node]
) -> None:
    one, two = nodes
    pass_by(time, 2, one, two)
    intents.submit("pause", by="alice", node=one.pk)
    for _ in range(3):
        drop_out(time, one, two)
    assert intents.submit("clear-quarantine", by="bob", node=one.pk).operation.state == "done"
    assert state(one) is NodeState.PAUSED
    intents.submit("resume", by="alice", node=one.pk)
    assert state(one) is NodeState.UP
    with pytest.raises(Refused, match="not quarantined"):
        intents.submit("clear-quarantine", by="bob", node=one.pk)


def test_the_last_node_is_not_quarantined(time: Time, nodes: list[Node]) -> None:
    one, two = nodes
    pass_by(time, 2, one, two)
    intents.submit("pause", by="alice", node=two.pk)
    for _ in range(4):
        drop_out(time, one, two)
    assert state(one) is NodeState.UP
    assert said("NODE1 is not quarantined")


def test_an_agent_that_is_stopped_in_order_did_not_drop_out(time: Time, nodes: list[Node]) -> None:
    one, two = nodes
    pass_by(time, 2, one, two)
    for _ in range(5):
        inbox.receive(seal(one.name, Heartbeat(one.incarnation, 10**9, 0, leaving=True), one.key))
        assert state(one) is NodeState.DOWN
        beat(one, 1, incarnation=one.incarnation + 1)
        one.refresh_from_db()
        pass_by(time, 1, one, two)
    assert state(one) is NodeState.UP


def test_a_node_that_joins_through_a_dashboard_gets_no_groups_before_the_others_were_awaited(
    nodes: list[Node], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dashboard does not observe: it leaves it to the cluster service to decide who is lost."""
    one, two = nodes
    group = make("G")
    Node.objects.update(state=NodeState.DOWN)
    monkeypatch.setattr(membership, "_observer", None)
    beat(two, 1, incarnation=two.incarnation + 1)
    group.refresh_from_db()
    assert group.owner == one
    assert group.wake_at is not None


def test_of_two_nodes_lost_in_one_look_neither_gets_the_groups_of_the_other(
    time: Time, nodes: list[Node], make: Make
) -> None:
    one, two = nodes
    three = Node.objects.create(name="NODE3", state=NodeState.UP, incarnation=3)
    group = make("G")
    epoch = group.epoch
    pass_by(time, 2, one, two, three)
    pass_by(time, 4, three)
    assert (state(one), state(two)) == (NodeState.DOWN, NodeState.DOWN)
    group.refresh_from_db()
    assert group.owner == three
    assert FailoverRecord.objects.filter(group=group).count() == 1
    assert group.epoch == epoch + 2  # one for the loss, one for the new owner
