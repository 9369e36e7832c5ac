"""When something scheduled happens: its times in a zone, what is due, what was missed, what clashes.

A schedule is kept as an operator says it: a local time in a named zone. What the clocks do twice a
year is settled here: a local time that does not exist stands for the next moment that does, and
one that exists twice for the first of the two. Zones come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cached_property
from itertools import takewhile

FOREVER = float("inf")
LATE = 60.0
"""Seconds after its time from which a run is told to be late."""
LAST = -1
"""As `nth`: the last such weekday of the month."""
UNDO: Mapping[str, str] = {
    "drain": "resume",
    "pause": "resume",
    "maintenance": "end-maintenance",
    "offline": "online",
}
"""What the end of a window does, by what its beginning does."""


class Repeat(StrEnum):
    """How often."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time: `at` in seconds since 1970, `local` as the zone's clocks say it, without a zone."""

    at: float
    local: datetime


@dataclass(frozen=True)
class Recurrence:
    """The times of a schedule. `first` and `until` are local; `until` is the last day, None for ever.

    `every` days, weeks or months. `days` are weekdays, 0 for Monday: of a weekly one at least one, of
    a monthly one exactly one, and `nth` says which of them in the month: 1 to 4, or LAST.
    """

    first: datetime
    zone: tzinfo
    repeat: Repeat = Repeat.ONCE
    every: int = 1
    days: tuple[int, ...] = ()
    nth: int = 1
    until: date | None = None

    @cached_property
    def _rule(self) -> Callable[[datetime], Iterator[datetime]]:
        """Local times from a given one on."""
        from dateutil import rrule  # here: neither a node nor the start of anything needs it

        weekdays = [rrule.weekday(day) for day in self.days]
        byweekday = [weekdays[0](self.nth)] if self.repeat is Repeat.MONTHLY else weekdays or None
        frequency = {"daily": rrule.DAILY, "weekly": rrule.WEEKLY, "monthly": rrule.MONTHLY}[self.repeat]
        end = datetime.combine(self.until, datetime.max.time()) if self.until else None
        rule = rrule.rrule(frequency, self.first, self.every, byweekday=byweekday, until=end)
        return lambda start: rule.xafter(start, inc=True)

    def since(self, at: float) -> Iterator[Occurrence]:
        """All times at or after `at`, in order."""
        for local in self._locals(at):
            moment = instant(local, self.zone)
            if moment >= at:
                yield Occurrence(moment, local)

    def _locals(self, at: float) -> Iterable[datetime]:
        if self.repeat is Repeat.ONCE:
            return () if self.until and self.first.date() > self.until else (self.first,)
        earliest = max(at, instant(self.first, self.zone))
        # Clocks differ by less than two days from here to there, and are put by less than one
        start = datetime.fromtimestamp(earliest, UTC).replace(tzinfo=None) - timedelta(days=3)
        return self._rule(max(start, self.first))

    def next(self, at: float) -> Occurrence | None:
        """The first time at or after `at`; None where there is none any more."""
        return next(self.since(at), None)

    def between(self, since: float, until: float) -> list[Occurrence]:
        """All times from `since` to before `until`."""
        return list(takewhile(lambda one: one.at < until, self.since(since)))

    def end(self, begins: Occurrence, minutes: int) -> float:
        """When a window of that many minutes by the clock on the wall ends."""
        end = instant(begins.local + timedelta(minutes=minutes), self.zone)
        return end if end > begins.at else begins.at + 60 * minutes


def instant(local: datetime, zone: tzinfo) -> float:
    """Seconds since 1970 of a local time."""
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset() or timedelta(), second.utcoffset() or timedelta()
    if after <= before:  # as always, or it exists twice
        return first.timestamp()
    low, high = int(second.timestamp()), int(first.timestamp())  # the clocks are put on between these
    while high - low > 1:
        middle = (low + high) // 2
        offset = datetime.fromtimestamp(middle, zone).utcoffset()
        low, high = (middle, high) if offset == before else (low, middle)
    return float(high)


# What is due


