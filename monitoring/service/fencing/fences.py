"""The fence of a node: when one begins, and the four ways in which it ends.

A node whose lease is over and that has fence devices is Down, but not lost: its groups wait. It
ends when all devices of a level have confirmed that the node is off, when an operator has seen
that it is, or when a new life of the node says that nothing of its earlier life runs. A fence that
fails ends nothing: it stays open, says so loudly, and is tried again. A fence that somebody asked
for, of a node that is a member all the while, ends with its first round.

Everything here runs under the cluster's lock.
"""

from __future__ import annotations

from monitoring.core.model import Refused
from monitoring.core.states import NodeState, Severity
from monitoring.core.unsure import unsure
from monitoring.fencing.levels import pause_before_round
from monitoring.models import Fence, FenceStep, Group, Node, Operation
from monitoring.service import apply, decide, journal, membership, snapshot
from monitoring.service.lock import Held

MAINTENANCE = "waits for the end of maintenance"
"""What a fence is doing that maintenance holds back."""
FENCING = 9001
"""Event id of everything about fencing. The Cluster Service of old has none."""


def open_fence(node: Node) -> Fence | None:
    """The fence of the node that has not ended, if there is one. One query."""
    return Fence.objects.filter(node=node, finished=None).first()


def is_needed(node: Node) -> bool:
    """True where a silent node must be confirmed off: it has devices, and hosts groups. Two queries."""
    has_devices = FenceStep.objects.filter(node=node).exists()
    return has_devices and Group.objects.filter(owner=node).exists()


def node_lost(held: Held, node: Node, how: str) -> None:
    """Its lease is over: what it ran is Unknown, and it is turned off before anything else happens."""
    rows = snapshot.GroupRows(Group.objects.filter(owner=node).values_list("pk", flat=True))
    world = snapshot.world(held, rows.nodes)
    for group in rows.groups:
        before = rows.view(group)
        apply.save(held, rows, group, before, unsure(before, world, held.now))
    begin(held, node, f"{node.name} went down: {how}")


def begin(held: Held, node: Node, cause: str, operation: Operation | None = None) -> Fence:
    """Open a fence of the node, or hasten the one that is open."""
    held.nodes.add(node.pk)
    fence = open_fence(node)
    if fence is None:
        fence = Fence(node=node, incarnation=node.incarnation, started=held.now, round_started=held.now)
    elif fence.state == "failed":
        new_round(fence, held.now)
    fence.cause = cause
    fence.operation = operation or fence.operation
    fence.next_at = held.now
    fence.save()
    return fence


def new_round(fence: Fence, at: float) -> None:
    """All levels from the first one. Not saved."""
    fence.state, fence.round_started, fence.tried, fence.doing = "running", at, [], ""


def node_came(held: Held, node: Node) -> None:
    """A new life of the node begins: nothing of the one before runs, whatever was known about it."""
    node.unfenced = False
    fence = open_fence(node)
    if fence is not None:
        why = f"{node.name} came back, and nothing of its earlier life runs"
        _end(held, fence, "cancelled", why)
        journal.add(held, f"{node.name} need not be fenced any more: {why}.", code=FENCING, node=node)
        _finish(held, fence, "failed", f"{why}.")


def confirm(held: Held, fence: Fence, how: str, by: str = "") -> None:
    """The node is off: its groups fail over at once."""
    node = Node.objects.get(pk=fence.node_id)
    before = NodeState(node.state)
    _end(held, fence, "confirmed", how)
    node.unfenced, node.silent_since = False, None
    if before in membership.MEMBERS:
        node.state, node.state_since = NodeState.DOWN, held.now
    node.save(update_fields=["unfenced", "silent_since", "state", "state_since"])
    held.losses[node.pk] = how
    change = (before.label, NodeState.DOWN.label) if before in membership.MEMBERS else ("", "")
    severity = Severity.WARNING
    text = f"{node.name} is confirmed off: {how}."
    journal.add(held, text, code=FENCING, severity=severity, node=node, by=by, change=change)
    _finish(held, fence, "done", f"{node.name} is off: {how}.")
    decide.run(held, Group.objects.filter(owner=node).values_list("pk", flat=True))


