"""The commands about one failover: all that is known of it, and its notes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.core.management.color import Style

from monitoring.api import flights
from monitoring.api.flights import FlightOut
from monitoring.core.model import Refused
from monitoring.management.tables import clock_time, duration, table
from monitoring.service import notes

Show = Callable[[object, Callable[[], str]], None]


def add_commands(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Add the commands to the parser of `manage.py cluster`."""
    one = add("failover", "One failover or move: why, phases, time without service, notes", shown)
    one.add_argument("number", type=int, help="its number, as history --json and the dashboard tell it")
    note = add("note", "Write a note on a failover; - reads the text from standard input", shown)
    note.add_argument("number", type=int, help="number of the failover")
    note.add_argument("text")
    change = add("change-note", "Write one of your notes anew", shown)
    change.add_argument("number", type=int, help="number of the note")
    change.add_argument("text")
    add("delete-note", "Delete one of your notes", shown).add_argument("number", type=int)


def show(options: dict[str, Any], tell: Show, style: Style) -> None:
    try:
        found = flights.one(options["number"])
    except Refused as refused:
        raise ValidationError({"number": refused.message}) from refused
    tell(found, lambda: told(found, style))


def write(options: dict[str, Any], by: str, tell: Show) -> None:
    """What the command says about notes."""
    number = options["number"]
    text = options.get("text", "")
    text = sys.stdin.read() if text == "-" else text
    command = options["command"]
    if command == "note":
        made, what = notes.add(number, text, by), "written"
    elif command == "change-note":
        made, what = notes.change(number, text, by), "changed"
    else:
        made, what = notes.delete(number, by), "deleted"
    tell(flights.of_note(made), lambda: f"Note {made.pk} was {what}.")


def told(found: FlightOut, style: Style) -> str:
    """The failover as text: chain, phases, time without service, comparison, notes."""
    record = found.record
    way = (
        f"from {record.source} to {record.target}"
        if record.source != record.target
        else f"on {record.target}"
    )
    parts = [style.MIGRATE_LABEL(f"{record.kind} {record.id} of {record.group} {way}: {record.state}"), ""]
    parts += [f"{clock_time(step.at)}  {step.text}" for step in found.chain]
    stages = ", ".join(f"{one.name} {duration(one.seconds)}" for one in found.stages)
    parts += ["", f"Phases: {stages}"]
    if found.critical_path:
        path = " > ".join(
            f"{one.resource} {one.direction} {one.seconds:.2f} s" for one in found.critical_path
        )
        parts.append(f"What decided how long it took: {path}")
    down = found.without_service
    if down is not None:
        so_far = "" if down.until else " so far"
        parts.append(f"Without service: {duration(down.seconds)}{so_far}. {' '.join(down.why)}")
    rows = [
        [one.resource, one.node, one.direction, _offset(one.started, found), _length(one), one.outcome]
        for one in found.phases
    ]
    if rows:
        parts += ["", table(["RESOURCE", "NODE", "GOES", "AT", "TOOK", "ENDED"], rows, style)]
    if found.compared:
        numbers = [
            [one.name, duration(one.seconds), duration(one.median_s), duration(one.slowest_s), one.verdict]
            for one in found.compared
        ]
        parts += ["", table(["COMPARED", "THIS ONE", "MEDIAN", "SLOWEST", "SO IT WAS"], numbers, style)]
    kept = [one for one in found.notes if one.deleted is None]
    parts += [f"\nNote {one.id} of {one.author}, {clock_time(one.at)}:\n{one.text}" for one in kept]
    return "\n".join(parts)


def _offset(at: Any, found: FlightOut) -> str:
    return f"{(at - found.record.started).total_seconds():+.3f} s"


def _length(phase: Any) -> str:
    return "" if phase.finished is None else f"{(phase.finished - phase.started).total_seconds():.3f} s"
