"""A move under way while the cluster service starts anew, and has not heard the target yet."""

from __future__ import annotations

from dataclasses import replace

from monitoring.core.model import GroupView, NodeView, ResourceView, Transit, World
from monitoring.core.reconcile import reconcile
from monitoring.core.states import NodeState, Stage, TransitKind

NOW = 1000.0
STOPPED = GroupView(
    id=1,
    name="EVS1",
    owner=1,
    epoch=5,
    serial=3,
    applied_serial=3,
    resources=(ResourceView(id=7, name="EVS1 App", type_name="Generic Application"),),
    possible=frozenset({1, 2}),
    transit=Transit(TransitKind.MOVE, 1, 2, Stage.STOPPING, "asked for", "", NOW),
    wanted=((7, False, 1),),
)


def world(target: NodeView) -> World:
    return World(nodes={1: NodeView(1, "NODE1"), 2: target})


def test_the_group_waits_for_a_target_that_was_not_heard_yet():
    decision = reconcile(STOPPED, world(NodeView(2, "NODE2", NodeState.JOINING)), NOW)
    assert decision.group.owner == 1
    assert decision.group.transit == STOPPED.transit
    assert decision.wake_at is not None and decision.wake_at > NOW


def test_it_goes_there_once_the_target_is_heard():
    decision = reconcile(STOPPED, world(NodeView(2, "NODE2", NodeState.UP)), NOW)
    assert decision.group.owner == 2
    assert decision.group.epoch == STOPPED.epoch + 1


def test_it_goes_elsewhere_once_the_target_is_lost():
    decision = reconcile(STOPPED, world(NodeView(2, "NODE2", NodeState.DOWN, lost=True)), NOW)
    assert decision.group.owner == 1
    assert decision.group.transit is not None
    assert replace(decision.group.transit, stage=Stage.STOPPING, target=2) == STOPPED.transit
