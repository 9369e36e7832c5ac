"""The acts of fencing: what is due is planned and recorded under the lock, and done outside of it.

What was tried stands in the database, so that another process goes on where one was killed. It
may be that two processes use a device at the same time: off of what is off succeeds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from monitoring.core.states import NodeState, Severity
from monitoring.fencing import registry
from monitoring.fencing.api import Context, FenceError, FenceMethod, Power
from monitoring.fencing.levels import Confirmed, Exhausted, Step, Tried, Try, next_move
from monitoring.models import Fence, FenceDevice, FenceStep, Group, Node
from monitoring.service import clock, decide, journal, membership
from monitoring.service.fencing import fences
from monitoring.service.lock import Held, cluster_lock

log = logging.getLogger(__name__)
_T = TypeVar("_T")

GRACE = 5.0
"""Seconds that a method has to come back after its timeout, before it is left alone."""
TEST_WITHIN = 30.0
LOOK_AGAIN = 2.0
"""Seconds until a fence that maintenance holds back is looked at again."""
LISTEN_INTERVALS = 4
"""Heartbeat intervals for which a node that was a member has to be silent, once it is said to be off."""


@dataclass(frozen=True, slots=True)
class Act:
    """One use of a device."""

    fence: int
    round_started: float
    move: Try
    method: str
    kind: str
    values: Mapping[str, Any]
    node: int
    node_name: str
    incarnation: int
    watchdog: float


@dataclass(frozen=True, slots=True)
class Listen:
    """The devices confirm, and the node was a member when they began: it has to be silent now."""

    fence: int
    node: int
    incarnation: int
    interval: float


def proceed(fence: int, me: str, cancelled: Callable[[], bool] = lambda: False) -> None:
    """Take a fence that `me` has claimed as far as it goes now: to its end, or to its next wait."""
    while True:
        with cluster_lock() as held:
            due = _plan(held, fence, me)
        if due is None:
            return
        if isinstance(due, Listen):
            heard = _is_heard(due)
            with cluster_lock() as held:
                _listened(held, due, heard)
            return
        ok, text = _carry_out(due, cancelled)
        with cluster_lock() as held:
            _record(held, due, ok, text)


def _plan(held: Held, fence_id: int, me: str) -> Act | Listen | None:
    """What is due now, None where that is nothing, or somebody else's."""
    fence = Fence.objects.select_related("node").filter(pk=fence_id, finished=None, claimed_by=me).first()
    if fence is None:
        return None
    if fence.node.unfenced:
        _over_since.setdefault((fence.node_id, fence.incarnation), clock.monotonic())
    if _is_held_back(held, fence):
        fence.doing, fence.next_at, fence.claimed_until = fences.MAINTENANCE, held.now + LOOK_AGAIN, None
        fence.save()
        held.nodes.add(fence.node_id)
        return None
    if fence.state == "failed":
        fences.new_round(fence, held.now)
    rows = list(FenceStep.objects.filter(node=fence.node).select_related("device"))
    move = next_move([_step(row) for row in rows], _tried(fence), fence.round_started)
    if isinstance(move, Confirmed):
        return _confirmed(held, fence, move)
    if isinstance(move, Exhausted):
        fences.round_failed(held, fence, _failures(fence, rows))
        return None
    what = f"level {move.step.level}: {move.step.device}, try {move.attempt} of {move.step.retries + 1}"
    if fence.doing != what:
        fence.doing = what
        held.nodes.add(fence.node_id)
    if move.at > held.now:
        fence.next_at, fence.claimed_until = move.at, None
        fence.save()
        return None
    fence.next_at = held.now
    fence.save()
    row = next(row for row in rows if row.pk == move.step.id)
    return Act(
        fence=fence.pk,
        round_started=fence.round_started,
        move=move,
        method=row.device.method,
        kind=row.device.kind,
        values={**row.device.parameters, **row.parameters},
        node=fence.node_id,
        node_name=fence.node.name,
        incarnation=fence.incarnation,
        watchdog=fence.node.watchdog_ms / 1000,
    )


