"""Availability by group and month: table, chart, printable page, files; marking an outage."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec
from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRefresh

from monitoring.core.availability import Window, share
from monitoring.core.model import Refused
from monitoring.models import Group
from monitoring.service import clock, outages
from monitoring.service.queries import availability
from monitoring.service.queries.availability import GroupRow, OutageRow, Report
from monitoring.service.queries.availability_out import CSV_COLUMNS, csv_rows, of_report
from monitoring.service.queries.csv_text import harmless
from monitoring.web import downtime_chart, history
from monitoring.web.context import live_from
from monitoring.web.edits import done, who
from monitoring.web.roles import require_operator

ROWS, OUTAGES = 200, 50
"""How much a page shows before it is asked for all."""
ORDERS = [("", "Month, then name"), ("worst", "Least available first")]


class _MonthField(forms.CharField):
    """A month as a browser's own control sends it, or as a person types it."""

    widget = forms.TextInput(attrs={"type": "month", "placeholder": "2030-01"})


class ReportForm(forms.Form):
    """Which groups and months; without months the present one and the two before it."""

    group = forms.ModelChoiceField(Group.objects.order_by("name"), required=False, empty_label="All groups")
    since = _MonthField(required=False, label="From month", max_length=10)
    until = _MonthField(required=False, label="To month", max_length=10)
    order = forms.ChoiceField(required=False, choices=ORDERS)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s")
        self.fields["group"].error_messages["invalid_choice"] = "This group does not exist any more."
        self.windows: Sequence[Window] = ()

    def read(self, now: float) -> Report | None:
        """The report; None where the form is wrong, with the errors on its fields."""
        if not self.is_valid():
            return None
        given = self.cleaned_data
        zone = timezone.get_current_timezone()
        try:
            self.windows = availability.months(given["since"], given["until"], now, zone)
            return availability.report(self.windows, now, given["group"].pk if given["group"] else None)
        except Refused as refused:
            self.add_error(refused.field, refused.message)
            return None

    @property
    def narrows(self) -> bool:
        return any(self.data.get(name) for name in self.fields)


class Totals:
    """All rows of a report taken together; lengths in seconds."""

    def __init__(self, rows: Sequence[GroupRow]) -> None:
        self.up = sum(one.row.up for one in rows)
        self.planned = sum(one.row.planned for one in rows)
        self.unplanned = sum(one.row.unplanned for one in rows)
        self.unwatched = sum(one.row.unwatched for one in rows)
        self.outages_planned = sum(one.row.outages_planned for one in rows)
        self.outages_unplanned = sum(one.row.outages_unplanned for one in rows)
        self.availability = share(self.up, self.up + self.planned + self.unplanned)
        self.availability_unplanned = share(self.up, self.up + self.unplanned)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The report as a page. Ten queries at most, however many groups there are."""
    live_from(request)
    now = clock.now()
    form = ReportForm(request.GET)
    report = form.read(now)
    kept = {name: str(value) for name, value in request.GET.items() if value and name in form.fields}
    whole = "all" in request.GET
    context: dict[str, Any] = {
        "tab": "availability",
        "tabs": history.tabs(kept),
        "form": form,
        "here": reverse("availability"),
        "zone": timezone.get_current_timezone_name(),
        "now": now,
    }
    if report is not None:
        rows = _ordered(report.rows, form.cleaned_data["order"])
        context |= {
            "report": report,
            "first": report.windows[0],
            "last": report.windows[-1],
            "group": form.cleaned_data["group"],
            "rows": rows if whole else rows[:ROWS],
            "row_count": len(rows),
            "outages": report.outages if whole else report.outages[:OUTAGES],
            "totals": Totals(report.rows),
            "recovery": recovery(report.outages),
            "chart": downtime_chart.draw(report),
            "all": reverse("availability", query={**kept, "all": "1"}),
            "files": [
                (label, reverse(f"availability_{label.lower()}", query=kept or None))
                for label in ("CSV", "JSON")
            ],
        }
    return render(request, "history/availability.html", context, status=422 if form.errors else 200)


def recovery(found: Sequence[OutageRow]) -> float | None:
    """Mean length of the unplanned outages that have ended, in seconds."""
    lengths = [one.seconds for one in found if not one.outage.planned and one.outage.until is not None]
    return sum(lengths) / len(lengths) if lengths else None


def _ordered(rows: Sequence[GroupRow], order: str) -> Sequence[GroupRow]:
    if order != "worst":
        return rows
    return sorted(rows, key=lambda one: 2.0 if one.row.availability is None else one.row.availability)


@require_safe
def file(request: HttpRequest, form: str) -> HttpResponse:
    """The whole report as CSV or JSON; 400 where the filter is wrong."""
    asked = ReportForm(request.GET)
    report = asked.read(clock.now())
    if report is None:
        text = "\n".join(f"{name}: {message}" for name, all in asked.errors.items() for message in all)
        return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
    name = f"clusterweb-availability-{report.windows[0].label}-{report.windows[-1].label}.{form}"
    body = _csv(report) if form == "csv" else _json(report)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    return HttpResponse(
        body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _csv(report: Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    writer.writerows([harmless(value) for value in row] for row in csv_rows(report))
    return text.getvalue()


def _json(report: Report) -> bytes:
    return msgspec.json.encode(of_report(report, timezone.get_current_timezone_name()))


class MarkForm(forms.Form):
    """What an operator says about an outage."""

    planned = forms.TypedChoiceField(
        choices=[("yes", "Planned"), ("no", "Unplanned")],
        coerce=lambda value: value == "yes",
        error_messages={"required": "Choose one."},
    )
    reason = forms.CharField(max_length=1000, strip=True, error_messages={"required": "Say why."})


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def mark(request: HttpRequest, number: int) -> HttpResponse:
    """Ask whether an outage was planned and why, and write it down."""
    try:
        event = outages.beginning(number)
    except Refused as refused:
        raise Http404(refused.message) from None
    form = MarkForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        made = outages.mark(number, planned=given["planned"], reason=given["reason"], by=who(request))
        if request.htmx:  # type: ignore[attr-defined]
            return HttpResponseClientRefresh()
        return done(request, f"The outage of {made.group_name} was marked.", "availability")
    context = {
        "layout": "actions/dialog.html" if request.htmx else "actions/page.html",  # type: ignore[attr-defined]
        "form": form,
        "event": event,
        "name": event.group.name if event.group else event.group_name,
        "newest": outages.marks_of(number)[:3],
        "chosen": form.data.get("planned", "yes"),
    }
    return render(request, "history/mark.html", context, status=422 if request.method == "POST" else 200)
