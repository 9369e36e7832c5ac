"""A node with fence devices is not lost until it is confirmed off; then its groups fail over at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from monitoring.core.model import Refused
from monitoring.core.states import GroupState, NodeState, ResourceState, Severity
from monitoring.fencing import registry
from monitoring.fencing.api import FenceError, FenceMethod, Power
from monitoring.models import (
    Cluster,
    Event,
    Fence,
    FenceDevice,
    FenceStep,
    Group,
    Node,
    Resource,
    ResourceType,
)
from monitoring.service import clock, intents, membership, preview
from monitoring.service.fencing import devices, runner, work
from monitoring.service.lock import cluster_lock

ME, OTHER = "me", "other"


class Switch(FenceMethod):
    """A device that does what the test has told it, and notes each call."""

    method_name = "Switch"
    answers: ClassVar[list[str | Exception]] = []
    calls: ClassVar[list[str]] = []
    meanwhile: ClassVar[list[object]] = []

    def off(self) -> str:
        self.calls.append("off")
        for call in self.meanwhile:
            call()  # type: ignore[operator]
        answer = self.answers.pop(0) if self.answers else FenceError("it is stuck")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def status(self) -> Power:
        return Power.ON

    def monitor(self) -> str:
        return "it answers"


@pytest.fixture(autouse=True)
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Switch]]:
    methods = {**registry.all_methods(), "Switch": Switch}
    monkeypatch.setattr(registry, "all_methods", lambda: methods)
    monkeypatch.setattr("monitoring.fencing.levels.RETRY_PAUSE", 0.0)
    Switch.answers, Switch.calls, Switch.meanwhile = [], [], []
    yield Switch
    work._over_since.clear()


@pytest.fixture
def nodes(db: None) -> list[Node]:
    Cluster.objects.create(pk=1, heartbeat_interval_ms=50)
    return [
        Node.objects.create(name=f"NODE{n}", state=NodeState.UP, incarnation=n, heartbeat=9) for n in (1, 2)
    ]


@pytest.fixture
def group(nodes: list[Node]) -> Group:
    """EVS1, Online on NODE1."""
    kind = ResourceType.objects.create(name="T", dll_name="t")
    made = Group.objects.create(
        name="EVS1", owner=nodes[0], persistent_online=True, serial=1, applied_serial=1, last_state=0
    )
    row = Resource.objects.create(
        group=made, type=kind, name="EVS1 R", state=ResourceState.ONLINE, running=True
    )
    Group.objects.filter(pk=made.pk).update(wanted=[[row.pk, True, 1]])
    return made


@pytest.fixture
def step(nodes: list[Node]) -> FenceStep:
    """One switch fences NODE1."""
    device = FenceDevice.objects.create(name="SWITCH", method="Switch")
    return FenceStep.objects.create(node=nodes[0], device=device, retries=0)


def lose(node: Node) -> None:
    """Its lease is over."""
    with cluster_lock() as held:
        membership._lose(held, Node.objects.get(pk=node.pk))


def join(node: Node) -> None:
    """A new life of it begins."""
    with cluster_lock() as held:
        fresh = Node.objects.get(pk=node.pk)
        membership.join(held, fresh, fresh.incarnation + 10, 1, 3000)


def go_on(me: str = ME) -> None:
    """What the fencing thread does when it looks, in this thread."""
    for pk in runner.claim_fences(me, clock.now()):
        work.proceed(pk, me)


def fresh(row: Group | Node | Fence) -> object:
    row.refresh_from_db()
    return row


def owner(group: Group) -> str:
    group.refresh_from_db()
    return group.owner.name if group.owner else ""


def severe() -> list[str]:
    return list(Event.objects.filter(severity=Severity.SEVERE).order_by("seq").values_list("text", flat=True))


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


# Asked for by an operator


def test_an_operator_turns_a_node_off_on_purpose(group: Group, nodes: list[Node], step: FenceStep):
    Switch.answers = ["off"]
    said = preview.of("fence", node=nodes[0].pk)
    assert "NODE1 is turned off by SWITCH" in said.sentences[0]
    operation = intents.submit("fence", by="alice", node=nodes[0].pk, reason="it burns").operation
    assert operation.state == "running"
    go_on()
    operation.refresh_from_db()
    assert operation.state == "done", operation.outcome
    assert Node.objects.get(pk=nodes[0].pk).state == NodeState.DOWN
    assert owner(group) == "NODE2"


def test_a_node_that_is_still_heard_is_not_believed_to_be_off(
    group: Group, nodes: list[Node], step: FenceStep, monkeypatch: pytest.MonkeyPatch
):
    def and_a_heartbeat_comes(seconds: float) -> None:
        node = Node.objects.get(pk=nodes[0].pk)
        Node.objects.filter(pk=node.pk).update(heartbeat=node.heartbeat + 1)

    monkeypatch.setattr("monitoring.service.fencing.work.time.sleep", and_a_heartbeat_comes)
    Switch.answers = ["off"]
    operation = intents.submit("fence", by="alice", node=nodes[0].pk).operation
    go_on()
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert "is still heard" in operation.outcome
    assert owner(group) == "NODE1"
    assert Node.objects.get(pk=nodes[0].pk).state == NodeState.UP
    assert Fence.objects.get().state == "failed"


def test_a_fence_that_was_asked_for_and_fails_ends_where_the_node_is_up(
    group: Group, nodes: list[Node], step: FenceStep
):
    operation = intents.submit("fence", by="alice", node=nodes[0].pk).operation
    with pytest.raises(Refused, match="being fenced already"):
        intents.submit("fence", by="bob", node=nodes[0].pk)
    go_on()
    operation.refresh_from_db()
    assert operation.state == "failed"
    fence = Fence.objects.get()
    assert fence.finished is not None
    assert owner(group) == "NODE1"


def test_a_node_that_falls_silent_while_it_is_fenced_on_purpose_waits_like_any_other(
    group: Group, nodes: list[Node], step: FenceStep
):
    intents.submit("fence", by="alice", node=nodes[0].pk)
    lose(nodes[0])
    go_on()
    assert Fence.objects.get().finished is None
    assert owner(group) == "NODE1"


def test_a_node_without_devices_cannot_be_fenced(nodes: list[Node]):
    with pytest.raises(Refused, match="has no fence devices"):
        intents.submit("fence", by="alice", node=nodes[1].pk)


def test_a_node_that_is_being_fenced_is_not_evicted(group: Group, nodes: list[Node], step: FenceStep):
    lose(nodes[0])
    with pytest.raises(Refused):
        intents.submit("evict", by="alice", node=nodes[0].pk)


# Tests of devices


def test_a_device_is_tested_by_the_cluster_service(nodes: list[Node], step: FenceStep):
    operation = devices.request_test(step.device.pk, node=nodes[0].pk, by="alice")
    with pytest.raises(Refused, match="tested already"):
        devices.request_test(step.device.pk, by="bob")
    [pk] = runner.claim_tests(clock.now())
    work.carry_out_test(pk)
    operation.refresh_from_db()
    assert operation.state == "done"
    assert "it answers; NODE1 is on" in operation.outcome
    device = FenceDevice.objects.get()
    assert (device.tested_ok, device.test_operation_id) == (True, None)
    assert not Switch.calls, "nothing was turned off"
    assert not runner.claim_tests(clock.now())


def test_a_device_that_says_off_of_a_node_that_is_heard_has_failed_its_test(
    nodes: list[Node], step: FenceStep, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Switch, "status", lambda self: Power.OFF)
    operation = devices.request_test(step.device.pk, node=nodes[0].pk, by="alice")
    work.carry_out_test(step.device.pk)
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert "is it another machine's plug?" in operation.outcome


def test_a_test_that_fails_says_why(nodes: list[Node], tmp_path: Path):
    device = FenceDevice.objects.create(name="GONE", method="Fence agent", kind="fence_not_installed")
    operation = devices.request_test(device.pk, by="alice")
    [pk] = runner.claim_tests(clock.now())
    work.carry_out_test(pk)
    operation.refresh_from_db()
    assert operation.state == "failed"
    assert "there is no fence agent 'fence_not_installed'" in operation.outcome


# The watchdog


def test_a_watchdog_confirms_only_after_its_timeout_counted_by_this_process(
    group: Group, nodes: list[Node], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("monitoring.fencing.watchdog.SLACK", 0.05)
    Node.objects.filter(pk=nodes[0].pk).update(watchdog_ms=300)
    FenceStep.objects.create(
        node=nodes[0], device=FenceDevice.objects.create(name="WD", method="Watchdog"), retries=0
    )
    lose(nodes[0])
    began = time.monotonic()
    go_on()
    assert time.monotonic() - began >= 0.35
    assert owner(group) == "NODE2"


def test_a_watchdog_that_the_node_does_not_hold_confirms_nothing(group: Group, nodes: list[Node]):
    FenceStep.objects.create(
        node=nodes[0], device=FenceDevice.objects.create(name="WD", method="Watchdog"), retries=0
    )
    lose(nodes[0])
    go_on()
    assert owner(group) == "NODE1"
    assert "has not said that it holds a watchdog" in severe()[-1]


def test_the_fencing_thread_does_its_work_beside_others(
    group: Group, nodes: list[Node], step: FenceStep, monkeypatch: pytest.MonkeyPatch
):
    """Its look claims what is due and leaves it to a thread; here that thread is this one."""
    one = runner.FenceRunner()
    monkeypatch.setattr(one, "_start", lambda name, call: call())
    Switch.answers = ["off"]
    lose(nodes[0])
    one.look()
    assert owner(group) == "NODE2"
    one.look()
    assert Switch.calls == ["off"]