@dataclass(frozen=True, slots=True)
class Due:
    """What has become of the times up to now: those that were missed, the one to run, the next one."""

    missed: tuple[float, ...]
    run: Occurrence | None
    next: float | None


def due(times: Recurrence, planned: float, tolerance: float, now: float) -> Due:
    """Settle all times from `planned` to `now`. `tolerance` in seconds.

    Only the latest is run, and that where it is not too late: an action that was not done in time
    five days running is not wanted five times.
    """
    passed = times.between(planned, now + 1e-6)
    following = times.next(max(now + 1e-6, planned))
    run = passed[-1] if passed and now - passed[-1].at <= tolerance else None
    missed = tuple(one.at for one in passed if one is not run)
    return Due(missed, run, following.at if following else None)


# What stands in each other's way


@dataclass(frozen=True, slots=True)
class Slot:
    """Something scheduled for a time: what it does to what, from when to when.

    `end` is None where nothing takes it back. `group` and `node` are what it is about; `target` is
    where a move goes. Without a group and a node it is about the whole cluster.
    """

    schedule: int
    title: str
    kind: str
    begin: float
    end: float | None = None
    group: int | None = None
    node: int | None = None
    target: int | None = None

    @property
    def until(self) -> float:
        return self.begin if self.end is None else self.end

    def meets(self, other: Slot) -> bool:
        """True where both are at some time in force."""
        return self.begin <= other.until and other.begin <= self.until


@dataclass(frozen=True, slots=True)
class Clash:
    """Two slots that do not go together, and in which way."""

    mine: Slot
    other: Slot
    how: str
    """same, maintenance, closed, last"""


def lasting(slots: Sequence[Slot]) -> list[Slot]:
    """The slots, each without an end of its own as long as it lasts: until another takes it back.

    A plain drain keeps its node without groups until a resume, wherever that is scheduled.
    """
    found = []
    for slot in slots:
        if slot.end is None and (back := UNDO.get(slot.kind)):
            ends = [
                other.begin
                for other in slots
                if other.kind == back
                and (other.group, other.node) == (slot.group, slot.node)
                and other.begin > slot.begin
            ]
            slot = replace(slot, end=min(ends, default=FOREVER))
        found.append(slot)
    return found


def clashes(mine: Sequence[Slot], others: Sequence[Slot], nodes: Iterable[int]) -> list[Clash]:
    """Where one schedule stands in the way of others, at most once for each pair of schedules and way.

    `nodes` are those that could take groups, as it is now.
    """
    every = lasting([*mine, *others])
    first, rest = every[: len(mine)], every[len(mine) :]
    up = set(nodes)
    found: dict[tuple[int, str], Clash] = {}
    for slot in first:
        near = [other for other in rest if slot.meets(other)]
        for other in near:
            if how := _how(slot, other):
                found.setdefault((other.schedule, how), Clash(slot, other, how))
        if slot.kind in ("drain", "pause"):
            closed = {other.node for other in near if other.kind in ("drain", "pause")} | {slot.node}
            if near and up and up <= closed and (last := _closes(near, slot)):
                found.setdefault((last.schedule, "last"), Clash(slot, last, "last"))
    return list(found.values())


def _closes(near: Iterable[Slot], slot: Slot) -> Slot | None:
    return next((o for o in near if o.kind in ("drain", "pause") and o.node != slot.node), None)


def _how(slot: Slot, other: Slot) -> str:
    for one, two in ((slot, other), (other, slot)):
        if one.kind == "maintenance" and _refuses(one, two):
            return "maintenance"
        if two.kind == "move" and one.kind in ("drain", "pause") and one.node == two.target:
            return "closed"
    same = (slot.group, slot.node) == (other.group, other.node)
    back = UNDO.get(slot.kind) == other.kind or UNDO.get(other.kind) == slot.kind
    return "same" if same and not back else ""


def _refuses(maintenance: Slot, other: Slot) -> bool:
    """True where the other is an action on what is in maintenance then."""
    everything = maintenance.group is None and maintenance.node is None
    acts = other.group is not None or other.kind == "drain"
    covers = everything or maintenance.group == other.group
    return covers and acts and other.kind not in ("maintenance", "end-maintenance")
