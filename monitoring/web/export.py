"""The history as CSV, safe to open in a spreadsheet, and as JSON: the filters of the page, streamed."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from monitoring.service.queries.csv_text import harmless
from monitoring.service.queries.history import EventRow, Page, RecordRow
from monitoring.web.history import FilterForm, read_page

RowT = TypeVar("RowT")

CHUNK = 500
COLUMNS = {
    "events": (
        *("number", "time", "id", "severity", "text", "group", "resource", "node", "requested by"),
        *("state from", "state to", "failover"),
    ),
    "failovers": (
        *("number", "started", "handed over", "finished", "seconds", "kind", "group", "from", "to", "cause"),
        *("rule", "requested by", "reason", "state", "outcome"),
    ),
}


class _Line:
    """What csv.writer writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line


@require_safe
def file(request: HttpRequest, tab: str, kind: str) -> HttpResponseBase:
    """All rows that the filter lets through, newest first; 400 where the filter is wrong."""
    form = FilterForm(tab, request.GET)
    if not form.is_valid():
        text = "\n".join(f"{field}: {message}" for field, all in form.errors.items() for message in all)
        return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
    return streamed(partial(read_page, tab, form), tab, kind, COLUMNS[tab], _values, _object)


def streamed(
    read: Callable[[int | None, int], Page[RowT]],
    name: str,
    kind: str,
    columns: Sequence[str],
    values: Callable[[RowT], tuple[Any, ...]],
    of: Callable[[RowT], Any],
) -> StreamingHttpResponse:
    """A file of all rows that `read` gives by key and number: CSV of `values`, or JSON of `of`."""
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M%S")
    csv_text = kind == "csv"
    return StreamingHttpResponse(
        _lines(read, columns, values) if csv_text else _objects(read, of),
        content_type="text/csv; charset=utf-8" if csv_text else "application/json",
        headers={"Content-Disposition": f'attachment; filename="clusterweb-{name}-{stamp}.{kind}"'},
    )


async def _lines(
    read: Callable[[int | None, int], Page[RowT]],
    columns: Sequence[str],
    values: Callable[[RowT], tuple[Any, ...]],
) -> AsyncIterator[str]:
    """Chunk by chunk behind the last key, so that a long history never lies in memory."""
    writer = csv.writer(_Line())
    yield writer.writerow(columns)
    before: int | None = None
    while True:
        page = await sync_to_async(read)(before, CHUNK)
        yield "".join(writer.writerow([harmless(value) for value in values(row)]) for row in page.rows)
        before = page.next
        if before is None:
            return


async def _objects(
    read: Callable[[int | None, int], Page[RowT]], of: Callable[[RowT], Any]
) -> AsyncIterator[str]:
    """One array; the fields are called as in the REST API."""
    before: int | None = None
    separator = "[\n"
    while True:
        page = await sync_to_async(read)(before, CHUNK)
        for row in page.rows:
            yield separator + msgspec.json.encode(of(row)).decode()
            separator = ",\n"
        before = page.next
        if before is None:
            yield "\n]\n" if separator != "[\n" else "[]\n"
            return


def _object(row: EventRow | RecordRow) -> dict[str, Any]:
    if isinstance(row, EventRow):
        return {
            "seq": row.seq,
            "at": iso_time(row.at),
            "code": row.code,
            "severity": row.severity.label,
            "text": row.text,
            "group": row.group_name,
            "resource": row.resource_name,
            "node": row.node_name,
            "requested_by": row.requested_by,
            "state_from": row.state_from,
            "state_to": row.state_to,
            "failover": row.record,
        }
    return {
        "id": row.id,
        "group": row.group_name,
        "kind": row.kind,
        "source": row.source,
        "target": row.target,
        "cause": row.cause,
        "rule": row.rule,
        "requested_by": row.requested_by,
        "reason": row.reason,
        "state": row.state,
        "outcome": row.outcome,
        "started": iso_time(row.started),
        "offline": iso_time(row.stopped) or None,
        "finished": iso_time(row.finished) or None,
        "seconds": row.seconds,
    }


def _values(row: EventRow | RecordRow) -> tuple[Any, ...]:
    return _event(row) if isinstance(row, EventRow) else _record(row)


def _event(row: EventRow) -> tuple[Any, ...]:
    return (
        *(row.seq, iso_time(row.at), row.code or "", row.severity.label, row.text, row.group_name),
        *(row.resource_name, row.node_name, row.requested_by, row.state_from, row.state_to, row.record or ""),
    )


def _record(row: RecordRow) -> tuple[Any, ...]:
    seconds = "" if row.seconds is None else f"{row.seconds:.3f}"
    return (
        *(
            row.id,
            iso_time(row.started),
            iso_time(row.stopped),
            iso_time(row.finished),
            seconds,
            row.kind_label,
        ),
        *(row.group_name, row.source, row.target, row.cause, row.rule, row.requested_by, row.reason),
        *(row.state_label, row.outcome),
    )


def iso_time(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
