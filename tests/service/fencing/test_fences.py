"""A node with fence devices is not lost until it is confirmed off; then its groups fail over at once."""

from __future__ import annotations

import threading

import pytest

from monitoring.core.model import Refused
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.fencing.api import FenceError
from monitoring.models import (
    Cluster,
    Event,
    Fence,
    FenceDevice,
    FenceStep,
    Group,
    Node,
)
from monitoring.service import clock, intents, membership, preview
from monitoring.service.fencing import runner, work
from monitoring.service.lock import cluster_lock
from tests.service.fencing.build import ME, OTHER, Switch, go_on, join, lose, owner, severe


def test_a_node_without_devices_is_lost_at_once(group: Group, nodes: list[Node]):
    lose(nodes[0])
    assert owner(group) == "NODE2"
    assert not Fence.objects.exists()


def test_groups_wait_until_the_node_is_confirmed_off(group: Group, nodes: list[Node], step: FenceStep):
    lose(nodes[0])
    node = Node.objects.get(pk=nodes[0].pk)
    assert (node.state, node.unfenced) == (NodeState.DOWN, True)
    assert owner(group) == "NODE1"
    assert group.last_state == GroupState.UNKNOWN
    assert group.resources.get().state == ResourceState.UNKNOWN
    assert "Its groups wait until it is confirmed off" in severe()[-1]
    Switch.answers = ["the relay is open"]
    go_on()
    assert owner(group) == "NODE2"
    assert not Node.objects.get(pk=nodes[0].pk).unfenced
    fence = Fence.objects.get()
    assert (fence.state, fence.outcome) == ("confirmed", "it was turned off by SWITCH")
    record = group.records.get()
    assert record.cause == "NODE1 went down: it was turned off by SWITCH"


def test_a_failed_fence_never_leads_to_a_failover(group: Group, nodes: list[Node], step: FenceStep):
    lose(nodes[0])
    for _ in range(3):
        go_on()
        assert owner(group) == "NODE1"
        Fence.objects.update(next_at=clock.now())
    fence = Fence.objects.get()
    assert (fence.state, fence.rounds, fence.finished) == ("failed", 3, None)
    assert "SWITCH: it is stuck" in fence.error
    assert "could not be fenced" in severe()[-1] and "Its groups stay where they are" in severe()[-1]
    assert len(Switch.calls) == 3
    assert Event.objects.filter(text__contains="SWITCH (level 1, try 1) failed: it is stuck").count() == 3


def test_a_fence_that_failed_is_tried_again_after_a_pause(group: Group, nodes: list[Node], step: FenceStep):
    lose(nodes[0])
    go_on()
    go_on()
    assert len(Switch.calls) == 1, "not before its time"
    Fence.objects.update(next_at=clock.now())
    Switch.answers = ["off"]
    go_on()
    assert owner(group) == "NODE2"


def test_the_next_level_is_tried_where_one_has_failed(group: Group, nodes: list[Node], step: FenceStep):
    second = FenceDevice.objects.create(name="PDU", method="Switch")
    FenceStep.objects.create(node=nodes[0], device=second, level=2, retries=0)
    lose(nodes[0])
    Switch.answers = [FenceError("no route"), "off"]
    go_on()
    assert Fence.objects.get().outcome == "it was turned off by PDU"


def test_an_operator_who_has_seen_that_it_is_off_releases_the_groups(
    group: Group, nodes: list[Node], step: FenceStep
):
    lose(nodes[0])
    go_on()
    node = nodes[0].pk
    with pytest.raises(Refused, match="Type NODE1"):
        intents.submit("confirm-off", by="alice", node=node, reason="I pulled the plug", confirm="NODE2")
    with pytest.raises(Refused, match="how you have seen it"):
        intents.submit("confirm-off", by="alice", node=node, confirm="node1")
    assert owner(group) == "NODE1"
    done = intents.submit("confirm-off", by="alice", node=node, reason="I pulled the plug", confirm="node1")
    assert done.operation.state == "done"
    assert owner(group) == "NODE2"
    assert "alice has seen that it is off: I pulled the plug" in group.records.get().cause
    go_on()
    assert len(Switch.calls) == 1


def test_nothing_can_be_seen_off_that_nothing_waits_for(group: Group, nodes: list[Node], step: FenceStep):
    with pytest.raises(Refused, match="it is Up"):
        intents.submit("confirm-off", by="alice", node=nodes[0].pk, reason="x", confirm="NODE1")
    assert "it is Up" in preview.of("confirm-off", node=nodes[0].pk).refused


def test_a_new_life_of_the_node_needs_no_fence(group: Group, nodes: list[Node], step: FenceStep):
    lose(nodes[0])
    join(nodes[0])
    node = Node.objects.get(pk=nodes[0].pk)
    assert (node.state, node.unfenced) == (NodeState.UP, False)
    assert Fence.objects.get().state == "cancelled"
    assert owner(group) == "NODE1", "nothing was moved: it starts again where it was"
    go_on()
    assert not Switch.calls


