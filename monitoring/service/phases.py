"""What a resource's change of state adds to the history: its line, and its bar in the record."""

from __future__ import annotations

from monitoring.core.states import ResourceState, Severity
from monitoring.models import FailoverRecord, Group, Phase, Resource
from monitoring.service import journal
from monitoring.service.lock import Held

RESOURCE_STATE_CHANGED = 1637

_DIRECTION = {
    ResourceState.OFFLINE_PENDING: "offline",
    ResourceState.ONLINE_PENDING: "online",
    ResourceState.ONLINE: "online",
    ResourceState.OFFLINE: "offline",
}


def note(held: Held, group: Group, resource: Resource, before: ResourceState, elapsed: float) -> None:
    """Record that `resource` left the state `before`, in which it was for `elapsed` seconds.

    The resource's row already has the new state, and since when. One INSERT; two where a
    transit is under way.
    """
    state = ResourceState(resource.state)
    journal.add(
        held,
        f"{resource.name} is {state.label} (was {before.label}).",
        code=RESOURCE_STATE_CHANGED,
        severity=Severity.INFORMATION,
        group=group,
        resource=resource,
        node=group.owner,
        record=group.record,
        change=(before.label, state.label),
    )
    if group.record is not None:
        _bar(held, group, group.record, resource, before, elapsed)


def _bar(
    held: Held,
    group: Group,
    record: FailoverRecord,
    resource: Resource,
    before: ResourceState,
    elapsed: float,
) -> None:
    state, at = ResourceState(resource.state), resource.state_since
    if state.is_pending:
        Phase.objects.create(
            record=record,
            resource=resource,
            resource_name=resource.name,
            node_name=group.owner.name if group.owner else "",
            direction=_DIRECTION[state],
            started=at,
        )
        return
    from_pending = ResourceState.FAILED not in (before, state)
    open_bar = Phase.objects.filter(record=record, resource=resource, finished=None).last()
    if open_bar is None:
        direction = _DIRECTION.get(state) or _DIRECTION.get(before, "offline")
        open_bar = Phase(
            record=record,
            resource=resource,
            resource_name=resource.name,
            node_name=group.owner.name if group.owner else "",
            direction=direction,
            started=at,
        )
    if from_pending:
        open_bar.started = at - elapsed  # its pending state may have travelled with this one
    open_bar.finished = at
    open_bar.outcome = state.label
    open_bar.save()
