"""Geometry of the drawings: the dependency graph, probe times; what all have in common.

Everything is computed here and drawn by a template as plain SVG with presentation
attributes: no script, no style attribute. Where a drawing must fit its place, positions are
percentages of its width, so that text keeps its size on every screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from monitoring.service.queries.groups import GroupDetail
from monitoring.service.queries.resources import RECOMMENDED_MS, ProbePoint, ResourceRow

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, EDGE = 212, 44, 42, 12, 6


@dataclass(frozen=True, slots=True)
class Box:
    """A resource in the graph; pixels."""

    row: ResourceRow
    x: float
    y: float

    @property
    def label(self) -> str:
        return _clip(self.row.name, 23)

    @property
    def kind(self) -> str:
        return _clip(self.row.type_name, 30)

    @property
    def inner(self) -> dict[str, float]:
        """Places of what stands in the box."""
        return {
            "edge_y": self.y + 7,
            "edge_height": BOX_HEIGHT - 14,
            "icon_x": self.x + 12,
            "icon_y": self.y + BOX_HEIGHT / 2 - 8,
            "text_x": self.x + 36,
            "name_y": self.y + 19,
            "kind_y": self.y + 34,
        }


@dataclass(frozen=True, slots=True)
class Link:
    """A line from a provider to what needs it. `open`: nothing flows yet, one end is not online."""

    path: str
    alternative: bool
    open: bool


@dataclass(frozen=True, slots=True)
class Graph:
    width: int
    height: int
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def graph(detail: GroupDetail) -> Graph:
    """The resources of a group in columns, in the order in which they come online."""
    tallest = max((len(column) for column in detail.columns), default=0)
    height = tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * EDGE if tallest else 0
    boxes: dict[int, Box] = {}
    for index, column in enumerate(detail.columns):
        top = (height - len(column) * (BOX_HEIGHT + GAP_Y) + GAP_Y) / 2
        for place, row in enumerate(column):
            boxes[row.id] = Box(
                row, EDGE + index * (BOX_WIDTH + GAP_X), round(top + place * (BOX_HEIGHT + GAP_Y), 1)
            )
    links = tuple(
        _link(boxes[provider], boxes[dependent], alternative)
        for provider, dependent, alternative in detail.edges
        if provider in boxes and dependent in boxes
    )
    width = len(detail.columns) * (BOX_WIDTH + GAP_X) - GAP_X + 2 * EDGE
    return Graph(max(width, 0), int(height), tuple(boxes.values()), links)


def _clip(text: str, length: int) -> str:
    """The whole text stands in the drawing's title."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _link(provider: Box, dependent: Box, alternative: bool) -> Link:
    x1, y1 = provider.x + BOX_WIDTH, provider.y + BOX_HEIGHT / 2
    x2, y2 = dependent.x, dependent.y + BOX_HEIGHT / 2
    bend = GAP_X * 0.6
    path = f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
    online = provider.row.state.name == dependent.row.state.name == "ONLINE"
    return Link(path, alternative, not online)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place in percent, and what is written there."""

    at: float
    label: str
    anchor: str = "middle"


def percent(part: float, whole: float) -> float:
    return round(max(0.0, min(100.0, 100 * part / whole)), 2)


def nice_step(span: float, wanted: int) -> float:
    """A round distance (1, 2 or 5 times a power of ten) that divides `span` in about `wanted`."""
    rough = max(span / wanted, 1e-9)
    power: float = 10 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


WIDEST = 4.0
"""Percent of the plane to each side of a sample that the pointer finds it in, where there are few."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the pointer finds at one place of a series; percent."""

    x: float
    width: float
    middle: float
    point: ProbePoint

    @classmethod
    def around(cls, middle: float, half: float, point: ProbePoint) -> Sample:
        """Half as wide to each side, and never beyond the plane."""
        left, right = max(0.0, middle - half), min(100.0, middle + half)
        return cls(left, right - left, middle, point)


@dataclass(frozen=True, slots=True)
class Series:
    """Probe times of one entry point on a plane of 1000 by 100, and what stands beside it.

    `mean` is a line, `band` the area up to the slowest call. `limit` is where the
    recommended limit lies, in percent from the top, None where it is off the chart.
    """

    entry_point: str
    mean: str
    band: str
    samples: tuple[Sample, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    limit: float | None
    limit_ms: float
    mean_ms: float
    max_ms: float
    calls: int
    failures: int


def series(
    entry_point: str, points: Sequence[ProbePoint], since: float, until: float, columns: tuple[Tick, ...]
) -> Series:
    """A chart of one entry point's probe times between `since` and `until`."""
    top = max((point.max_ms for point in points), default=0.0)
    step = nice_step(max(top, 0.5) * 1.1, 4)
    ceiling = step * ceil(max(top, 0.5) * 1.05 / step)
    span = until - since

    def x(point: ProbePoint) -> float:
        return 1000 * max(0.0, min(1.0, (point.at - since) / span))

    def y(ms: float) -> float:
        return 100 * (1 - ms / ceiling)

    mean = [(x(p), y(p.mean_ms)) for p in points]
    upper = [(x(p), y(p.max_ms)) for p in points]
    limit = RECOMMENDED_MS.get(entry_point, 0.0)
    calls = sum(p.calls for p in points)
    half = min(50 / max(len(points), 1), WIDEST)
    return Series(
        entry_point=entry_point,
        mean=_polyline(mean),
        band=f"{_polyline(upper)}L{_points(reversed(mean))}Z" if points else "",
        samples=tuple(Sample.around(x(p) / 10, half, p) for p in points),
        rows=tuple(
            Tick(round(y(step * i), 2), f"{step * i:g} ms") for i in range(int(ceiling / step + 0.001) + 1)
        ),
        columns=columns,
        limit=round(y(limit), 2) if 0 < limit <= ceiling else None,
        limit_ms=limit,
        mean_ms=sum(p.mean_ms * p.calls for p in points) / calls if calls else 0.0,
        max_ms=top,
        calls=calls,
        failures=sum(p.failures for p in points),
    )


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f} {y:.2f}" for x, y in points)


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return f"M{_points(points)}" if points else ""
