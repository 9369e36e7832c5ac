"""The cluster as it was at a moment, and the difference between two."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from monitoring.service import clock
from monitoring.service.queries import moment
from monitoring.web import history
from monitoring.web.context import live_from
from monitoring.web.history import TimeField

PAGE = 200
"""Rows of each kind on a page."""


class MomentForm(forms.Form):
    """Which moment, and which other one to compare it with; empty: an hour ago, and none."""

    at = TimeField(required=False, label="As it was at")
    to = TimeField(required=False, label="Compared with")

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A moment, or two. Thirteen queries at most, however much there is."""
    live_from(request)
    now = clock.now()
    form = MomentForm(request.GET)
    context: dict[str, Any] = {
        "tab": "moment",
        "tabs": history.tabs({}),
        "form": form,
        "here": reverse("moment"),
        "zone": timezone.get_current_timezone_name(),
        "unknown": moment.UNKNOWN_OF,
    }
    if form.is_valid():
        at, to = form.cleaned_data["at"], form.cleaned_data["to"]
        first = moment.moment(min(at.timestamp(), now) if at else now - 3600)
        context["first"] = first
        if to:
            second = moment.moment(min(to.timestamp(), now))
            context |= {"second": second, "differences": moment.differences(first, second)}
        kinds = (
            ("Groups", "group", first.groups),
            ("Nodes", "node", first.nodes),
            ("Resources", "resource", first.resources),
        )
        page = max(1, history.number(request.GET.get("page")) or 1)
        low, high = (page - 1) * PAGE, page * PAGE
        kept = {name: value for name, value in request.GET.items() if value and name in form.fields}
        context |= {
            "kinds": [(title, kind, rows[low:high], len(rows)) for title, kind, rows in kinds],
            "previous": reverse("moment", query={**kept, "page": str(page - 1)}) if page > 1 else "",
            "next": reverse("moment", query={**kept, "page": str(page + 1)})
            if any(len(rows) > high for _, _, rows in kinds)
            else "",
        }
    return render(request, "history/moment.html", context, status=422 if form.errors else 200)
