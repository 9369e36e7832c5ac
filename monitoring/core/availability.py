"""How available a group was: uptime, outages and who served, from its changes of state. Pure.

What counts (docs/availability.md says it to operators):
- Up is Online, and nothing else. All other states are downtime: a group that is Partial Online,
  Pending, Failed, Offline or Unknown does not give its clients all that it should.
- A group is in service from the moment it was first Online; what was before counts as nothing.
- An *outage* is one stretch of downtime, and is known by the number of the event that began it. It
  belongs to the month in which it began, its seconds to the months in which they passed.
- Downtime is *planned* where an operator's operation, a failback that the group's settings ask for,
  or maintenance began it, until something fails meanwhile. All other downtime is unplanned, and
  stays so until the group is up again. An operator may mark an outage as one or the other.
- Time in which nobody watched is neither up nor down, and is told apart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from monitoring.core.states import GroupState

Time = tuple[float, float]
"""From and to, in cluster time."""
Times = Sequence[Time]
"""In their order, none overlapping another."""

_FAULTS = (GroupState.FAILED, GroupState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Change:
    """A group came into a state, or to another node. `seq` is the number of the event.

    `asked`: an operator's operation, or a failback by the group's own settings, stands behind it.
    `failover`: it belongs to a failover.
    """

    seq: int
    at: float
    state: GroupState
    node: str
    asked: bool = False
    failover: bool = False
    record: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What an operator said afterwards about an outage."""

    planned: bool
    reason: str
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Window:
    """A calendar month, `label` as 2026-11, from its first moment to that of the next one."""

    label: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an outage in which state, node and blame stayed the same."""

    since: float
    until: float
    state: GroupState
    node: str
    planned: bool


@dataclass(frozen=True, slots=True)
class Outage:
    """One stretch in which a group was not Online.

    `node` served before; `until` is None where it has not ended within the report.
    """

    seq: int
    since: float
    until: float | None
    node: str
    pieces: tuple[Piece, ...]
    record: int | None = None
    mark: Mark | None = None

    @property
    def planned(self) -> bool:
        """True where no part of it is unplanned."""
        return all(piece.planned for piece in self.pieces)

    def seconds(self, unwatched: Times = ()) -> float:
        """How long it was, without the time in which nobody watched."""
        return sum(_watched(unwatched, piece.since, piece.until) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Stint:
    """A node served the group, with interruptions perhaps, from one moment to another."""

    node: str
    since: float
    until: float
    up: float


@dataclass(frozen=True, slots=True)
class Row:
    """A group in a month; all lengths in seconds.

    `partly` is the part of the downtime in which the group was Partial Online. `recovery` is the mean
    length of the unplanned outages that began in the month and have ended, None without one.
    """

    window: Window
    up: float
    planned: float
    unplanned: float
    partly: float
    unwatched: float
    outages_planned: int
    outages_unplanned: int
    recovery: float | None
    down_now: bool
    served: tuple[Stint, ...]

    @property
    def counted(self) -> float:
        """Seconds that were watched while the group was in service."""
        return self.up + self.planned + self.unplanned

    @property
    def outages(self) -> int:
        return self.outages_planned + self.outages_unplanned

    @property
    def availability(self) -> float | None:
        """The share of the counted time in which it was up, 0 to 1; None where nothing counts."""
        return share(self.up, self.counted)

    @property
    def availability_unplanned(self) -> float | None:
        """The same where planned downtime is left out."""
        return share(self.up, self.up + self.unplanned)


@dataclass(frozen=True, slots=True)
class Course:
    """What a group went through: what is known of it, cut at the end of the report."""

    since: float
    """When it came into service, or the last time that it came up before the report."""
    until: float
    up: tuple[Piece, ...]
    outages: tuple[Outage, ...]


def share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def months(first: tuple[int, int], last: tuple[int, int], zone: tzinfo) -> tuple[Window, ...]:
    """The calendar months from (year, month) to (year, month), both inclusive, as `zone` has them."""
    found = []
    year, month = first
    while (year, month) <= last:
        following = (year, month + 1) if month < 12 else (year + 1, 1)
        edges = (datetime(*day, 1, tzinfo=zone).timestamp() for day in ((year, month), following))
        found.append(Window(f"{year:04}-{month:02}", *edges))
        year, month = following
    return tuple(found)


def course(
    changes: Sequence[Change],
    until: float,
    *,
    gone: bool = False,
    maintenance: Times = (),
    marks: Mapping[int, Mark] | None = None,
) -> Course | None:
    """What the changes, in their order, amount to; None where the group never came into service.

    `gone`: the group was deleted, and nothing is known of it after its last change.
    """
    first = next((i for i, change in enumerate(changes) if change.state is GroupState.ONLINE), None)
    if first is None:
        return None
    changes = changes[first:]
    end = min(until, changes[-1].at) if gone else until
    ups: list[Piece] = []
    outages: list[Outage] = []
    for is_up, run in _runs(changes, end):
        if is_up:
            ups += [Piece(since, to, change.state, change.node, True) for change, since, to in run]
        else:
            before = ups[-1].node if ups else ""
            outages.append(_outage(run, before, end, gone, maintenance, marks or {}))
    return Course(changes[0].at, end, tuple(ups), tuple(outages))


def rows(course: Course, windows: Iterable[Window], unwatched: Times = ()) -> Iterator[Row]:
    """One row for each month in which the group was in service."""
    for window in windows:
        low, high = max(window.since, course.since), min(window.until, course.until)
        if high > low:
            yield _row(course, window, low, high, unwatched)


_Run = list[tuple[Change, float, float]]


def _runs(changes: Sequence[Change], end: float) -> Iterator[tuple[bool, _Run]]:
    """The changes with the time until the next one, gathered while the group stays up or down."""
    run: _Run = []
    for index, change in enumerate(changes):
        to = changes[index + 1].at if index + 1 < len(changes) else end
        up = change.state is GroupState.ONLINE
        if run and (run[-1][0].state is GroupState.ONLINE) != up:
            yield not up, run
            run = []
        run.append((change, change.at, max(to, change.at)))
    if run:
        yield run[-1][0].state is GroupState.ONLINE, run


def _outage(
    run: _Run, before: str, end: float, gone: bool, maintenance: Times, marks: Mapping[int, Mark]
) -> Outage:
    first = run[0][0]
    mark = marks.get(first.seq)
    fault = False
    pieces: list[Piece] = []
    for change, since, to in run:
        for low, high, held in _cut(since, to, maintenance):
            began = not pieces
            if began:
                fault = not change.asked and not held
            elif not held:
                failover = change.failover and change.state is GroupState.PENDING
                fault = fault or change.state in _FAULTS or failover
            planned = not fault if mark is None else mark.planned
            pieces.append(Piece(low, high, change.state, change.node, planned))
    last = run[-1][2]
    until = last if last < end or gone else None
    return Outage(first.seq, first.at, until, before, tuple(pieces), first.record, mark)


def _cut(since: float, until: float, maintenance: Times) -> Iterator[tuple[float, float, bool]]:
    """A time cut where maintenance begins and ends: from, to, whether in maintenance."""
    at = since
    for low, high in maintenance:
        if high <= at or low >= until:
            continue
        if low > at:
            yield at, low, False
        at = min(high, until)
        yield max(low, since), at, True
    if at < until or since == until:
        yield at, until, False


def _row(course: Course, window: Window, low: float, high: float, unwatched: Times) -> Row:
    planned = unplanned = partly = 0.0
    for piece in _within((p for outage in course.outages for p in outage.pieces), low, high):
        seconds = _watched(unwatched, piece.since, piece.until)
        if piece.planned:
            planned += seconds
        else:
            unplanned += seconds
        partly += seconds if piece.state is GroupState.PARTIAL_ONLINE else 0.0
    began = [outage for outage in course.outages if low <= outage.since < window.until]
    lengths = [o.seconds(unwatched) for o in began if not o.planned and o.until is not None]
    counted = _watched(unwatched, low, high)
    return Row(
        window=window,
        up=max(0.0, counted - planned - unplanned),
        planned=planned,
        unplanned=unplanned,
        partly=partly,
        unwatched=high - low - counted,
        outages_planned=sum(outage.planned for outage in began),
        outages_unplanned=sum(not outage.planned for outage in began),
        recovery=sum(lengths) / len(lengths) if lengths else None,
        down_now=any(o.until is None for o in course.outages) and high == course.until,
        served=_stints(course.up, low, high, unwatched),
    )


def _stints(ups: Iterable[Piece], low: float, high: float, unwatched: Times) -> tuple[Stint, ...]:
    """Who served when; a node that went on after an outage has one stint, not two."""
    found: list[Stint] = []
    for piece in _within(ups, low, high):
        up = _watched(unwatched, piece.since, piece.until)
        if found and found[-1].node == piece.node:
            last = found.pop()
            found.append(Stint(piece.node, last.since, piece.until, last.up + up))
        else:
            found.append(Stint(piece.node, piece.since, piece.until, up))
    return tuple(found)


def _within(pieces: Iterable[Piece], low: float, high: float) -> Iterator[Piece]:
    for piece in pieces:
        since, until = max(piece.since, low), min(piece.until, high)
        if until > since:
            yield Piece(since, until, piece.state, piece.node, piece.planned)


def _watched(unwatched: Times, since: float, until: float) -> float:
    """Seconds between two moments in which somebody watched."""
    seconds = until - since
    at = max(0, bisect_left(unwatched, (since, since)) - 1)
    while at < len(unwatched) and unwatched[at][0] < until:
        low, high = unwatched[at]
        seconds -= max(0.0, min(high, until) - max(low, since))
        at += 1
    return max(0.0, seconds)
