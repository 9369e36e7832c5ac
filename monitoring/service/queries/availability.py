"""What a report of availability reads: the changes of groups' states in its months, and little more.

Seven queries at most, however many groups there are and however long the history is: the lines
that tell of groups' states have indexes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from django.db.models import OuterRef, Q, QuerySet, Subquery

from monitoring.core import availability as core
from monitoring.core.availability import Change, Course, Mark, Outage, Row, Window
from monitoring.core.model import Refused
from monitoring.core.states import GroupState
from monitoring.models import Event, Group, Operation, OutageMark
from monitoring.service import watching
from monitoring.service.apply import GROUP_STATE_CHANGED

MONTHS = 24
"""The most months of one report."""
CHANGES = 400_000
"""The most changes of state that one report reads."""

STATES = {state.label: state for state in GroupState}
_COLUMNS = (
    *("seq", "at", "group_id", "group_name", "state_to", "node_name"),
    *("operation_id", "record_id", "record__kind", "record__operation_id"),
)
_MONTH = re.compile("([0-9]{4})-([0-9]{1,2})")
Key = tuple[int | None, str]
"""A group by its id; one that is gone by its name."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group in a month. `group` is None where it was deleted."""

    group: int | None
    name: str
    row: Row


@dataclass(frozen=True, slots=True)
class OutageRow:
    """An outage of a group, with its length without time that nobody watched, and why it came."""

    group: int | None
    name: str
    outage: Outage
    seconds: float
    cause: str


@dataclass(frozen=True, slots=True)
class Courses:
    """What all groups went through until `until`, and when nobody watched."""

    since: float
    until: float
    of: Mapping[Key, Course]
    unwatched: core.Times


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by month, newest first, then by name; outages newest first. `until`: no later than now."""

    windows: tuple[Window, ...]
    until: float
    rows: tuple[GroupRow, ...]
    outages: tuple[OutageRow, ...]
    unwatched: core.Times


def report(windows: Sequence[Window], now: float, group: int | None = None) -> Report:
    """The availability of all groups, or one, in these months. Seven queries at most."""
    since, until = windows[0].since, min(windows[-1].until, now)
    found = courses(since, until, group)
    rows = [
        GroupRow(id, name, row)
        for (id, name), course in found.of.items()
        for row in core.rows(course, windows, found.unwatched)
    ]
    rows.sort(key=lambda one: (-one.row.window.since, one.name.lower()))
    outages = _outages(found)
    return Report(tuple(windows), until, tuple(rows), outages, found.unwatched)


def courses(since: float, until: float, group: int | None = None) -> Courses:
    """What groups went through between two moments, and before while an outage lasted. Six queries."""
    groups = _openings(since, group)
    changes = _changes(groups, since, until, group)
    maintenance = _maintenance(until)
    marks = _marks(since, groups)
    unwatched = watching.unwatched(since, until)
    of: dict[Key, Course] = {}
    for key, lines in changes.items():
        held = _merged([*maintenance.get(None, []), *maintenance.get(key[0], [])], until)
        course = core.course(lines, until, gone=key[0] is None, maintenance=held, marks=marks)
        if course is not None:
            of[key] = course
    return Courses(since, until, of, unwatched)


def months(first: str, last: str, now: float, zone: tzinfo, count: int = 3) -> tuple[Window, ...]:
    """The months from `first` to `last`, written 2026-11; empty: `count` months up to the present one.

    Refused, with the field `since` or `until`, where one is no month or they are too many.
    """
    today = datetime.fromtimestamp(now, zone)
    end = _month("until", last) if last else (today.year, today.month)
    start = _month("since", first) if first else _back(end, count - 1)
    if start > end:
        raise Refused("until", f"{last or 'The present month'} is before {first}.")
    if (end[0] - start[0]) * 12 + end[1] - start[1] >= MONTHS:
        raise Refused("since", f"A report has {MONTHS} months at most. Begin later or end earlier.")
    return core.months(start, end, zone)


def _month(field: str, text: str) -> tuple[int, int]:
    found = _MONTH.fullmatch(text)
    if found and 1970 <= int(found[1]) <= 9990 and 1 <= int(found[2]) <= 12:
        return int(found[1]), int(found[2])
    raise Refused(field, f"{text!r} is no month. Write it as 2030-01.")


def _back(month: tuple[int, int], by: int) -> tuple[int, int]:
    number = month[0] * 12 + month[1] - 1 - by
    return number // 12, number % 12 + 1


@dataclass(frozen=True, slots=True)
class _Opening:
    name: str
    up: int | None
    """Number of the event with which the group was last Online before the report."""
    newest: int | None
    """Number of its last change of state before the report."""


def _lines() -> QuerySet[Event]:
    return Event.objects.filter(code=GROUP_STATE_CHANGED)


def _openings(since: float, group: int | None) -> dict[int, _Opening]:
    """How each group stood when the report begins. One query."""
    before = _lines().filter(group=OuterRef("pk"), at__lt=since).order_by("-seq").values("seq")
    rows = Group.objects.all() if group is None else Group.objects.filter(pk=group)
    found = rows.annotate(
        newest=Subquery(before[:1]), up=Subquery(before.filter(state_to=GroupState.ONLINE.label)[:1])
    ).values_list("pk", "name", "up", "newest")
    return {pk: _Opening(name, up, newest) for pk, name, up, newest in found}


def _changes(
    groups: Mapping[int, _Opening], since: float, until: float, group: int | None
) -> dict[Key, list[Change]]:
    """Changes of state in their order, each group's from its opening on. Two queries, three at most."""
    changes: dict[Key, list[Change]] = {(pk, opening.name): [] for pk, opening in groups.items()}
    for line in _lead_in(groups, since):
        _add(changes, groups, line)
    within = _lines().filter(at__gte=since, at__lt=until)
    if group is not None:
        within = within.filter(group_id=group)
    lines = within.order_by("seq").values_list(*_COLUMNS)[: CHANGES + 1]
    for count, line in enumerate(lines.iterator(chunk_size=5000)):
        if count == CHANGES:
            text = f"There are more than {CHANGES} changes of state in this time. Ask for fewer months."
            raise Refused("since", text)
        _add(changes, groups, line)
    return changes


