"""Local time: which zone it is of, and marks of the clock on a time axis."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone

from monitoring.web.charts import Tick

_STEPS = (
    *(60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 604_800, 1_209_600, 2_592_000, 5_184_000),
)
_WEEK = 604_800


def zone_label() -> str:
    """The zone in force and how far from UTC it is now: "Europe/Berlin (UTC+01:00)"."""
    name = timezone.get_current_timezone_name()
    offset = timezone.localtime().strftime("%z")
    return name if offset in ("", "+0000") else f"{name} (UTC{offset[:3]}:{offset[3:]})"


def clock_ticks(since: float, until: float, wanted: int = 6) -> tuple[Tick, ...]:
    """Round local times between two cluster times, at most `wanted`, their places in percent."""
    span = until - since
    step = next((s for s in _STEPS if span / s <= wanted), _STEPS[-1])
    zone = timezone.get_current_timezone()
    shift = datetime.fromtimestamp(until, zone).utcoffset()
    offset = shift.total_seconds() if shift else 0.0
    first = (since + offset) // step * step + step - offset
    form = "%H:%M" if step < 86_400 else "%a %d" if span <= _WEEK else "%d %b"
    marks = []
    at = first
    while at <= until:
        label = datetime.fromtimestamp(at, UTC).astimezone(zone).strftime(form)
        marks.append(Tick(round(100 * (at - since) / span, 2), label))
        at += step
    return tuple(marks)
