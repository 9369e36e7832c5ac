"""An operator says afterwards whether an outage was planned. It is kept with who, when and why."""

from __future__ import annotations

from datetime import UTC, datetime

from monitoring.core.model import Refused
from monitoring.core.states import GroupState
from monitoring.models import Event, OutageMark
from monitoring.service import journal
from monitoring.service.apply import GROUP_STATE_CHANGED
from monitoring.service.lock import again, cluster_lock

OUTAGE_MARKED = 9003


def beginning(number: int) -> Event:
    """The event with which outage `number` began; Refused where none did. One query."""
    up = GroupState.ONLINE.label
    begun = Event.objects.filter(pk=number, code=GROUP_STATE_CHANGED, state_from=up).exclude(state_to=up)
    event = begun.select_related("group").first()
    if event is None:
        raise Refused("outage", f"No outage began with event {number}.")
    return event


@again
def mark(number: int, *, planned: bool, reason: str, by: str) -> OutageMark:
    """Mark an outage as planned or unplanned. Refused without a reason, or where there is no such outage."""
    reason = reason.strip()
    if not reason:
        raise Refused("reason", "Say why: the report shows it.")
    with cluster_lock() as held:
        event = beginning(number)
        name = event.group.name if event.group else event.group_name
        made = OutageMark.objects.create(
            group=event.group,
            group_name=name,
            event=number,
            planned=planned,
            reason=reason,
            requested_by=by,
            at=held.now,
        )
        word = "planned" if planned else "unplanned"
        since = f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        text = f"The outage of {name} that began at {since} (event {number}) is marked as {word}: {reason}"
        journal.add(held, text, code=OUTAGE_MARKED, group=event.group, by=by)
    return made


def marks_of(number: int) -> list[OutageMark]:
    """All that was said about an outage, the newest first. One query."""
    return list(OutageMark.objects.filter(event=number).order_by("-id"))