def _lead_in(groups: Mapping[int, _Opening], since: float) -> Iterable[tuple[object, ...]]:
    """What was before the report: the last time that each group came up, and its outage since then."""
    ups = [opening.up for opening in groups.values() if opening.up is not None]
    down: dict[int, int] = {pk: o.up for pk, o in groups.items() if o.up is not None and o.newest != o.up}
    wanted = Q(pk__in=ups)
    if down:
        wanted |= Q(group_id__in=list(down), seq__gt=min(down.values()), at__lt=since)
    lines = _lines().filter(wanted).order_by("seq").values_list(*_COLUMNS)
    return [line for line in lines if line[0] >= (groups[line[2]].up or 0)] if ups else []


def _add(changes: dict[Key, list[Change]], groups: Mapping[int, _Opening], line: tuple[object, ...]) -> None:
    seq, at, group, name, state, node, operation, record, kind, record_operation = line
    key = (group, groups[group].name) if group in groups else (None, name)  # type: ignore[index]
    asked = operation is not None or record_operation is not None or kind == "failback"
    change = Change(seq, at, STATES[state], node, asked, kind == "failover", record)  # type: ignore[arg-type,index]
    changes.setdefault(key, []).append(change)  # type: ignore[arg-type]


def _maintenance(until: float) -> dict[int | None, list[core.Time]]:
    """When each group was in maintenance; under None the whole cluster. One query."""
    kinds = ("maintenance", "end-maintenance")
    rows = Operation.objects.filter(kind__in=kinds, requested_at__lt=until).exclude(state="failed")
    open_since: dict[int | None, float] = {}
    times: dict[int | None, list[core.Time]] = {}
    lines = rows.order_by("requested_at", "id").values_list("kind", "group_id", "requested_at")
    for kind, group, at in lines:
        if kind == "maintenance":
            open_since.setdefault(group, at)
        elif group in open_since:
            times.setdefault(group, []).append((open_since.pop(group), at))
    for held, begun in open_since.items():
        times.setdefault(held, []).append((begun, until))
    return times


def _merged(times: list[core.Time], until: float) -> tuple[core.Time, ...]:
    merged: list[core.Time] = []
    for low, high in sorted(times):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple((low, min(high, until)) for low, high in merged if low < until)


def _marks(since: float, groups: Mapping[int, _Opening]) -> dict[int, Mark]:
    """What operators said about outages, the newest word of each. One query."""
    first = min((o.up for o in groups.values() if o.up is not None and o.up != o.newest), default=None)
    marks = OutageMark.objects.all()
    rows = marks.filter(at__gte=since) if first is None else marks.filter(event__gt=first)
    return {mark.event: Mark(mark.planned, mark.reason, mark.requested_by, mark.at) for mark in rows}


def _outages(found: Courses) -> tuple[OutageRow, ...]:
    """The outages that touch the report, newest first, with what the history says of them. One query."""
    touching = [
        (key, outage)
        for key, course in found.of.items()
        for outage in course.outages
        if outage.until is None or outage.until > found.since
    ]
    touching.sort(key=lambda pair: -pair[1].seq)
    causes = causes_of(outage for _, outage in touching)
    return tuple(
        OutageRow(id, name, outage, outage.seconds(found.unwatched), causes.get(outage.seq, ""))
        for (id, name), outage in touching
    )


def causes_of(outages: Iterable[Outage]) -> dict[int, str]:
    """Why outages came: the cause of the failover or move, else the line of the history. One query."""
    numbers = [outage.seq for outage in outages][:5000]
    lines = Event.objects.filter(pk__in=numbers).values_list("pk", "text", "record__cause")
    return {seq: cause or text for seq, text, cause in lines}
