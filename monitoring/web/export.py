"""The history as CSV: the same filters as the page, streamed, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from monitoring.service.queries.csv_text import harmless
from monitoring.service.queries.history import EventRow, RecordRow
from monitoring.web.history import FilterForm, read_page

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
def csv_file(request: HttpRequest, tab: str) -> HttpResponseBase:
    """All rows that the filter lets through, newest first; 400 where the filter is wrong."""
    form = FilterForm(tab, request.GET)
    if not form.is_valid():
        text = "\n".join(f"{field}: {message}" for field, all in form.errors.items() for message in all)
        return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M%S")
    return StreamingHttpResponse(
        _lines(tab, form),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="clusterweb-{tab}-{stamp}.csv"'},
    )


async def _lines(tab: str, form: FilterForm) -> AsyncIterator[str]:
    """Chunk by chunk behind the last key, so that a long history never lies in memory."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS[tab])
    before: int | None = None
    while True:
        page = await sync_to_async(read_page)(tab, form, before, CHUNK)
        yield "".join(_written(writer, page.rows))
        before = page.next
        if before is None:
            return


def _written(writer: Any, rows: Iterable[EventRow | RecordRow]) -> Iterator[str]:
    for row in rows:
        values = _event(row) if isinstance(row, EventRow) else _record(row)
        yield writer.writerow([harmless(value) for value in values])


def _event(row: EventRow) -> tuple[Any, ...]:
    return (
        *(row.seq, _time(row.at), row.code or "", row.severity.label, row.text, row.group_name),
        *(row.resource_name, row.node_name, row.requested_by, row.state_from, row.state_to, row.record or ""),
    )


def _record(row: RecordRow) -> tuple[Any, ...]:
    seconds = "" if row.seconds is None else f"{row.seconds:.3f}"
    return (
        *(row.id, _time(row.started), _time(row.stopped), _time(row.finished), seconds, row.kind_label),
        *(row.group_name, row.source, row.target, row.cause, row.rule, row.requested_by, row.reason),
        *(row.state_label, row.outcome),
    )


def _time(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
