"""A measured figure beside what it is to be compared with, and how it is printed."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

PACEMAKER_MOVE = 0.59
PACEMAKER_RESTART = 0.98
PACEMAKER_CUTOFF = 4.9
"""Seconds that Pacemaker 2.1.5 took for the same on two cores (docs/performance.md)."""


@dataclass(frozen=True)
class Figure:
    """`budget` is the most that `value` may be, None where the figure is only told."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    yardstick: str = ""

    @property
    def verdict(self) -> str:
        if self.budget is None:
            return ""
        return "kept" if self.value <= self.budget else "missed"

    def row(self) -> tuple[str, str, str, str, str]:
        budget = "" if self.budget is None else f"{self.budget:.3g} {self.unit}"
        return self.what, f"{self.value:.4g} {self.unit}", budget, self.verdict, self.yardstick


def spread(what: str, seconds: Sequence[float], budget: float | None, yardstick: str) -> list[Figure]:
    """The median of repeated times, held against the budget, and the slowest beside it."""
    return [
        Figure(f"{what}, median of {len(seconds)}", statistics.median(seconds), "s", budget, yardstick),
        Figure(f"{what}, slowest", max(seconds), "s"),
    ]


def table(figures: Iterable[Figure]) -> str:
    rows = [("", "measured", "budget", "", "yardstick"), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def run(measure: Callable[[], list[Figure]]) -> None:
    """Entry of every module: print a table, or with --json one object a line for the whole run."""
    figures = measure()
    if "--json" in sys.argv:
        for figure in figures:
            print(json.dumps(asdict(figure)))
    else:
        print(table(figures))
