"""Draining a node: one operation with a part for each group that has to leave."""

from __future__ import annotations

from monitoring.core.states import Severity
from monitoring.models import Node, Operation
from monitoring.service import journal
from monitoring.service.lock import Held

DRAIN_FAILED = 1677


def part_ended(held: Held, parent_id: int) -> None:
    """A group's part of a drain ended: when it was the last, the drain ends too."""
    parent = Operation.objects.filter(pk=parent_id, state="running").select_related("node").first()
    if parent is None:
        return
    parts = list(parent.parts.all())
    if any(part.state == "running" for part in parts):
        return
    failed = [part for part in parts if part.state != "done"]
    conclude(
        held, parent, [f"{part.subject}: {part.outcome}" for part in failed], moved=len(parts) - len(failed)
    )


def conclude(held: Held, parent: Operation, failed: list[str], moved: int) -> None:
    """End a drain: done where every group left, failed where one stayed, with the reasons."""
    parent.finished_at = held.now
    if failed:
        parent.state, status = "failed", "failed"
        parent.outcome = f"Drain of {parent.subject} is incomplete. " + " ".join(failed)
    else:
        parent.state, status = "done", "done"
        groups = f"{moved} group{'s' if moved != 1 else ''}"
        parent.outcome = f"{parent.subject} is paused, and {groups} moved away."
    parent.save(update_fields=["state", "outcome", "finished_at"])
    held.operations.add(parent.pk)
    if parent.node_id is not None:
        Node.objects.filter(pk=parent.node_id).update(drain_status=status)
    severity = Severity.ERROR if failed else Severity.INFORMATION
    journal.add(
        held,
        parent.outcome,
        code=DRAIN_FAILED if failed else 0,
        severity=severity,
        node=parent.node,
        operation=parent,
        by=parent.requested_by,
    )
