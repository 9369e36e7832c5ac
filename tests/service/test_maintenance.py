"""Maintenance: watched, reported, not acted upon; and what happened meanwhile is dealt with at its end."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.core.messages import Assignment, GroupReport, Report, ResourceReport
from monitoring.core.model import Refused
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Cluster, Event, Group, Node, Resource
from monitoring.service import decide, intents, publish, reports
from tests.service.conftest import Make


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The messages to nodes, as they leave."""
    found: list[Any] = []
    monkeypatch.setattr(publish, "after_commit", lambda held: found.extend(m for _, _, m in held.messages))
    return found


def tell(group: Group, node: Node, state: ResourceState, sequence: int, **more: Any) -> None:
    """The node reports the one resource of the group."""
    group.refresh_from_db()
    row = Resource.objects.get(group=group)
    item = ResourceReport(row.pk, state, sequence, row.attempt, running=not state.is_down, **more)
    part = GroupReport(group.pk, group.epoch, group.serial, (item,))
    reports.take(node.pk, Report(node.incarnation, sequence, (part,)))
    group.refresh_from_db()


def test_what_fails_in_maintenance_is_reported_and_left_and_dealt_with_when_it_ends(
    make: Make, nodes: list[Node], sent: list[Any]
) -> None:
    group = make("G")
    assert (
        intents.submit("maintenance", by="alice", group=group.pk, reason="a new disk").operation.state
        == "done"
    )
    order = sent[-1]
    assert isinstance(order, Assignment)
    assert order.watch_only
    tell(group, nodes[0], ResourceState.FAILED, 5, cause="it broke")
    assert GroupState(group.last_state) is GroupState.FAILED
    sent.clear()
    decide.decide([group.pk])
    group.refresh_from_db()
    assert (group.owner, group.transit_kind, sent) == (nodes[0], "", [])
    assert Resource.objects.get(group=group).restart_at is None
    intents.submit("end-maintenance", by="alice", group=group.pk)
    assert Resource.objects.get(group=group).restart_at is not None
    assert not sent[-1].watch_only


def test_the_loss_of_the_owner_moves_nothing_until_maintenance_of_the_cluster_ends(
    make: Make, nodes: list[Node], sent: list[Any]
) -> None:
    group = make("G")
    intents.submit("maintenance", by="alice")
    Node.objects.filter(pk=nodes[0].pk).update(state=NodeState.DOWN)
    decide.decide([group.pk])
    group.refresh_from_db()
    assert (group.owner, GroupState(group.last_state)) == (nodes[0], GroupState.OFFLINE)
    assert Event.objects.filter(text__contains="It is in maintenance, and stays where it is").exists()
    decide.decide([group.pk])
    assert Event.objects.filter(text__contains="stays where it is").count() == 1
    intents.submit("end-maintenance", by="alice")
    group.refresh_from_db()
    assert group.owner == nodes[1]
    assert not Cluster.objects.get().maintenance


@pytest.mark.parametrize("kind", ["move", "online", "offline", "restart"])
def test_actions_on_a_group_in_maintenance_are_refused_by_name(make: Make, kind: str) -> None:
    group = make("G")
    intents.submit("maintenance", by="alice", group=group.pk)
    with pytest.raises(Refused, match="G is in maintenance: end it first"):
        intents.submit(kind, by="bob", group=group.pk)
    intents.submit("end-maintenance", by="alice", group=group.pk)
    intents.submit("maintenance", by="alice")
    with pytest.raises(Refused, match="The cluster is in maintenance: end it first"):
        intents.submit(kind, by="bob", group=group.pk)


def test_a_drain_leaves_what_is_in_maintenance_and_says_so(make: Make, nodes: list[Node]) -> None:
    group = make("G")
    intents.submit("maintenance", by="alice", group=group.pk)
    drain = intents.submit("drain", by="bob", node=nodes[0].pk).operation
    assert drain.state == "failed"
    assert "G is in maintenance" in drain.outcome


def test_a_move_under_way_ends_before_maintenance_takes_hold(
    make: Make, nodes: list[Node], sent: list[Any]
) -> None:
    group = make("G")
    move = intents.submit("move", by="alice", group=group.pk, node=nodes[1].pk).operation
    intents.submit("maintenance", by="bob", group=group.pk)
    tell(group, nodes[0], ResourceState.OFFLINE, 5)
    assert group.owner == nodes[1]
    tell(group, nodes[1], ResourceState.ONLINE, 6)
    move.refresh_from_db()
    assert move.state == "done"
    decide.decide([group.pk])
    assert sent[-1].watch_only


@pytest.mark.parametrize("group", [True, False])
def test_maintenance_begins_once_and_ends_once(make: Make, group: bool) -> None:
    about: dict[str, Any] = {"group": make("G").pk} if group else {}
    with pytest.raises(Refused, match="not in maintenance"):
        intents.submit("end-maintenance", by="alice", **about)
    intents.submit("maintenance", by="alice", **about)
    with pytest.raises(Refused, match="in maintenance already"):
        intents.submit("maintenance", by="alice", **about)
