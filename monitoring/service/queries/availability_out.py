"""What a report of availability says to programs: JSON for the API and files, and lines of CSV.

Lengths are seconds, times RFC 3339 in UTC, shares 0 to 1. Fields are only ever added.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from monitoring.core import availability as core
from monitoring.service.queries.availability import GroupRow, OutageRow, Report


class StintOut(msgspec.Struct, frozen=True):
    """A node served the group from `since` to `until`; `up_s` is how long of that it was Online."""

    node: str
    since: datetime
    until: datetime
    up_s: float


class MonthOut(msgspec.Struct, frozen=True):
    """A group in a month: docs/availability.md says what counts."""

    month: str
    group: str
    availability: float | None
    availability_without_planned: float | None
    up_s: float
    down_planned_s: float
    down_unplanned_s: float
    partly_online_s: float
    unwatched_s: float
    outages_planned: int
    outages_unplanned: int
    mean_time_to_recover_s: float | None
    down_now: bool
    served: tuple[StintOut, ...]


class MarkOut(msgspec.Struct, frozen=True):
    """What an operator said about an outage afterwards."""

    planned: bool
    reason: str
    by: str
    at: datetime


class OutageOut(msgspec.Struct, frozen=True):
    """An outage, known by the number of the event that began it. `node` served before."""

    outage: int
    group: str
    node: str
    since: datetime
    until: datetime | None
    seconds: float
    planned: bool
    cause: str
    failover: int | None
    marked: MarkOut | None


class GapOut(msgspec.Struct, frozen=True):
    """A time in which nobody watched."""

    since: datetime
    until: datetime


class ReportOut(msgspec.Struct, frozen=True):
    """Months and outages, the newest first. `zone` is where the months begin at midnight."""

    since: datetime
    until: datetime
    zone: str
    months: tuple[MonthOut, ...]
    outages: tuple[OutageOut, ...]
    unwatched: tuple[GapOut, ...]


CSV_COLUMNS = (
    *("month", "group", "availability", "availability without planned", "up s", "down planned s"),
    *("down unplanned s", "partly online s", "not watched s", "outages planned", "outages unplanned"),
    *("mean time to recover s", "down now", "served"),
)


def of_report(report: Report, zone: str) -> ReportOut:
    return ReportOut(
        since=_time(report.windows[0].since),
        until=_time(report.until),
        zone=zone,
        months=tuple(map(of_row, report.rows)),
        outages=tuple(map(of_outage, report.outages)),
        unwatched=tuple(GapOut(_time(low), _time(high)) for low, high in report.unwatched),
    )


def of_row(one: GroupRow) -> MonthOut:
    row = one.row
    return MonthOut(
        month=row.window.label,
        group=one.name,
        availability=_share(row.availability),
        availability_without_planned=_share(row.availability_unplanned),
        up_s=round(row.up, 3),
        down_planned_s=round(row.planned, 3),
        down_unplanned_s=round(row.unplanned, 3),
        partly_online_s=round(row.partly, 3),
        unwatched_s=round(row.unwatched, 3),
        outages_planned=row.outages_planned,
        outages_unplanned=row.outages_unplanned,
        mean_time_to_recover_s=None if row.recovery is None else round(row.recovery, 3),
        down_now=row.down_now,
        served=tuple(map(_stint, row.served)),
    )


def of_outage(one: OutageRow) -> OutageOut:
    outage, mark = one.outage, one.outage.mark
    return OutageOut(
        outage=outage.seq,
        group=one.name,
        node=outage.node,
        since=_time(outage.since),
        until=None if outage.until is None else _time(outage.until),
        seconds=round(one.seconds, 3),
        planned=outage.planned,
        cause=one.cause,
        failover=outage.record,
        marked=None if mark is None else MarkOut(mark.planned, mark.reason, mark.by, _time(mark.at)),
    )


def csv_rows(report: Report) -> Iterator[tuple[object, ...]]:
    """One line for each group and month; who served when stands in the last column."""
    for one in map(of_row, report.rows):
        served = "; ".join(
            f"{s.node} {s.since.isoformat(timespec='seconds')} to {s.until.isoformat(timespec='seconds')}"
            for s in one.served
        )
        yield (
            *(one.month, one.group, _percent(one.availability), _percent(one.availability_without_planned)),
            *(one.up_s, one.down_planned_s, one.down_unplanned_s, one.partly_online_s, one.unwatched_s),
            *(one.outages_planned, one.outages_unplanned, one.mean_time_to_recover_s),
            *("yes" if one.down_now else "no", served),
        )


def _stint(stint: core.Stint) -> StintOut:
    return StintOut(stint.node, _time(stint.since), _time(stint.until), round(stint.up, 3))


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _share(share: float | None) -> float | None:
    """Rounded down: what was down for a moment is never wholly up."""
    return None if share is None else int(share * 1_000_000) / 1_000_000


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.4f}%"
