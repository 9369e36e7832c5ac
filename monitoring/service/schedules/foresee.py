"""What a schedule would lead to: its next times, what it would do as the cluster stands now, warnings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _

from monitoring.core.model import Refused
from monitoring.core.schedule import Clash, Occurrence, Slot, clashes
from monitoring.core.states import NodeState
from monitoring.models import Node, Schedule
from monitoring.service import clock, preview
from monitoring.service.preview import Preview
from monitoring.service.schedules import times, words

SHOWN = 5
"""Next times that are told."""
AHEAD = 12
"""Next times that are looked at."""
HORIZON = 400 * 86_400.0


@dataclass(frozen=True)
class Time:
    """One time of a schedule; `ends` is None where it is no window. `note`: what the clocks do to it."""

    at: float
    ends: float | None
    zone: str
    note: str = ""

    @property
    def local(self) -> datetime:
        """By the clocks of the schedule's zone; without a zone, so that no page puts it into another."""
        return datetime.fromtimestamp(self.at, times.zone(self.zone)).replace(tzinfo=None)

    @property
    def local_end(self) -> datetime | None:
        if self.ends is None:
            return None
        return datetime.fromtimestamp(self.ends, times.zone(self.zone)).replace(tzinfo=None)

    @property
    def abbreviation(self) -> str:
        """Of its zone at that time: CET or CEST."""
        return datetime.fromtimestamp(self.at, times.zone(self.zone)).tzname() or ""


@dataclass(frozen=True)
class Foreseen:
    """`preview` is what the action would do now, None where that cannot be said."""

    title: str
    rhythm: str
    times: tuple[Time, ...]
    preview: Preview | None
    warnings: tuple[str, ...]


def foresee(row: Schedule) -> Foreseen:
    """Look ahead for a schedule, saved or not. Changes nothing."""
    now = clock.now()
    found = times.of(row)
    coming = [one for one, _ in zip(found.since(now), range(AHEAD), strict=False)]
    told = tuple(Time(one.at, words.ends(row, one), row.zone, _note(row, one)) for one in coming)
    would: Preview | None = None
    try:
        would = _where(row, preview.of(row.kind, group=row.group_id, node=row.node_id))
    except Refused:
        pass  # what it is about is gone; the page says so
    warnings = [time.note for time in told if time.note]
    warnings += [_told(clash, row.zone) for clash in _clashes(row, coming, now)]
    return Foreseen(words.title(row), words.rhythm(row), told[:SHOWN], would, tuple(warnings))


def _where(row: Schedule, would: Preview) -> Preview:
    """Of a move, where it goes: what an operator would choose is chosen already, or left to that time."""
    if row.kind != "move" or row.group is None:
        return would
    here = row.group.owner.name if row.group.owner else _("no node")
    names = {"group": row.group_name, "here": here, "there": row.node_name}
    free = next((one for one in would.candidates if not one.refusal), None)
    if row.node_id is not None and row.node_id == row.group.owner_id:
        text = _("%(group)s is on %(there)s already: nothing would happen.") % names
    elif row.node_id is not None:
        text = _("All of %(group)s goes offline on %(here)s, and comes online on %(there)s.") % names
    elif free is not None:
        names["there"] = free.name
        text = _(
            "All of %(group)s goes offline on %(here)s, and comes online on the best node: now %(there)s."
        )
        text = text % names
    else:
        text = _("No other node can take %(group)s now.") % names
    return replace(would, sentences=(text,), stops=would.stops if row.node_id != row.group.owner_id else ())


def slots_of(row: Schedule, occurrences: list[Occurrence]) -> list[Slot]:
    """Times of a schedule as what stands in others' way. No query."""
    return [_slot(row, one.at, words.ends(row, one)) for one in occurrences]


def _slot(row: Schedule, begin: float, end: float | None) -> Slot:
    moves = row.kind == "move"
    return Slot(
        schedule=row.pk or 0,
        title=words.title(row),
        kind=row.kind,
        begin=begin,
        end=end,
        group=row.group_id,
        node=None if moves else row.node_id,
        target=row.node_id if moves else None,
    )


def slots(since: float, until: float, besides: int | None = None) -> list[Slot]:
    """All that is scheduled between two moments, open windows too, in order. One query."""
    found = []
    for row in Schedule.objects.filter(paused=False).exclude(pk=besides or 0):
        if row.next_at is not None and row.next_at < until:
            found += slots_of(row, times.of(row).between(max(since, row.next_at), until))
    for row in (
        Schedule.objects.filter(ends_at__isnull=False).exclude(pk=besides or 0).select_related("open_run")
    ):
        if row.open_run is not None:
            found.append(_slot(row, row.open_run.ran_at, row.ends_at))
    return sorted(found, key=lambda slot: (slot.begin, slot.schedule))


def _clashes(row: Schedule, coming: list[Occurrence], now: float) -> list[Clash]:
    mine = slots_of(row, [one for one in coming if one.at < now + HORIZON])
    if not mine:
        return []
    last = max(slot.until for slot in mine)
    others = slots(now, min(last, now + HORIZON) + 1, besides=row.pk)
    up = Node.objects.filter(state=NodeState.UP).values_list("pk", flat=True)
    return clashes(mine, others, up)


def _told(clash: Clash, zone: str) -> str:
    names = {
        "other": clash.other.title,
        "when": words.clock(max(clash.mine.begin, clash.other.begin), zone),
    }
    if clash.how == "maintenance":
        return (
            _("“%(other)s” at %(when)s: one of the two is maintenance, in which actions are refused.") % names
        )
    if clash.how == "closed":
        return _("“%(other)s” at %(when)s: the node is drained or paused and takes no groups.") % names
    if clash.how == "last":
        return _("With “%(other)s” no node is left that takes groups, at %(when)s.") % names
    return _("“%(other)s” is about the same, at %(when)s.") % names


def _note(row: Schedule, one: Occurrence) -> str:
    """What the clocks of the zone do to this time, empty where nothing."""
    zone = times.zone(row.zone)
    really = datetime.fromtimestamp(one.at, zone)
    names = {"day": words.day(one.local), "time": f"{one.local:%H:%M}", "really": f"{really:%H:%M}"}
    if really.replace(tzinfo=None, fold=0) != one.local:
        return _("On %(day)s there is no %(time)s: the clocks are put on. It is run at %(really)s.") % names
    again = one.local.replace(tzinfo=zone, fold=1)
    if again.utcoffset() != one.local.replace(tzinfo=zone).utcoffset():
        return (
            _("On %(day)s it is %(time)s twice: the clocks are put back. It is run the first time.") % names
        )
    return ""
