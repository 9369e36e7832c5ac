"""Writing the history: every event gets the next number, in the transaction that it tells of."""

from __future__ import annotations

from monitoring.core.states import Severity
from monitoring.models import Event, FailoverRecord, Group, Node, Operation, Resource
from monitoring.service import audit
from monitoring.service.lock import Held


def add(
    held: Held,
    text: str,
    *,
    code: int = 0,
    severity: Severity = Severity.INFORMATION,
    group: Group | None = None,
    resource: Resource | None = None,
    node: Node | None = None,
    operation: Operation | None = None,
    record: FailoverRecord | None = None,
    by: str = "",
    change: tuple[str, str] = ("", ""),
    number_at_node: int | None = None,
    output: str = "",
) -> Event:
    """Add a line to the history and mark what it is about as changed. One INSERT; with an entry of the
    audit trail where somebody does this now.

    `number_at_node` tells a line that a node sent from its others (LogEntry); `output` is what
    processes of the resource printed.
    `change` is (state before, state after) by their labels where the event is one. The
    rows' `changed` numbers are written when the lock is given back.
    """
    held.cluster.last_event += 1
    if group is not None:
        held.groups.add(group.pk)
    if resource is not None:
        held.resources.add(resource.pk)
        held.groups.add(resource.group_id)
    if node is not None:
        held.nodes.add(node.pk)
    event = Event.objects.create(
        seq=held.cluster.last_event,
        at=held.now,
        code=code,
        severity=severity,
        text=text,
        group=group,
        group_name=group.name if group else "",
        resource=resource,
        resource_name=resource.name if resource else "",
        node=node,
        node_name=node.name if node else "",
        operation=operation,
        record=record,
        requested_by=by,
        state_from=change[0],
        state_to=change[1],
        number_at_node=number_at_node,
        output=output,
    )
    if by:
        audit.done(event, operation)
    return event