def round_failed(held: Held, fence: Fence, why: str) -> None:
    """No level is left. Nothing is moved; all levels are tried again after a pause that grows."""
    node = Node.objects.get(pk=fence.node_id)
    fence.rounds += 1
    fence.error, fence.doing = why, ""
    if not node.unfenced:  # somebody asked for it, and the node is not waited for
        _end(held, fence, "failed", why)
        text = f"{node.name} could not be fenced: {why}"
        journal.add(held, text, code=FENCING, severity=Severity.ERROR, node=node)
        _finish(held, fence, "failed", text)
        return
    pause = pause_before_round(fence.rounds)
    fence.state, fence.next_at, fence.claimed_until = "failed", held.now + pause, None
    fence.save()
    _finish(held, fence, "failed", f"{node.name} could not be fenced: {why}")
    text = (
        f"{node.name} could not be fenced: {why} Its groups stay where they are and wait. "
        f"All levels are tried again in {pause:g} s."
    )
    journal.add(held, text, code=FENCING, severity=Severity.SEVERE, node=node)


def asked(held: Held, node: Node, operation: Operation) -> None:
    """An operator wants the node off, whether it is silent or not."""
    begin(held, node, f"asked for by {operation.requested_by}", operation)
    why = f": {operation.reason}" if operation.reason else ""
    text = f"{node.name} is fenced, asked for by {operation.requested_by}{why}"
    journal.add(
        held,
        text,
        code=FENCING,
        severity=Severity.WARNING,
        node=node,
        operation=operation,
        by=operation.requested_by,
    )


def seen_off(held: Held, node: Node, operation: Operation) -> None:
    """An operator has seen that the node is off, and takes the responsibility."""
    fence = open_fence(node)
    assert fence is not None  # check_seen_off
    if fence.operation_id:
        _finish(held, fence, "superseded", f"{operation.requested_by} has seen that {node.name} is off.")
    fence.operation = operation
    how = f"{operation.requested_by} has seen that it is off: {operation.reason.rstrip('.')}"
    confirm(held, fence, how, by=operation.requested_by)


def check_fence(node: Node) -> None:
    """Refuse to fence a node that has no devices."""
    if not FenceStep.objects.filter(node=node).exists():
        raise Refused("node", f"{node.name} has no fence devices.")
    fence = open_fence(node)
    if fence is not None and fence.state == "running" and fence.doing != MAINTENANCE:
        raise Refused("node", f"{node.name} is being fenced already.")


def check_seen_off(node: Node, reason: str, confirm: str) -> None:
    """Refuse where nothing waits for it, or where it could be said by accident."""
    if not node.unfenced:
        label = NodeState(node.state).label
        raise Refused("node", f"Nothing waits for {node.name} to be off: it is {label}.")
    if confirm.strip().upper() != node.name.upper():
        raise Refused("confirm", f"Type {node.name} to confirm that this node is off.")
    if not reason:
        raise Refused("reason", "Say how you have seen it: this is kept in the history.")


def check_evict(node: Node) -> None:
    """Refuse to forget a node while it is being turned off."""
    if open_fence(node) is not None:
        raise Refused("node", f"{node.name} is being fenced: wait until that has ended.")


def _end(held: Held, fence: Fence, state: str, outcome: str) -> None:
    fence.state, fence.outcome, fence.finished, fence.doing = state, outcome, held.now, ""
    fence.claimed_until = None
    fence.save()
    held.nodes.add(fence.node_id)


def _finish(held: Held, fence: Fence, state: str, text: str) -> None:
    """End the operation of whoever asked for it."""
    if fence.operation is not None and fence.operation.state == "running":
        decide.end_operation(held, fence.operation, state, text)
