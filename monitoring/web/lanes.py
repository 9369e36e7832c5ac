"""The drawing of the state timeline: places of spans in percent of a lane's width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.core.states import GroupState
from monitoring.service.queries.timeline import Lane, Span, Timeline

THIN = 0.35
"""Percent of the width below which spans are drawn as one mark."""
LABELLED = 7.0
"""Percent of the width from which the node's name fits under a span."""

LOOKS = {
    GroupState.ONLINE: "online",
    GroupState.OFFLINE: "offline",
    GroupState.FAILED: "failed",
    GroupState.PARTIAL_ONLINE: "partial",
    GroupState.PENDING: "pending",
    GroupState.UNKNOWN: "unknown",
}
_WORST = (
    GroupState.FAILED,
    GroupState.UNKNOWN,
    GroupState.PARTIAL_ONLINE,
    GroupState.OFFLINE,
    GroupState.PENDING,
    GroupState.ONLINE,
)
"""Which state stands for several that are too thin to be drawn each."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A span as it is drawn, or several that are too thin: then `count` says how many."""

    x: float
    width: float
    look: str
    span: Span
    count: int
    until: float | None


@dataclass(frozen=True, slots=True)
class Stay:
    """A node has the group: from where to where its name is written."""

    x: float
    width: float
    node: str


@dataclass(frozen=True, slots=True)
class DrawnLane:
    group: int | None
    name: str
    marks: tuple[Mark, ...]
    stays: tuple[Stay, ...]


def draw(lane: Lane, timeline: Timeline, now: float) -> DrawnLane:
    """Where each span of a lane stands; what is thin is gathered, so that a lane has at most some 300."""
    marks: list[Mark] = []
    thin: list[tuple[Span, float, float]] = []
    for span in lane.spans:
        x, to = _place(span, timeline, now)
        if to - x >= THIN:
            marks += _gathered(thin)
            thin = []
            x = max(x, marks[-1].x + marks[-1].width) if marks else x  # a thin mark is wider than its time
            marks.append(Mark(round(x, 3), round(max(to - x, 0), 3), LOOKS[span.state], span, 1, span.until))
        elif thin and to - thin[0][1] > 2 * THIN:
            marks += _gathered(thin)
            thin = [(span, x, to)]
        else:
            thin.append((span, x, to))
    marks += _gathered(thin)
    return DrawnLane(lane.group, lane.name, tuple(marks), tuple(_stays(lane.spans, timeline, now)))


def _place(span: Span, timeline: Timeline, now: float) -> tuple[float, float]:
    whole = timeline.until - timeline.since
    low = max(span.since, timeline.since)
    high = min(now if span.until is None else span.until, timeline.until)
    return (
        round(100 * (low - timeline.since) / whole, 3),
        round(100 * (max(high, low) - timeline.since) / whole, 3),
    )


def _gathered(thin: list[tuple[Span, float, float]]) -> list[Mark]:
    if not thin:
        return []
    shown = min((span for span, _, _ in thin), key=lambda span: _WORST.index(span.state))
    x, to = thin[0][1], thin[-1][2]
    until = thin[-1][0].until
    return [Mark(x, round(max(to - x, THIN), 3), LOOKS[shown.state], shown, len(thin), until)]


def _stays(spans: Iterable[Span], timeline: Timeline, now: float) -> list[Stay]:
    stays: list[tuple[float, float, str]] = []
    for span in spans:
        x, to = _place(span, timeline, now)
        if stays and stays[-1][2] == span.node:
            stays[-1] = (stays[-1][0], to, span.node)
        else:
            stays.append((x, to, span.node))
    return [Stay(x, round(to - x, 3), node) for x, to, node in stays if to - x >= LABELLED and node]
