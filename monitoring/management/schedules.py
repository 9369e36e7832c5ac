"""`manage.py cluster schedule`: what is scheduled, from the terminal of the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.color import Style

from monitoring.management.audited import who
from monitoring.management.tables import clock_time, table
from monitoring.models import Schedule
from monitoring.service import clock, lookup
from monitoring.service.queries import schedules, schedules_out
from monitoring.service.schedules import drafts, edits, runs

Show = Callable[[object, Callable[[], str]], None]
WITH_ONE: dict[str, Callable[[int, str], object]] = {
    "run": runs.run_now,
    "end": runs.end_now,
    "skip": edits.skip,
    "pause": edits.pause,
    "go-on": edits.go_on,
    "delete": edits.delete,
}
DONE = {
    "run": "was asked for",
    "end": "its window was ended",
    "skip": "its next time is skipped",
    "pause": "is paused",
    "go-on": "goes on",
    "delete": "was deleted",
}
VERBS = ("list", "runs", "show", "check", "add", "change", *WITH_ONE, "note", "ics")


def add_command(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Its verbs and options."""
    parser = add("schedule", "What is scheduled: list, make, change, run, skip", shown)
    parser.add_argument(
        "verb", nargs="?", default="list", choices=VERBS, metavar="VERB", help=", ".join(VERBS)
    )
    kinds = ", ".join((*drafts.GROUP_KINDS, *drafts.EITHER, *drafts.NODE_KINDS))
    parser.add_argument("what", nargs="?", default="", help=f"of check and add: {kinds}; else a number")
    parser.add_argument("--kind", help="of a change")
    parser.add_argument("--group")
    parser.add_argument("--node", help="of a move its target, the best one where none is named")
    parser.add_argument("--at", metavar="TIME", help='local, such as "2030-01-31 02:00"')
    parser.add_argument(
        "--ends", metavar="TIME", help='end of the window: "04:00", or with a day; "" for none'
    )
    parser.add_argument("--zone", help=f"such as Europe/Berlin (default {settings.TIME_ZONE})")
    parser.add_argument("--repeat", help="once, daily, weekly, monthly")
    parser.add_argument("--every", type=int, metavar="N", help="every N days, weeks or months")
    parser.add_argument("--days", help=f"of {','.join(drafts.DAYS)}, separated by commas")
    parser.add_argument("--nth", help=", ".join(drafts.NTH))
    parser.add_argument("--until", metavar="DAY", help="the last day")
    parser.add_argument("--failback", help="when a node is resumed: none, immediate, policy")
    parser.add_argument("--tolerance-minutes", type=int, metavar="N", help="it may be late by N minutes")
    parser.add_argument("--reason", help="why, for the history")


def run(options: dict[str, Any], show: Show, style: Style) -> None:
    """Do what the verb says. ValidationError by field; UnknownNameError for what does not exist."""
    verb = options["verb"]
    by = who()
    if verb == "list":
        found = schedules_out.listed()
        show(found, lambda: _table(found, style))
    elif verb == "runs":
        rows = schedules.runs(_number(options) if options["what"] else None, limit=50)
        told = [schedules_out.of_run(row) for row in rows]
        show(told, lambda: _run_table(told, style))
    elif verb == "ics":
        text = schedules_out.calendar()
        show(text, lambda: text)
    elif verb == "check":
        seen = schedules_out.of_foreseen(drafts.read(_new(options), clock.now()))
        show(seen, lambda: _foreseen(seen, style))
    elif verb == "note":
        noted = edits.note_failure(_number(options), by)
        show(schedules_out.of_run(schedules.run_of(noted)), lambda: f"Noted: {noted.title}.")
    else:
        _with_one(verb, options, edits.Author(by, from_terminal=True), show, style)


def _with_one(verb: str, options: dict[str, Any], author: edits.Author, show: Show, style: Style) -> None:
    if verb == "add":
        row = edits.create(_new(options), author)
    else:
        row = _find(options)
        if verb == "change":
            row = edits.change(row.pk, _given(options, drafts.draft_of(row)), author)
    title = schedules_out.of_row(row).title
    if verb in WITH_ONE:
        WITH_ONE[verb](row.pk, author.by)
    if verb == "delete":
        show({"deleted": title}, lambda: f"{title}: {DONE[verb]}.")
        return
    found = schedules_out.detail(_find({"what": str(row.pk)}))
    if verb in WITH_ONE:
        show(found, lambda: f"{title}: {DONE[verb]}.")
    else:
        head = f"{found.schedule.id}: {title}, {found.schedule.state}, by {found.schedule.by}"
        show(found, lambda: f"{head}\n{_foreseen(found.foreseen, style)}")


def _new(options: dict[str, Any]) -> drafts.Draft:
    return _given(options, drafts.Draft(kind=options["what"], zone=settings.TIME_ZONE))


def _given(options: dict[str, Any], draft: drafts.Draft) -> drafts.Draft:
    given = {f.name: options[f.name] for f in fields(draft) if options.get(f.name) is not None}
    if "days" in given:
        given["days"] = tuple(day.strip().lower() for day in given["days"].split(",") if day.strip())
    return replace(draft, **given)


def _number(options: dict[str, Any]) -> int:
    text = options["what"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise lookup.UnknownNameError("schedule", text, [])
    return int(text)


def _find(options: dict[str, Any]) -> Schedule:
    row = Schedule.objects.select_related("group", "node").filter(pk=_number(options)).first()
    if row is None:
        raise lookup.UnknownNameError("schedule", options["what"], [])
    return row


def _table(found: tuple[schedules_out.ScheduleOut, ...], style: Style) -> str:
    if not found:
        return "Nothing is scheduled."
    rows = []
    for one in found:
        at = one.open_until or one.next
        when = f"{'until ' if one.open_until else ''}{clock_time(at)}" if at else "-"
        rows.append([str(one.id), one.state, when, one.title, one.by, f"{one.rhythm} ({one.zone})"])
    return table(["ID", "STATE", "NEXT", "WHAT", "BY", "HOW OFTEN"], rows, style)


def _run_table(found: list[schedules_out.RunOut], style: Style) -> str:
    if not found:
        return "Nothing was run yet."
    rows = [
        [
            str(one.id),
            clock_time(one.due),
            one.state,
            f"{'End of: ' * (one.part == 'end')}{one.title}",
            one.text,
        ]
        for one in reversed(found)
    ]
    return table(["RUN", "DUE", "STATE", "WHAT", "OUTCOME"], rows, style)


def _foreseen(seen: schedules_out.ForeseenOut, style: Style) -> str:
    lines = [seen.title, seen.rhythm]
    for time in seen.times:
        lines.append(f"  {clock_time(time.at)}{f' to {clock_time(time.ends)}' if time.ends else ''}")
    lines += [style.WARNING(text) for text in seen.warnings]
    if seen.refused:
        lines.append(style.WARNING(f"As the cluster stands now it would be refused: {seen.refused}"))
    return "\n".join([*lines, *seen.sentences])