def _is_held_back(held: Held, fence: Fence) -> bool:
    """True in maintenance, where nothing is done by itself; what somebody asks for is done."""
    if fence.operation is not None and fence.operation.state == "running":
        return False
    hosted = Group.objects.filter(owner=fence.node_id)
    return held.cluster.maintenance or not hosted.filter(maintenance=False).exists()


def _step(row: FenceStep) -> Step:
    delay, timeout = row.delay_ms / 1000, row.timeout_ms / 1000
    return Step(row.pk, row.level, row.device.name, delay, timeout, row.retries)


def _tried(fence: Fence) -> list[Tried]:
    return [Tried(step, ok, at, text) for step, ok, at, text in fence.tried]


def _failures(fence: Fence, rows: list[FenceStep]) -> str:
    """What failed in this round, device by device: the last words of each."""
    last = {tried.step: tried.text for tried in _tried(fence) if not tried.ok}
    parts = [f"level {row.level}, {row.device.name}: {last[row.pk]}" for row in rows if row.pk in last]
    text = "; ".join(parts) or "it has no fence devices any more"
    return f"{text.rstrip('.')}."


def _confirmed(held: Held, fence: Fence, move: Confirmed) -> Listen | None:
    """All devices of a level confirm. A node that was a member has to be silent as well."""
    node = fence.node
    if node.incarnation != fence.incarnation:
        fences.round_failed(held, fence, f"{node.name} has begun a new life meanwhile.")
        return None
    if NodeState(node.state) in membership.MEMBERS:
        return Listen(fence.pk, node.pk, node.incarnation, held.cluster.heartbeat_interval_ms / 1000)
    fences.confirm(held, fence, f"it was turned off by {' and '.join(move.devices)}")
    return None


def _is_heard(due: Listen) -> bool:
    """True where heartbeats of the node still come. What it sent before it went off has time to arrive."""

    def newest() -> tuple[int, int]:
        row: tuple[int, int] = Node.objects.values_list("incarnation", "heartbeat").get(pk=due.node)
        return row

    time.sleep(due.interval)
    before = newest()
    time.sleep(due.interval * LISTEN_INTERVALS)
    return newest() != before


def _listened(held: Held, due: Listen, heard: bool) -> None:
    fence = Fence.objects.select_related("node").filter(pk=due.fence, finished=None).first()
    if fence is None:
        return
    name = fence.node.name
    if heard or fence.node.incarnation != due.incarnation:
        why = f"its devices say that it is off, and {name} is still heard: do they turn off another machine?"
        fences.round_failed(held, fence, why)
        return
    devices = {row.pk: row.device.name for row in FenceStep.objects.filter(node=fence.node)}
    names = [devices[one.step] for one in _tried(fence) if one.ok and one.step in devices]
    fences.confirm(held, fence, f"it was turned off by {' and '.join(dict.fromkeys(names))}")


_over_since: dict[tuple[int, int], float] = {}
"""When this process learned, by its monotonic clock, that the lease of a life of a node is over."""


def _over_for(node: int, incarnation: int) -> float:
    since = _over_since.get((node, incarnation))
    return 0.0 if since is None else clock.monotonic() - since


def _carry_out(act: Act, cancelled: Callable[[], bool]) -> tuple[bool, str]:
    """Use the device. Whatever goes wrong is a failure with a sentence."""
    context = Context(
        node=act.node_name,
        timeout=act.move.step.timeout,
        cancelled=cancelled,
        over_for=lambda: _over_for(act.node, act.incarnation),
        watchdog=act.watchdog,
    )
    return attempt(act.method, act.kind, act.values, context, lambda method: method.off())


