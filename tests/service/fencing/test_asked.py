"""Fencing that an operator asks for, tests of devices, and the watchdog."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.fencing.api import Power
from monitoring.models import (
    Fence,
    FenceDevice,
    FenceStep,
    Group,
    Node,
)
from monitoring.service import clock, intents, preview
from monitoring.service.fencing import devices, runner, work
from tests.service.fencing.build import Switch, go_on, lose, owner, severe

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
