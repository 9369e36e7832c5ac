"""An entry of the audit trail as programs read it: REST API, command line, JSON file."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from monitoring.service.queries.audit import AuditRow


class EntryOut(msgspec.Struct, frozen=True):
    """One entry; `state` is how it ended, an operation's own state where it became one."""

    id: int
    at: str
    who: str
    role: str
    channel: str
    address: str
    text: str
    reason: str
    state: str
    outcome: str
    event: int | None


def of_entry(row: AuditRow) -> EntryOut:
    """An entry as programs read it."""
    return EntryOut(
        id=row.id,
        at=datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds"),
        who=row.who,
        role=row.role,
        channel=row.channel,
        address=row.address,
        text=row.text,
        reason=row.reason,
        state=row.state,
        outcome=row.outcome,
        event=row.event,
    )
