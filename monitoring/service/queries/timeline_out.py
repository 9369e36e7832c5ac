"""What the state timeline says to programs. Times are RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from monitoring.service.queries import timeline
from monitoring.service.queries.moment_out import moment_of
from monitoring.service.queries.timeline import Span

DAY = 86_400.0


class SpanOut(msgspec.Struct, frozen=True):
    """A group was in a state on a node. `until` is null where it still is; what began before the time asked
    for has its true beginning. `event` is the number of the line that began it, `record` the failover."""

    state: str
    node: str
    since: datetime
    until: datetime | None
    by: str
    cause: str
    event: int
    record: int | None


class LaneOut(msgspec.Struct, frozen=True):
    """The states of a group, in order. `deleted`: it is not there any more."""

    group: str
    deleted: bool
    spans: tuple[SpanOut, ...]


class UnwatchedOut(msgspec.Struct, frozen=True):
    """Nobody watched then: what happened is not known."""

    since: datetime
    until: datetime


class TimelineOut(msgspec.Struct, frozen=True):
    """The states of groups between two moments."""

    since: datetime
    until: datetime
    groups: tuple[LaneOut, ...]
    unwatched: tuple[UnwatchedOut, ...]


def read(group: int | None, since: str, until: str, now: float) -> TimelineOut:
    """Of one group, or all; without times the last day. Refused with the field of what is wrong."""
    end = moment_of("until", until, now) if until else now
    begin = moment_of("since", since, end) if since else end - DAY
    found = timeline.timeline(begin, end, now, group)
    return TimelineOut(
        _time(begin),
        _time(end),
        tuple(
            LaneOut(lane.name, lane.group is None, tuple(map(_span, lane.spans)))
            for lane in timeline.with_causes(found.lanes)
        ),
        tuple(UnwatchedOut(_time(low), _time(high)) for low, high in found.unwatched),
    )


def _span(span: Span) -> SpanOut:
    return SpanOut(
        span.state.label,
        span.node,
        _time(span.since),
        None if span.until is None else _time(span.until),
        span.by,
        span.cause,
        span.event,
        span.record,
    )


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
