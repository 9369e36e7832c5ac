"""The commands about availability: the report of groups and months, and marking an outage."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.color import Style
from django.utils import timezone

from monitoring.api import availability as api
from monitoring.core.model import Refused
from monitoring.management.tables import clock_time, duration, table
from monitoring.service import clock, lookup
from monitoring.service.queries import availability, moment_out, timeline_out
from monitoring.service.queries.availability_out import (
    CSV_COLUMNS,
    MonthOut,
    OutageOut,
    ReportOut,
    csv_rows,
    of_report,
)
from monitoring.service.queries.csv_text import harmless
from monitoring.service.queries.moment_out import MomentOut, WasOut

Show = Callable[[object, Callable[[], str]], None]


def add_commands(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Add the commands to the parser of `manage.py cluster`."""
    report = add("availability", "Uptime, outages and who served, by group and month", shown)
    report.add_argument("--group", default="", help="of one group")
    report.add_argument("--since", default="", metavar="MONTH", help="such as 2030-01 (default: two back)")
    report.add_argument("--until", default="", metavar="MONTH", help="default: the present one")
    report.add_argument("--csv", action="store_true", help="print CSV")
    report.add_argument("--outages", action="store_true", help="list each outage with its number")
    lanes = add("timeline", "The states of groups, on which node and why", shown)
    lanes.add_argument("--group", default="", help="only this one")
    lanes.add_argument("--since", default="", metavar="TIME", help="such as 2030-01-31T02:00:00")
    lanes.add_argument("--until", default="", metavar="TIME")
    was = add("moment", "The cluster as it was at a moment, as far as the history holds it", shown, "at")
    was.add_argument("--to", default="", help="another moment: only what is different is listed")
    mark = add("mark-outage", "Say afterwards that an outage was planned, or was not", shown)
    mark.add_argument("number", type=int, help="number of the outage, as availability --outages lists it")
    mark.add_argument("word", choices=("planned", "unplanned"))
    mark.add_argument("--reason", required=True, help="why; the report and the history show it")


def show(options: dict[str, Any], tell: Show, style: Style) -> None:
    """The report. UnknownNameError for a group or a month that does not exist."""
    group = lookup.group(options["group"]).pk if options["group"] else None
    now = clock.now()
    try:
        windows = availability.months(
            options["since"], options["until"], now, timezone.get_default_timezone()
        )
        found = availability.report(windows, now, group)
    except Refused as error:
        raise lookup.UnknownNameError(error.field, f"{options[error.field]}: {error.message}", []) from error
    out = of_report(found, timezone.get_default_timezone_name())
    lines = outage_table if options["outages"] else month_table
    tell(out, lambda: as_csv(found) if options["csv"] else lines(out, style))


def moment(options: dict[str, Any], tell: Show, style: Style) -> None:
    """A moment, or the difference between two. UnknownNameError for what is no time."""
    try:
        found = moment_out.read(options["at"], options["to"], clock.now())
    except Refused as error:
        raise lookup.UnknownNameError(error.field, f"{options[error.field]}: {error.message}", []) from error
    tell(found, lambda: _moment_table(found, style))


def timeline(options: dict[str, Any], tell: Show, style: Style) -> None:
    """The states of groups over a time. UnknownNameError for a group or a time that does not exist."""
    group = lookup.group(options["group"]).pk if options["group"] else None
    try:
        found = timeline_out.read(group, options["since"], options["until"], clock.now())
    except Refused as error:
        raise lookup.UnknownNameError(error.field, f"{options[error.field]}: {error.message}", []) from error
    tell(found, lambda: _timeline_table(found, style))


def _timeline_table(found: timeline_out.TimelineOut, style: Style) -> str:
    rows = [
        [
            lane.group,
            span.state,
            span.node or "-",
            clock_time(span.since),
            duration(((span.until or found.until) - span.since).total_seconds()),
            span.cause,
        ]
        for lane in found.groups
        for span in lane.spans
    ]
    lines = [
        f"Nobody watched from {clock_time(one.since)} to {clock_time(one.until)}." for one in found.unwatched
    ]
    head = ["GROUP", "STATE", "ON", "SINCE", "FOR", "WHY"]
    return "\n".join([table(head, rows, style) if rows else "Nothing is known of this time.", *lines])


def _moment_table(found: MomentOut, style: Style) -> str:
    if found.to is not None:
        rows = [[d.kind, d.after.name, *map(_where, (d.before, d.after))] for d in found.differences]
        return table(["WHAT", "NAME", "BEFORE", "AFTER"], rows, style) if rows else "Nothing is different."
    kinds = (("node", found.nodes), ("group", found.groups), ("resource", found.resources))
    rows = [
        [kind, one.name, _where(one), clock_time(one.since) if one.since else "-"]
        for kind, every in kinds
        for one in every
    ]
    return "\n".join([table(["WHAT", "NAME", "STATE", "SINCE"], rows, style), "", *found.unknown])


def _where(was: WasOut) -> str:
    return f"{was.state} on {was.node}" if was.node and was.state else was.state or "not known"


def mark(options: dict[str, Any], by: str, tell: Show) -> None:
    made = api.mark(options["number"], options["word"] == "planned", options["reason"], by)
    tell(made, lambda: f"Outage {made.outage} of {made.group} is marked as {options['word']}.")


def as_csv(report: availability.Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([harmless(value) for value in row] for row in csv_rows(report))
    return text.getvalue().rstrip("\n")


def month_table(report: ReportOut, style: Style) -> str:
    head = ["MONTH", "GROUP", "UP", "WITHOUT PLANNED", "UNPLANNED", "PLANNED", "NOT WATCHED"]
    head += ["OUTAGES", "MEAN TO RECOVER", "SERVED BY"]
    if not report.months:
        return "No group was in service in this time."
    return table(head, [_month(one) for one in report.months], style)


def _month(one: MonthOut) -> list[str]:
    planned = f", {one.outages_planned} planned" if one.outages_planned else ""
    shares: dict[str, float] = {}
    for stint in one.served:
        shares[stint.node] = shares.get(stint.node, 0.0) + stint.up_s
    served = ", ".join(f"{node} {duration(up)}" for node, up in shares.items())
    return [
        *(one.month, one.group, percent(one.availability), percent(one.availability_without_planned)),
        *(_length(one.down_unplanned_s), _length(one.down_planned_s), _length(one.unwatched_s)),
        *(f"{one.outages_unplanned}{planned}", duration(one.mean_time_to_recover_s) or "-"),
        f"{served or '-'}{', down now' if one.down_now else ''}",
    ]


def outage_table(report: ReportOut, style: Style) -> str:
    if not report.outages:
        return "There was no outage in this time."
    head = ["OUTAGE", "BEGAN", "GROUP", "ON", "LASTED", "KIND", "CAUSE"]
    return table(head, [_outage(one) for one in reversed(report.outages)], style)


def _outage(one: OutageOut) -> list[str]:
    kind = "planned" if one.planned else "unplanned"
    said = f" (marked by {one.marked.by}: {one.marked.reason})" if one.marked else ""
    lasted = duration(one.seconds) + ("" if one.until else ", not over")
    return [
        str(one.outage),
        clock_time(one.since),
        one.group,
        one.node or "-",
        lasted,
        kind,
        one.cause + said,
    ]


def percent(share: float | None) -> str:
    """A share as 99.98%; never rounded up to 100%."""
    return "-" if share is None else f"{int(share * 100_000) / 1000:.3f}%"


def _length(seconds: float) -> str:
    return duration(seconds) if seconds else "-"
