"""The times of a schedule's row: from texts and names to what `core.schedule` reckons with."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from monitoring.core.schedule import Recurrence, Repeat
from monitoring.models import Schedule


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """Names of all time zones, as they are offered."""
    left_out = ("posix", "right", "Etc", "SystemV", "localtime", "Factory", "US", "Brazil", "Chile", "Mexico")
    places = {name for name in available_timezones() if "/" in name and name.split("/")[0] not in left_out}
    return ("UTC", *sorted(places))


def zone(name: str) -> ZoneInfo:
    """The zone of this name, which was looked at when it was written down."""
    return ZoneInfo(name)


def of(row: Schedule) -> Recurrence:
    """The times of a schedule. No query."""
    return Recurrence(
        first=datetime.fromisoformat(row.first),
        zone=zone(row.zone),
        repeat=Repeat(row.repeat),
        every=row.every,
        days=tuple(row.days),
        nth=row.nth,
        until=date.fromisoformat(row.until) if row.until else None,
    )
