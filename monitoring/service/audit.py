"""From where somebody acts, and the audit trail that says so.

Whoever lets people act (dashboard, API, command line, schedule) says from where with `acting`.
Each line of the history that is written meanwhile in somebody's name then gets an entry in the
audit trail, in the same transaction: no action can do without, and none has to think of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from monitoring.models import AuditEntry, Event, Operation
from monitoring.service import clock


@dataclass
class Origin:
    """From where somebody acts. `who` and `role` may be found out only while it is under way.

    `refusals` gathers what the cluster service answered where it did not do as it was asked.
    """

    channel: str
    address: str = ""
    who: str = ""
    role: str = ""
    refusals: list[str] = field(default_factory=list)


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextmanager
def acting(origin: Origin) -> Iterator[Origin]:
    """All that is done inside comes from there."""
    token = _origin.set(origin)
    try:
        yield origin
    finally:
        _origin.reset(token)


def note_refusal(error: Exception) -> None:
    """Remember why the cluster service did not do it, for the entry that tells of the attempt."""
    if (origin := _origin.get()) is not None:
        origin.refusals.append(sentence(error))


def sentence(error: Exception) -> str:
    """An error in the words that the reader was given."""
    messages = getattr(error, "messages", None)
    return " ".join(messages) if messages else str(getattr(error, "message", "") or error)


def done(event: Event, operation: Operation | None) -> None:
    """Tell of an event that somebody caused; of an operation its first one. Two queries at most."""
    origin = _origin.get()
    if origin is None or (operation and AuditEntry.objects.filter(operation=operation).exists()):
        return
    AuditEntry.objects.create(
        at=event.at,
        who=event.requested_by,
        role=origin.role,
        channel=origin.channel,
        address=origin.address[:120],
        text=event.text,
        reason=operation.reason if operation else "",
        operation=operation,
        event=event.seq,
    )


def attempted(origin: Origin, text: str, outcome: str) -> None:
    """Tell of what changed nothing in the cluster: refused, not allowed, or signing in and out."""
    AuditEntry.objects.create(
        at=clock.now(),
        who=origin.who[:150],
        role=origin.role,
        channel=origin.channel,
        address=origin.address[:120],
        text=text,
        outcome=outcome,
    )
