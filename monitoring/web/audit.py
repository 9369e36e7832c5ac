"""The audit trail: who did or tried what, from where, why, and how it ended; filtered, exported."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from monitoring.models import AuditEntry
from monitoring.service.queries import audit
from monitoring.service.queries.audit_out import of_entry
from monitoring.service.queries.history import Page
from monitoring.web import export, history
from monitoring.web.roles import require_administrator

COLUMNS = (
    *("number", "time", "who", "role", "channel", "address", "what", "reason", "state", "outcome"),
    "event",
)


class FilterForm(forms.Form):
    """What of the trail is wanted; an empty field does not narrow it."""

    who = forms.ChoiceField(required=False, label=_("Who"))
    channel = forms.ChoiceField(
        required=False, label=_("From"), choices=[("", _("Anywhere")), *AuditEntry.CHANNELS]
    )
    outcome = forms.ChoiceField(
        required=False, label=_("Outcome"), choices=[("", _("All")), *audit.OUTCOMES.items()]
    )
    text = forms.CharField(
        required=False,
        max_length=200,
        label=_("Words"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("In what, reasons, and addresses")}),
    )
    since = history.TimeField(required=False, label=_("After"))
    until = history.TimeField(required=False, label=_("Before"))

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s")
        who = self.fields["who"]
        assert isinstance(who, forms.ChoiceField)
        who.choices = [("", _("Everybody")), *((name, name) for name in audit.people())]

    @property
    def narrows(self) -> bool:
        """True where something is filled in."""
        return any(self.data.get(name) for name in self.fields)

    def wanted(self) -> audit.Filter:
        values = self.cleaned_data
        times = {name: values[name].timestamp() if values[name] else None for name in ("since", "until")}
        return audit.Filter(
            values["who"],
            values["channel"],
            values["outcome"],
            values["text"],
            times["since"],
            times["until"],
        )


@require_administrator
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The trail, newest first. Three queries."""
    form = FilterForm(request.GET)
    before = history.number(request.GET.get("before"))
    valid = form.is_valid()
    rows = audit.entries(form.wanted(), before) if valid else Page((), None)
    kept = {name: str(value) for name, value in request.GET.items() if value and name in form.fields}
    context = {
        "tab": "audit",
        "tabs": history.tabs({}),
        "form": form,
        "page": rows,
        "first": before is None,
        "here": reverse("audit"),
        "next": reverse("audit", query={**kept, "before": str(rows.next)}) if rows.next else "",
        "exports": [
            (kind, reverse(f"audit_{kind.lower()}", query=kept or None)) for kind in ("CSV", "JSON") if valid
        ],
        "zone": timezone.get_current_timezone_name(),
    }
    response = render(request, "history/audit.html", context, status=200 if valid else 422)
    if request.htmx and before is None:  # type: ignore[attr-defined]
        push_url(response, reverse("audit", query=kept or None))
    return response


@require_administrator
@require_safe
def file(request: HttpRequest, kind: str) -> HttpResponseBase:
    """All entries that the filter lets through; 400 where the filter is wrong."""
    form = FilterForm(request.GET)
    if not form.is_valid():
        text = "\n".join(f"{field}: {message}" for field, all in form.errors.items() for message in all)
        return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
    return export.streamed(partial(audit.entries, form.wanted()), "audit", kind, COLUMNS, _values, of_entry)


def _values(row: audit.AuditRow) -> tuple[Any, ...]:
    return (
        *(row.id, export.iso_time(row.at), row.who, row.role, row.channel_label, row.address, row.text),
        *(row.reason, row.state_label, row.outcome, row.event or ""),
    )
