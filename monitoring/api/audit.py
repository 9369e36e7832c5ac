"""The audit trail in the REST API and on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from django.contrib.auth.models import User

from monitoring.api.endpoint import endpoint
from monitoring.api.problems import ProblemError
from monitoring.core.model import Refused
from monitoring.models import AuditEntry
from monitoring.models.roles import Role
from monitoring.service.queries import audit
from monitoring.service.queries.audit_out import EntryOut, of_entry


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of the trail is wanted. Times are ISO 8601 with an offset, or UTC without one."""

    who: str = ""
    channel: str = ""
    outcome: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class TrailOut(msgspec.Struct, frozen=True):
    """Entries, newest first; `next` is the `before` of the following page."""

    entries: list[EntryOut]
    next: int | None


def read(asked: AuditQuery) -> TrailOut:
    """Refused with the field where a channel, an outcome or a time is none."""
    wanted = audit.Filter(
        who=asked.who,
        channel=_one_of("channel", asked.channel, dict(AuditEntry.CHANNELS)),
        outcome=_one_of("outcome", asked.outcome, audit.OUTCOMES),
        text=asked.text,
        since=_moment("since", asked.since),
        until=_moment("until", asked.until),
    )
    page = audit.entries(wanted, asked.before, asked.limit)
    return TrailOut([of_entry(row) for row in page.rows], page.next)


def _one_of(field: str, given: str, known: dict[str, str]) -> str:
    if given and given not in known:
        raise Refused(field, f"{given!r} is none of {', '.join(known)}.")
    return given


def _moment(field: str, given: str) -> float | None:
    if not given:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise Refused(field, f"{given!r} is no time. Write it as 2030-01-31T14:05:00+00:00.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@endpoint("GET", Role.ADMINISTRATOR, AuditQuery)
def trail(user: User, asked: AuditQuery) -> object:
    try:
        return read(asked)
    except Refused as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, error.message, error.field) from None