def attempt(
    name: str,
    kind: str,
    values: Mapping[str, Any],
    context: Context,
    call: Callable[[FenceMethod], str],
) -> tuple[bool, str]:
    """One call of a method: whether it went well, and what it says."""
    try:
        found = registry.get(name)
        least = found.least_seconds(kind, values, context)
        seconds = max(context.timeout, least)
        method = found(kind, values, replace(context, timeout=seconds))
        return True, _bounded(lambda: call(method), seconds + GRACE)
    except FenceError as error:
        return False, str(error)
    except Exception as error:
        log.exception("the fence method %s failed", name)
        return False, f"{name} failed: {type(error).__name__}"


def _bounded(call: Callable[[], _T], seconds: float) -> _T:
    """The result of `call`, within `seconds`: a method that never returns costs its own try only."""
    found: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="fence method", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise FenceError(f"it took longer than {seconds - GRACE:g} s")
    return found[0]


def _record(held: Held, act: Act, ok: bool, text: str) -> None:
    """Every try is a line of the history, also where nobody waits for it any more."""
    step, number = act.move.step, act.move.attempt
    what = f"{step.device} (level {step.level}, try {number})"
    result = f"says that it is off: {text}" if ok else f"failed: {text}"
    node = Node.objects.filter(pk=act.node).first()
    line = f"Fencing of {act.node_name}: {what} {result.rstrip('.')}."
    severity = Severity.INFORMATION if ok else Severity.ERROR
    journal.add(held, line, code=fences.FENCING, severity=severity, node=node)
    fence = Fence.objects.filter(pk=act.fence, finished=None, round_started=act.round_started).first()
    if fence is not None:
        fence.tried = [*fence.tried, [step.id, ok, held.now, text]]
        fence.save(update_fields=["tried"])


# Tests of devices


def carry_out_test(device_id: int) -> None:
    """Carry out the test of a device that was asked for."""
    device = FenceDevice.objects.select_related("test_operation__node").get(pk=device_id)
    operation = device.test_operation
    if operation is None:
        return
    began = clock.monotonic()
    ok, text = _test(device, operation.node)
    seconds = clock.monotonic() - began
    with cluster_lock() as held:
        device.tested_at, device.tested_ok, device.tested_seconds = held.now, ok, seconds
        device.tested_text, device.test_operation, device.claimed_until = text, None, None
        device.save(
            update_fields=[
                *("tested_at", "tested_ok", "tested_text", "tested_seconds"),
                *("test_operation", "claimed_until"),
            ]
        )
        for_node = f" for {operation.node.name}" if operation.node else ""
        line = f"{device} was tested{for_node} in {seconds:.1f} s: {text.rstrip('.')}."
        severity = Severity.INFORMATION if ok else Severity.ERROR
        journal.add(
            held,
            line,
            code=fences.FENCING,
            severity=severity,
            node=operation.node,
            operation=operation,
            by=operation.requested_by,
        )
        decide.end_operation(held, operation, "done" if ok else "failed", line)


def _test(device: FenceDevice, node: Node | None) -> tuple[bool, str]:
    """Ask the device whether it can be used, and for a node whether it has power. Changes nothing."""
    values = dict(device.parameters)
    if node is not None:
        for row in FenceStep.objects.filter(node=node, device=device)[:1]:
            values |= row.parameters
    context = Context(
        node=node.name if node else "",
        timeout=TEST_WITHIN,
        over_for=lambda: float(node is not None and NodeState(node.state) is NodeState.DOWN),
        watchdog=node.watchdog_ms / 1000 if node else 0.0,
    )
    ok, text = attempt(device.method, device.kind, values, context, lambda method: method.monitor())
    if not ok or node is None:
        return ok, text
    known, power = attempt(device.method, device.kind, values, context, lambda method: method.status().value)
    if not known:
        return False, power
    if power == Power.OFF and NodeState(node.state) in membership.MEMBERS:
        return (
            False,
            f"it says that {node.name} is off, and {node.name} is heard: is it another machine's plug?",
        )
    return True, f"{text}; {node.name} is {power}"
