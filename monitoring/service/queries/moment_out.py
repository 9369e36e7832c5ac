"""What a moment says to programs. Times are RFC 3339; a moment is written so as well."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from monitoring.core.model import Refused
from monitoring.service.queries import moment
from monitoring.service.queries.moment import UNKNOWN_OF, Was


class WasOut(msgspec.Struct, frozen=True):
    """`state` is empty where the history holds nothing before the moment."""

    name: str
    state: str
    node: str
    since: datetime | None


class DifferenceOut(msgspec.Struct, frozen=True):
    kind: str
    before: WasOut
    after: WasOut


class MomentOut(msgspec.Struct, frozen=True):
    """The cluster at `at`; with `to` what was different then. `unknown`: what the history lacks."""

    at: datetime
    to: datetime | None
    groups: tuple[WasOut, ...]
    resources: tuple[WasOut, ...]
    nodes: tuple[WasOut, ...]
    differences: tuple[DifferenceOut, ...]
    unknown: tuple[str, ...]


def read(at: str, to: str, now: float) -> MomentOut:
    """The cluster at one moment, and the difference to another. Refused with the field of a wrong time."""
    begin, end = moment_of("at", at, now), moment_of("to", to, now) if to else None
    first = moment.moment(begin)
    found = moment.differences(first, moment.moment(end)) if end is not None else ()
    return MomentOut(
        at=datetime.fromtimestamp(begin, UTC),
        to=None if end is None else datetime.fromtimestamp(end, UTC),
        groups=tuple(map(_was, first.groups)),
        resources=tuple(map(_was, first.resources)),
        nodes=tuple(map(_was, first.nodes)),
        differences=tuple(DifferenceOut(d.kind, _was(d.before), _was(d.after)) for d in found),
        unknown=UNKNOWN_OF,
    )


def moment_of(field: str, text: str, now: float) -> float:
    """Cluster time of a written time that has come. Refused with the field where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(field, f"{text!r} is no time. Write it as 2030-01-31T14:05:00Z.") from None
    found = (at if at.tzinfo else at.astimezone()).timestamp()
    if found > now:
        raise Refused(field, f"{text} has not come yet.")
    return found


def _was(was: Was) -> WasOut:
    since = None if was.since is None else datetime.fromtimestamp(was.since, UTC)
    return WasOut(was.name, was.state, was.node, since)
