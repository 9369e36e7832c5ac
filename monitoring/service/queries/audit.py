"""The audit trail, newest first, page by page behind a key; narrowed as the reader asks."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from monitoring.models import AuditEntry
from monitoring.service.queries.history import PAGE, WORDS, Page

OUTCOMES = {**dict(AuditEntry.OUTCOMES), "failed": "Failed afterwards"}
"""How an entry may have ended: at once, or later."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the trail is wanted; times in cluster time, None and "" leave it open.

    `outcome` is one of AuditEntry.OUTCOMES, or "failed": it was accepted, and failed afterwards.
    """

    who: str = ""
    channel: str = ""
    outcome: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry. `state` is how it ended: of an operation its own state, else the entry's outcome."""

    id: int
    at: float
    who: str
    role: str
    channel: str
    channel_label: str
    address: str
    text: str
    reason: str
    state: str
    state_label: str
    outcome: str
    """The operation's last word, "" where there is none."""
    event: int | None

    @property
    def tone(self) -> str:
        """How bad that is: ok, busy, warn, bad or off."""
        tones = {"done": "ok", "running": "busy", "superseded": "off", "refused": "warn"}
        return tones.get(self.state, "bad")


def entries(wanted: Filter, before: int | None = None, limit: int = PAGE) -> Page[AuditRow]:
    """Rows older than the key `before`. One query."""
    found = AuditEntry.objects.select_related("operation").filter(_wanted(wanted))
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: limit + 1])
    more = len(rows) > limit
    return Page(tuple(_row(row) for row in rows[:limit]), rows[limit - 1].pk if more else None)


def people() -> list[str]:
    """Everybody who is named in the trail. One query."""
    return list(AuditEntry.objects.order_by("who").values_list("who", flat=True).distinct())


def _wanted(wanted: Filter) -> Q:
    found = Q()
    for word in wanted.text.split()[:WORDS]:
        found &= Q(text__icontains=word) | Q(reason__icontains=word) | Q(address__icontains=word)
    if wanted.outcome == "failed":
        found &= Q(operation__state="failed")
    elif wanted.outcome:
        found &= Q(outcome=wanted.outcome)
    exact = {"who": wanted.who, "channel": wanted.channel}
    found &= Q(**{name: value for name, value in exact.items() if value})
    if wanted.since is not None:
        found &= Q(at__gte=wanted.since)
    if wanted.until is not None:
        found &= Q(at__lte=wanted.until)
    return found


def _row(row: AuditEntry) -> AuditRow:
    operation = row.operation
    return AuditRow(
        id=row.pk,
        at=row.at,
        who=row.who,
        role=row.role,
        channel=row.channel,
        channel_label=row.get_channel_display(),
        address=row.address,
        text=row.text,
        reason=row.reason,
        state=operation.state if operation else row.outcome,
        state_label=operation.get_state_display() if operation else row.get_outcome_display(),
        outcome=operation.outcome if operation else "",
        event=row.event,
    )
