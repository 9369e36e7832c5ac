"""The state timeline: one lane a group, over an hour to a year, zoomed and moved by its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from monitoring.core.model import Refused
from monitoring.models import Group, Node
from monitoring.service import clock
from monitoring.service.queries import timeline
from monitoring.service.queries.timeline import Lane, Timeline
from monitoring.web import history, lanes
from monitoring.web.context import live_from
from monitoring.web.history import TimeField
from monitoring.web.times import clock_ticks

PAGE = 40
"""Lanes of a page."""
SPANS = (
    *((3600, "1 hour"), (21_600, "6 hours"), (86_400, "1 day"), (604_800, "1 week")),
    *((2_592_000, "30 days"), (7_776_000, "90 days"), (31_536_000, "1 year")),
)
USUAL = 86_400
SHOW = [("", "All groups"), ("trouble", "Not Online all the time")]


class TimelineForm(forms.Form):
    """Which lanes, and which time: `span` seconds that end at `end`, or now."""

    group = forms.ModelChoiceField(Group.objects.order_by("name"), required=False, empty_label="All groups")
    node = forms.ModelChoiceField(Node.objects.order_by("id"), required=False, empty_label="Any node")
    show = forms.ChoiceField(required=False, choices=SHOW)
    span = forms.TypedChoiceField(coerce=int, choices=SPANS, label="Length")
    end = TimeField(required=False, label="Up to")

    def __init__(self, data: Any) -> None:
        given = {name: value for name, value in data.items() if value}
        super().__init__({"span": str(USUAL), **given}, auto_id="filter-%s")
        for name in ("group", "node"):
            self.fields[name].error_messages["invalid_choice"] = f"This {name} does not exist any more."

    @property
    def narrows(self) -> bool:
        given = self.data
        return any(given.get(name) for name in ("group", "node", "show", "end")) or (
            given.get("span") != str(USUAL)
        )

    def read(self, now: float) -> Timeline | None:
        """The lanes of all groups that fit; None where the form is wrong, with errors on its fields."""
        if not self.is_valid():
            return None
        given = self.cleaned_data
        until = given["end"].timestamp() if given["end"] else now
        try:
            found = timeline.timeline(
                until - given["span"], until, now, given["group"].pk if given["group"] else None
            )
        except Refused as refused:
            self.add_error(refused.field, refused.message)
            return None
        kept = tuple(lane for lane in found.lanes if self._fits(lane))
        return Timeline(found.since, found.until, kept, found.unwatched)

    def _fits(self, lane: Lane) -> bool:
        node, show = self.cleaned_data["node"], self.cleaned_data["show"]
        if lane.group is None and not lane.spans:
            return False
        return (node is None or lane.was_on(node.name)) and (not show or lane.troubled)


@dataclass(frozen=True, slots=True)
class Way:
    """A link that moves or zooms the view; `key` does the same. `address` is None where there is no more."""

    name: str
    label: str
    icon: str
    key: str
    address: str | None


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A page of lanes. Nine queries at most, however many groups there are."""
    live_from(request)
    now = clock.now()
    form = TimelineForm(request.GET)
    found = form.read(now)
    kept = {name: str(value) for name, value in request.GET.items() if value and name in form.fields}
    context: dict[str, Any] = {
        "tab": "timeline",
        "tabs": history.tabs(kept),
        "form": form,
        "here": reverse("timeline"),
        "zone": timezone.get_current_timezone_name(),
    }
    if found is not None:
        number = max(1, history.number(request.GET.get("page")) or 1)
        shown = timeline.with_causes(found.lanes[(number - 1) * PAGE : number * PAGE])
        context |= {
            "timeline": found,
            "lanes": [lanes.draw(lane, found, now) for lane in shown],
            "count": len(found.lanes),
            "legend": [(look, state.label) for state, look in lanes.LOOKS.items()],
            "ticks": clock_ticks(found.since, found.until),
            "now_at": _percent(now, found) if found.since < now < found.until else None,
            "unwatched": [
                (_percent(low, found), _percent(high, found) - _percent(low, found))
                for low, high in found.unwatched
            ],
            "ways": ways(kept, form.cleaned_data["span"], found.until, now),
            "previous": _address(kept, page=str(number - 1)) if number > 1 else "",
            "next": _address(kept, page=str(number + 1)) if number * PAGE < len(found.lanes) else "",
        }
    return render(request, "history/timeline.html", context, status=422 if form.errors else 200)


def ways(kept: Mapping[str, str], span: int, until: float, now: float) -> list[Way]:
    """Zoom in and out around the middle, move by half of what is seen, go back to now."""
    lengths = [seconds for seconds, _ in SPANS]
    at = lengths.index(span)
    middle = until - span / 2

    def to(end: float, length: int) -> str:
        end = min(end, now)
        return _address(kept, span=str(length), end="" if end >= now - 1 else local(end))

    shorter = lengths[at - 1] if at else None
    longer = lengths[at + 1] if at + 1 < len(lengths) else None
    ended = until >= now - 1
    return [
        Way("earlier", "Earlier", "chevron-left", "ArrowLeft", to(until - span / 2, span)),
        Way("later", "Later", "chevron-right", "ArrowRight", None if ended else to(until + span / 2, span)),
        Way("in", "Zoom in", "zoom-in", "+", to(middle + shorter / 2, shorter) if shorter else None),
        Way("out", "Zoom out", "zoom-out", "-", to(middle + longer / 2, longer) if longer else None),
        Way("now", "Now", "clock", "0", None if ended else to(now, span)),
    ]


def local(at: float) -> str:
    """Cluster time as the form takes it: local time to the second."""
    return datetime.fromtimestamp(at, timezone.get_current_timezone()).strftime("%Y-%m-%dT%H:%M:%S")


def _percent(at: float, found: Timeline) -> float:
    return round(100 * (at - found.since) / (found.until - found.since), 3)


def _address(kept: Mapping[str, str], **changed: str) -> str:
    asked = {name: value for name, value in {**kept, **changed}.items() if value}
    return reverse("timeline", query=asked or None)
