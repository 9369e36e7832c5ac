"""The page of one failover: why it came, where the time went, what it meant for clients, who said what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from monitoring.live.topics import Change
from monitoring.models import Event, FailoverRecord
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries import flight as read
from monitoring.service.queries import history
from monitoring.service.queries.flight import Flight, OutputRow
from monitoring.service.queries.history import EventRow
from monitoring.templatetags.clusterweb import duration
from monitoring.web import waterfall
from monitoring.web.context import for_role, live_from
from monitoring.web.edits import who

PARTS = ("head", "chain", "unserved", "waterfall", "compared", "lines", "notes")
"""The parts of the page, each pushed by itself: templates/history/record/PART.html, id record-PART."""
SHOWN = 300
"""The most lines that a page shows."""
EVERYTHING = "*"
"""The filter that leaves nothing out; without one, changes of resources' states are left to the waterfall."""
RESOURCE_STATE_CHANGED = 1637
SOONER = 5.0
"""Seconds before the first sign from which lines are shown."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of that time: of the history, or what processes of a resource printed up to `at`."""

    at: float
    event: EventRow | None = None
    output: OutputRow | None = None


@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One failover with all that explains it. Fifteen queries."""
    live_from(request)
    context = context_of(pk, request.GET.get("resource", ""))
    if context is None:
        raise Http404
    address = request.build_absolute_uri(reverse("record", args=[pk]))
    context |= {"me": who(request), "address": address, "summary": summary(context["flight"], address)}
    return render(request, "history/record.html", context)


def context_of(pk: int, resource: str = "") -> dict[str, Any] | None:
    now = clock.now()
    flight = read.flight(pk, now)
    if flight is None:
        return None
    record = flight.record
    names = sorted({name for name in (*_named(flight.lines), *_printed(flight.outputs)) if name})
    chosen = resource if resource in (*names, EVERYTHING) else ""
    lines = merged(flight, chosen)
    return {
        "flight": flight,
        "record": record,
        "waterfall": waterfall.draw(flight, now),
        "compared": waterfall.compared(flight.measures),
        "columns": waterfall.columns(flight.earlier, flight.took) if flight.earlier else (),
        "blame": waterfall.LABELS[flight.blame.name] if flight.blame else "",
        "typical": history.typical_seconds([record.group]).get(record.group) if record.group else None,
        "lines": lines[-SHOWN:],
        "line_count": len(lines),
        "resources": names,
        "chosen": chosen,
    }


def _named(lines: Iterable[EventRow]) -> Iterable[str]:
    return (line.resource_name for line in lines)


def _printed(outputs: Iterable[OutputRow]) -> Iterable[str]:
    return (one.resource_name for one in outputs)


def merged(flight: Flight, chosen: str = "") -> list[LogLine]:
    """Lines of the history and output by their time, from the first sign on: what matters, what is of
    one resource, or EVERYTHING."""
    since = flight.first_sign - SOONER

    def wanted(line: EventRow) -> bool:
        if not chosen:
            return line.code != RESOURCE_STATE_CHANGED
        return chosen in (EVERYTHING, line.resource_name)

    events = [LogLine(line.at, event=line) for line in flight.lines if line.at >= since and wanted(line)]
    printed = [
        LogLine(one.written_at, output=one)
        for one in flight.outputs
        if one.written_at >= since and chosen in ("", EVERYTHING, one.resource_name)
    ]
    return sorted([*events, *printed], key=lambda line: line.at)


def notes_context(pk: int, me: str) -> dict[str, Any]:
    """What the part with the notes needs, for who just wrote one. One query."""
    return {"flight": {"notes": read.notes(pk)}, "record": {"id": pk}, "me": me}


def title(flight: Flight) -> str:
    record = flight.record
    moved = record.source and record.source != record.target
    way = f"from {record.source} to {record.target}" if moved else f"on {record.target}"
    return f"{record.kind_label} of {record.group_name} {way}"


def summary(flight: Flight, address: str) -> str:
    """What is worth telling a colleague, to be pasted somewhere."""
    lines = [title(flight), *(step.text for step in flight.chain)]
    if flight.unserved is not None:
        so_far = "" if flight.unserved.until else " so far"
        lines.append(f"Without service: {duration(flight.unserved.seconds)}{so_far}.")
    return "\n".join([*lines, address])


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """The parts of an open failover that anything happened to: while it runs, and when notes are written."""
    if subject is None or not _concerns(subject, change):
        return ""
    context = context_of(subject)
    if context is None:
        return ""
    context |= for_role(role)
    return "".join(render_to_string(f"history/record/{part}.html", context) for part in PARTS)


def _concerns(record: int, change: Change) -> bool:
    """Whether a change may show on the page. Two queries at most."""
    row = FailoverRecord.objects.filter(pk=record).values_list("group_id", "up_at", "down_since").first()
    if row is None:
        return False
    group, up_at, down_since = row
    if group in change.groups and down_since is not None and up_at is None:
        return True  # it is not Online yet, though this passage may have ended
    return Event.objects.filter(record_id=record, seq__gt=change.since).exists()
