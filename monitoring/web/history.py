"""The history: failovers and events, newest first, filtered, opened, exported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from monitoring.core.states import Severity
from monitoring.live.topics import Change
from monitoring.models import FailoverRecord, Group, Node
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries import history
from monitoring.web.context import for_role, live_from

TABS = {
    "failovers": "Failovers",
    "events": "Events",
    "timeline": "Timeline",
    "moment": "Moment",
    "availability": "Availability",
    "audit": "Audit",
}
SHARED = ("group",)
"""The filter that every tab has."""
SPANS = [("", "Any time"), ("3600", "Last hour"), ("86400", "Last day"), ("604800", "Last week")]


class TimeField(forms.DateTimeField):
    """A local time as a browser's own control sends it, or as a person types it."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except ValidationError:
            raise ValidationError(f"{value!r} is no time. Write it as 2030-01-31 14:05.") from None


class FilterForm(forms.Form):
    """What of the history is wanted; an empty field does not narrow it."""

    group = forms.ModelChoiceField(Group.objects.order_by("name"), required=False, empty_label="All groups")
    node = forms.ModelChoiceField(Node.objects.order_by("id"), required=False, empty_label="All nodes")
    kind = forms.ChoiceField(required=False)
    severity = forms.TypedChoiceField(
        required=False,
        coerce=int,
        choices=[("", "All"), ("1", "Warning or worse"), ("2", "Error or worse"), ("3", "Severe")],
    )
    text = forms.CharField(
        required=False,
        max_length=200,
        label="Words",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "In texts and names"}),
    )
    within = forms.ChoiceField(required=False, choices=SPANS, label="Time")
    since = TimeField(required=False, label="From")
    until = TimeField(required=False, label="To")

    def __init__(self, tab: str, data: Any) -> None:
        super().__init__(data, auto_id="filter-%s")
        if tab == "events":
            kinds = [(kind, label) for kind, (label, _) in history.EVENT_KINDS.items()]
        else:
            kinds = FailoverRecord.KINDS
            del self.fields["severity"]
        kind = self.fields["kind"]
        assert isinstance(kind, forms.ChoiceField)
        kind.choices = [("", "All kinds"), *kinds]
        for name in ("group", "node"):
            self.fields[name].error_messages["invalid_choice"] = f"This {name} does not exist any more."

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        since, until = values.get("since"), values.get("until")
        if since and until and since > until:
            self.add_error("until", "This is before the start of the range.")
        return values

    @property
    def narrows(self) -> bool:
        """True where something is filled in."""
        return any(self.data.get(name) for name in self.fields)

    def wanted(self, now: float) -> history.Filter:
        values = self.cleaned_data
        since = values["since"].timestamp() if values["since"] else None
        if values["within"] and since is None:
            since = now - float(values["within"])
        return history.Filter(
            group=values["group"].pk if values["group"] else None,
            node=values["node"].pk if values["node"] else None,
            kind=values["kind"],
            severity=Severity(values.get("severity") or 0),
            since=since,
            until=values["until"].timestamp() if values["until"] else None,
            text=values["text"],
        )

    @property
    def node_name(self) -> str:
        node = self.cleaned_data["node"]
        return node.name if node else ""


@require_safe
def page(request: HttpRequest, tab: str) -> HttpResponse:
    """One tab of the history. Four queries, six with a group and a node."""
    live_from(request)
    form = FilterForm(tab, request.GET)
    before = number(request.GET.get("before"))
    valid = form.is_valid()
    rows = read_page(tab, form, before) if valid else history.Page((), None)
    kept = _kept(request)
    context = {
        "tab": tab,
        "tabs": tabs(kept),
        "form": form,
        "page": rows,
        "first": before is None,
        "here": _address(tab, {}),
        "next": _address(tab, {**kept, "before": str(rows.next)}) if rows.next else "",
        "exports": [(form, _address(f"{tab}_{form.lower()}", kept)) for form in ("CSV", "JSON") if valid],
        "topic": "history" if before is None else "",
        "zone": timezone.get_current_timezone_name(),
    }
    response = render(request, "history/page.html", context, status=200 if valid else 422)
    if request.htmx and before is None:  # type: ignore[attr-defined]
        push_url(response, _address(tab, kept))
    return response


def read_page(tab: str, form: FilterForm, before: int | None, limit: int = history.PAGE) -> history.Page[Any]:
    """Rows of a tab by a valid filter. One query."""
    wanted = form.wanted(clock.now())
    if tab == "events":
        return history.events(wanted, before, limit)
    return history.records(wanted, before, limit, form.node_name)


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """New rows for an open history; a page with a filter is told that there are some."""
    context = {
        "events": history.events_after(change.since),
        "records": history.records_after(change.since),
    }
    return render_to_string("history/changes.html", {**context, **for_role(role)})


def _kept(request: HttpRequest) -> dict[str, str]:
    """The filters of an address, without empty ones and the page's own key."""
    return {
        name: str(value) for name, value in request.GET.items() if value and name in FilterForm.base_fields
    }


def tabs(kept: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, label and address of each tab; what both tabs can be asked for stays in the address."""
    lists = set(FilterForm.base_fields) - {"kind", "severity"}
    asked = {name: kept if name in ("failovers", "events") else _only(kept, SHARED) for name in TABS}
    return [(name, label, _address(name, _only(asked[name], lists))) for name, label in TABS.items()]


def _only(kept: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in kept.items() if name in names}


def _address(tab: str, kept: Mapping[str, str]) -> str:
    name = {"failovers": "history", "events": "history_events"}.get(tab, tab)
    return reverse(name, query=dict(kept) or None)


def number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
