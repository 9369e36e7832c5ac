"""Geometry of a failover's waterfall: the group's phases, those of each resource, the critical path.

Places and widths are percentages of the drawing's width, as in `charts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from monitoring.core.waterfall import Measure, Span, Took
from monitoring.service.queries.flight import EarlierRow, Flight
from monitoring.service.queries.history import PhaseRow
from monitoring.web.charts import Tick, nice_step, percent

LABELS = {
    "total": _("The failover in all"),
    "down": _("Without service"),
    "detect": _("Until it was found"),
    "lease": _("Waiting for the lease"),
    "fence": _("Waiting for the fence"),
    "offline": _("Going offline"),
    "online": _("Coming online"),
}
"""What each phase of a group, and each number that is compared, is called."""
SHOWN_BEFORE = 0.4
"""How much of the time before the decision is drawn at most, as a part of the time after it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One phase: place and width in percent; `since` and `until` in seconds after the decision.

    `running` where it has not ended; `begins_before` where its beginning lies left of the drawing.
    """

    x: float
    width: float
    direction: str
    node: str
    seconds: float
    outcome: str
    bad: bool
    running: bool
    critical: bool
    since: float
    until: float
    begins_before: bool = False

    @property
    def label(self) -> str:
        return str(LABELS[self.direction])


@dataclass(frozen=True, slots=True)
class Lane:
    """The bars of one resource, or of the group, and how long each direction took altogether."""

    resource: int | None
    name: str
    bars: tuple[Bar, ...]
    offline: float | None
    online: float | None

    @property
    def failed(self) -> bool:
        return any(bar.bad for bar in self.bars)

    @property
    def critical(self) -> bool:
        return any(bar.critical for bar in self.bars)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A failover on a time axis whose 0 is the decision.

    `group` is the lane of the group as a whole. `decided` and `handover` are where the decision fell
    and where the owner changed, in percent; None where that is the left edge, or has not come.
    `path` are the bars of the critical path in their order, each with its lane's name.
    """

    span: float
    ticks: tuple[Tick, ...]
    group: Lane
    lanes: tuple[Lane, ...]
    decided: float | None
    handover: float | None
    path: tuple[tuple[str, Bar], ...]

    @property
    def waits(self) -> tuple[Bar, ...]:
        """What came before the decision, as far as anything did."""
        return tuple(bar for bar in self.group.bars if bar.direction in ("detect", "lease", "fence"))

    @property
    def idle(self) -> float:
        """Seconds after the decision in which nothing of the path was at work."""
        if not self.path:
            return 0.0
        return max(0.0, self.path[-1][1].until - sum(bar.seconds for _, bar in self.path))


@dataclass(frozen=True, slots=True)
class _Axis:
    start: float
    span: float
    zero: float

    def at(self, moment: float) -> float:
        return percent(moment - self.start, self.span)


def draw(flight: Flight, now: float) -> Waterfall:
    """The waterfall of a failover; resources in the order in which they came online."""
    axis = _axis(flight, now)
    critical = set(flight.critical)
    by_name: dict[str, list[PhaseRow]] = {}
    for phase in sorted(flight.phases, key=lambda p: (p.direction == "offline", p.started)):
        by_name.setdefault(phase.resource_name, []).append(phase)
    lanes = []
    by_phase: dict[int, tuple[str, Bar]] = {}
    for name, own in by_name.items():
        bars = tuple(_bar(phase, axis, now, phase.id in critical) for phase in own)
        by_phase |= {phase.id: (name, bar) for phase, bar in zip(own, bars, strict=True)}
        lanes.append(Lane(own[0].resource, name, bars, _sum(bars, "offline"), _sum(bars, "online")))
    bars = tuple(_group_bar(span, axis, now) for span in flight.spans)
    record = flight.record
    return Waterfall(
        axis.span,
        _ticks(axis),
        Lane(record.group, record.group_name, bars, _sum(bars, "offline"), _sum(bars, "online")),
        tuple(lanes),
        axis.at(record.started) if axis.start < record.started else None,
        None if record.stopped is None else axis.at(record.stopped),
        tuple(by_phase[id] for id in flight.critical),
    )


