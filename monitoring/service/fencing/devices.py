"""Testing a fence device: asked for by an operator, carried out by the cluster service."""

from __future__ import annotations

from monitoring.core.model import Refused
from monitoring.models import FenceDevice, FenceStep, Node, Operation
from monitoring.service import journal
from monitoring.service.fencing.fences import FENCING
from monitoring.service.lock import cluster_lock


def request_test(device_id: int, *, node: int | None = None, by: str, reason: str = "") -> Operation:
    """Ask for a test: whether the device can be used, and of a node whether it has power.

    Nothing is turned off or on. The operation ends with what was found.
    """
    with cluster_lock() as held:
        device = FenceDevice.objects.filter(pk=device_id).first()
        if device is None:
            raise Refused("device", "There is no such fence device.")
        about = Node.objects.filter(pk=node).first() if node is not None else None
        if node is not None and not FenceStep.objects.filter(node=node, device=device).exists():
            raise Refused("node", f"{device} is in no level of {about or 'this node'}.")
        if device.test_operation_id is not None:
            raise Refused("device", f"{device} is being tested already.")
        operation = Operation.objects.create(
            kind="fence-test",
            node=about,
            subject=device.name,
            requested_by=by,
            reason=reason.strip(),
            requested_at=held.now,
        )
        device.test_operation, device.claimed_until = operation, None
        device.save(update_fields=["test_operation", "claimed_until"])
        held.operations.add(operation.pk)
        for_node = f" for {about}" if about else ""
        text = f"{device} is tested{for_node}, asked for by {by}."
        journal.add(held, text, code=FENCING, node=about, operation=operation, by=by)
        return operation
