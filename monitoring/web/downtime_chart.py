"""The drawing of downtime by month: planned and unplanned, one upon the other."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.service.queries.availability import Report
from monitoring.templatetags.clusterweb import duration
from monitoring.web.charts import Tick

_STEPS = (1, 5, 15, 60, 300, 900, 3600, 7200, 14_400, 43_200, 86_400, 172_800, 604_800, 2_592_000)
HEIGHT = 150
"""Pixels of the plot."""


@dataclass(frozen=True, slots=True)
class Column:
    """A month: places in percent of the width, heights in pixels from the top of the plot."""

    label: str
    x: float
    width: float
    middle: float
    planned: float
    planned_y: float
    unplanned: float
    unplanned_y: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    columns: tuple[Column, ...]
    rows: tuple[Tick, ...]
    """Marks of the vertical axis; `at` in pixels."""
    height: int = HEIGHT


def draw(report: Report) -> Chart:
    """Downtime of all groups of the report, by month, the oldest first."""
    planned = dict.fromkeys((window.label for window in report.windows), 0.0)
    unplanned = dict(planned)
    for one in report.rows:
        planned[one.row.window.label] += one.row.planned
        unplanned[one.row.window.label] += one.row.unplanned
    top = max((planned[label] + unplanned[label] for label in planned), default=0.0)
    ceiling, step = _scale(top)
    slot = 100 / len(planned)
    width = min(slot * 0.6, 9.0)
    columns = []
    for index, label in enumerate(planned):
        high, low = unplanned[label] / ceiling * HEIGHT, planned[label] / ceiling * HEIGHT
        middle = slot * (index + 0.5)
        columns.append(
            Column(
                label,
                round(middle - width / 2, 2),
                round(width, 2),
                round(middle, 2),
                round(low, 1),
                round(HEIGHT - high - low, 1),
                round(high, 1),
                round(HEIGHT - high, 1),
                _title(label, unplanned[label], planned[label]),
            )
        )
    count = round(ceiling / step)
    marks = tuple(
        Tick(round(HEIGHT - HEIGHT * i / count, 1), duration(step * i) if i else "0")
        for i in range(count + 1)
    )
    return Chart(tuple(columns), marks)


def _title(label: str, unplanned: float, planned: float) -> str:
    return f"{label}: {duration(unplanned)} unplanned, {duration(planned)} planned"


def _scale(top: float) -> tuple[float, float]:
    """The end of the axis and the distance of its marks: at most five of them."""
    step = float(next((s for s in _STEPS if top / s <= 4), _STEPS[-1]))
    while top / step > 4:
        step *= 2
    return max(1.0, -(-top // step)) * step, step