def _axis(flight: Flight, now: float) -> _Axis:
    record = flight.record
    ends = [phase.finished or now for phase in flight.phases]
    last = max([record.finished or now, *ends]) if record.state == "running" or ends else record.started
    first = min([record.started, *(phase.started for phase in flight.phases)])
    room = max(last - record.started, 0.2) * SHOWN_BEFORE
    spans = [span.since for span in flight.spans if span.name in ("lease", "fence")]
    found = [max(span.since, record.started - room) for span in flight.spans if span.name == "detect"]
    start = min([first, *spans, *found])
    return _Axis(start, max(last - start, 0.001), record.started)


def _bar(phase: PhaseRow, axis: _Axis, now: float, critical: bool) -> Bar:
    end = phase.finished if phase.finished is not None else now
    x = axis.at(phase.started)
    return Bar(
        x=x,
        width=max(0.4, min(100 - x, percent(end - phase.started, axis.span))),
        direction=phase.direction,
        node=phase.node_name,
        seconds=max(0.0, end - phase.started),
        outcome=phase.outcome,
        bad=phase.outcome == "Failed",
        running=phase.finished is None,
        critical=critical,
        since=phase.started - axis.zero,
        until=end - axis.zero,
    )


def _group_bar(span: Span, axis: _Axis, now: float) -> Bar:
    end = now if span.until is None else span.until
    x = axis.at(span.since)
    return Bar(
        x=x,
        width=max(0.4, min(100 - x, axis.at(end) - x)),
        direction=span.name,
        node="",
        seconds=span.seconds(now),
        outcome="",
        bad=False,
        running=span.until is None,
        critical=False,
        since=span.since - axis.zero,
        until=end - axis.zero,
        begins_before=span.since < axis.start - 0.001,
    )


def _sum(bars: Iterable[Bar], direction: str) -> float | None:
    times = [bar.seconds for bar in bars if bar.direction == direction]
    return sum(times) if times else None


def _ticks(axis: _Axis) -> tuple[Tick, ...]:
    """Round marks of the time since the decision, or before it."""
    step = nice_step(axis.span, 5)
    scale, unit = (1000, "ms") if axis.span < 1 else (1, "s") if axis.span < 300 else (1 / 60, "min")
    first = -int((axis.zero - axis.start) / step + 0.001)
    last = int((axis.start + axis.span - axis.zero) / step + 0.001)
    ticks = []
    for number in range(first, last + 1):
        mark = number * step
        at = axis.at(axis.zero + mark)
        anchor = "start" if at < 3 else "end" if at > 97 else "middle"
        ticks.append(Tick(at, f"{mark * scale:.3g} {unit}" if number else "0", anchor))
    return tuple(ticks)


# Comparison with earlier passages


@dataclass(frozen=True, slots=True)
class Compared:
    """A number of this failover beside earlier ones; places in percent of the longest of all."""

    measure: Measure
    label: str
    x: float
    median: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Column:
    """One failover in the small chart: its place, and its phases from the bottom up in percent."""

    record: int
    x: float
    width: float
    seconds: float
    parts: tuple[tuple[str, float, float], ...]
    """(phase, y, height)"""
    this: bool


def compared(measures: Sequence[Measure]) -> tuple[Compared, ...]:
    rows = []
    for one in measures:
        top = max(one.seconds, one.slowest, 0.001)
        places = (percent(part, top) for part in (one.seconds, one.median, one.slowest))
        rows.append(Compared(one, str(LABELS[one.name]), *places))
    return tuple(rows)


def columns(earlier: Sequence[EarlierRow], this: Took) -> tuple[Column, ...]:
    """Earlier passages and this one, oldest first, each as high as it took long."""
    every = [*(row.took for row in earlier), this]
    parts = [{name: part for name, part in one.phases.items() if name != "detect"} for one in every]
    top = max([0.001, *(sum(one.values()) for one in parts)])
    width = 100 / len(every)
    drawn = []
    for index, (one, phases) in enumerate(zip(every, parts, strict=True)):
        y, pieces = 100.0, []
        for name, seconds in phases.items():
            height = percent(seconds, top)
            y -= height
            pieces.append((name, round(y, 2), height))
        x = round(index * width + width * 0.15, 2)
        whole = sum(phases.values())
        drawn.append(Column(one.record, x, round(width * 0.7, 2), whole, tuple(pieces), one is this))
    return tuple(drawn)