def test_a_fence_that_ends_after_the_node_came_back_changes_nothing(
    group: Group, nodes: list[Node], step: FenceStep, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(work, "_bounded", lambda call, seconds: call())  # the test's own connection
    lose(nodes[0])
    Switch.answers, Switch.meanwhile = ["off"], [lambda: join(nodes[0])]
    go_on()
    node = Node.objects.get(pk=nodes[0].pk)
    assert (node.state, owner(group)) == (NodeState.UP, "NODE1")
    assert Event.objects.filter(text__contains="SWITCH (level 1, try 1) says that it is off").exists()


def test_a_node_that_left_in_order_is_not_fenced(group: Group, nodes: list[Node], step: FenceStep):
    with cluster_lock() as held:
        membership.leave(held, nodes[0])
    assert owner(group) == "NODE2"
    assert not Fence.objects.exists()


def test_a_node_that_hosts_nothing_is_not_fenced(nodes: list[Node], step: FenceStep):
    lose(nodes[0])
    assert not Fence.objects.exists()


def test_taking_the_last_device_away_does_not_release_the_groups(
    group: Group, nodes: list[Node], step: FenceStep
):
    lose(nodes[0])
    step.delete()
    go_on()
    assert owner(group) == "NODE1"
    assert "no fence devices any more" in severe()[-1]


@pytest.mark.parametrize("whole", [True, False])
def test_in_maintenance_no_node_is_turned_off_by_itself(
    group: Group, nodes: list[Node], step: FenceStep, whole: bool
):
    Cluster.objects.update(maintenance=whole)
    Group.objects.update(maintenance=not whole)
    lose(nodes[0])
    go_on()
    assert not Switch.calls
    assert Fence.objects.get().doing == "waits for the end of maintenance"
    Cluster.objects.update(maintenance=False)
    Group.objects.update(maintenance=False)
    Fence.objects.update(next_at=clock.now())
    Switch.answers = ["off"]
    go_on()
    assert owner(group) == "NODE2"


def test_what_an_operator_asks_for_is_done_in_maintenance_too(
    group: Group, nodes: list[Node], step: FenceStep
):
    Cluster.objects.update(maintenance=True)
    lose(nodes[0])
    go_on()
    assert not Switch.calls
    intents.submit("fence", by="alice", node=nodes[0].pk)
    go_on()
    assert Switch.calls


# Several cluster services, of which any may die


def test_a_fence_in_the_hand_of_one_process_is_not_begun_by_another(
    group: Group, nodes: list[Node], step: FenceStep
):
    lose(nodes[0])
    assert runner.claim_fences(OTHER, clock.now())
    assert not runner.claim_fences(ME, clock.now())


def test_a_fence_is_taken_over_from_a_process_that_died(group: Group, nodes: list[Node], step: FenceStep):
    second = FenceDevice.objects.create(name="PDU", method="Switch")
    FenceStep.objects.create(node=nodes[0], device=second, level=1, retries=0)
    lose(nodes[0])
    Switch.answers, Switch.meanwhile = ["off"], [_Killed.after(2)]
    for pk in runner.claim_fences(OTHER, clock.now()):
        with pytest.raises(_Killed):
            work.proceed(pk, OTHER)  # killed within the second device
    assert owner(group) == "NODE1"
    Fence.objects.update(claimed_until=clock.now())
    Switch.calls.clear()
    Switch.answers, Switch.meanwhile = ["off"], []
    go_on()
    assert Switch.calls == ["off"], "the first device is not asked again"
    assert owner(group) == "NODE2"


class _Killed(BaseException):
    @classmethod
    def after(cls, calls: int) -> object:
        def call() -> None:
            if len(Switch.calls) >= calls:
                raise cls

        return call


def test_a_method_that_breaks_or_never_returns_costs_its_own_try(
    group: Group, nodes: list[Node], step: FenceStep, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(work, "GRACE", 0.05)
    FenceStep.objects.update(timeout_ms=100, retries=1)
    lose(nodes[0])
    released = threading.Event()
    Switch.meanwhile = [released.wait]
    go_on()
    assert "it took longer than 0.1 s" in Fence.objects.get().error
    released.set()
    for thread in [one for one in threading.enumerate() if one.name == "fence method"]:
        thread.join()
    Switch.answers, Switch.meanwhile = [RuntimeError("secret"), "off"], []
    Fence.objects.update(next_at=clock.now())
    go_on()
    assert Event.objects.filter(text__contains="failed: Switch failed: RuntimeError.").exists()
    assert not Event.objects.filter(text__contains="secret").exists()
    assert owner(group) == "NODE2"
