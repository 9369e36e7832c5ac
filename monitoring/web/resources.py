"""The page of one resource: state, properties, dependencies, probe times, history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST, require_safe

from monitoring.core.model import Refused
from monitoring.live.topics import Change
from monitoring.models import Resource
from monitoring.models.roles import Role, role_of
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.service import clock, output
from monitoring.service.queries import history, resources
from monitoring.web import charts
from monitoring.web.context import for_role, live_from
from monitoring.web.roles import require_operator
from monitoring.web.times import clock_ticks

EVENTS = 15
JUST_READ = 10.0
"""Seconds for which a page gets output that was read; later it has it already."""
SPANS = {
    "1h": ("1 hour", 3600.0),
    "6h": ("6 hours", 21_600.0),
    "24h": ("24 hours", 86_400.0),
    "7d": ("7 days", 604_800.0),
}


@dataclass(frozen=True, slots=True)
class PropertyValue:
    """A private property as it is shown: `value` in words, with its unit; never a secret."""

    name: str
    value: str
    help: str
    code: bool


@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One resource. Seven queries; eight for who may see its output."""
    live_from(request)
    span = request.GET.get("span", "1h")
    context = resource_context(pk, span if span in SPANS else "1h")
    if context is None:
        raise Http404
    context["output"] = _output(pk, role_of(request.user))
    return render(request, "resources/page.html", context)


def resource_context(pk: int, span: str = "1h") -> dict[str, Any] | None:
    """All that the page of a resource shows, None where there is none of that id."""
    now = clock.now()
    detail = resources.resource_detail(pk, now)
    if detail is None:
        return None
    dll = dll_of(detail.row.type_name)
    return {
        "detail": detail,
        "resource": detail.row,
        "dll_missing": dll is None,
        "private": private_properties(detail.properties, dll),
        "probes": detail.probes,
        "charts": probe_charts(pk, now, span),
        "span": span,
        "spans": [(key, label) for key, (label, _) in SPANS.items()],
        "events": history.events(history.Filter(resource=pk), limit=EVENTS).rows,
        "polls_looks_alive": dll is None or dll.polls_looks_alive,
    }


def dll_of(type_name: str) -> type[ResourceDLL] | None:
    """The DLL of a type, None where this machine does not have it."""
    return registry.all_types().get(type_name)


def private_properties(values: Any, dll: type[ResourceDLL] | None) -> list[PropertyValue]:
    """The private properties of a resource by its type's schema, without it their names alone."""
    if dll is None:  # nobody knows which of them are secrets
        return [PropertyValue(name, "set, not shown", "", False) for name in values]
    shown = []
    for prop in dll.properties:
        value = values.get(prop.name, prop.default)
        if prop.secret:
            text = "set, not shown" if value else "not set"
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        else:
            text = "" if value is None else f"{value} {prop.unit}".strip()
        code = prop.kind in ("ip", "netmask", "netbios", "path", "command", "port") and not prop.secret
        if not text and prop.placeholder:
            text = f"not set ({prop.placeholder})"
        shown.append(PropertyValue(prop.name, text, prop.help, code))
    return shown


def probe_charts(pk: int, now: float, span: str) -> list[charts.Series]:
    """A chart for each entry point that was called within the span. One query."""
    seconds = SPANS[span][1]
    since = now - seconds
    found = resources.probe_series(pk, since, now)
    columns = clock_ticks(since, now)
    return [
        charts.series(name, found[name], since, now, columns)
        for name in ("IsAlive", "LooksAlive")
        if name in found
    ]


@require_safe
def probes(request: HttpRequest, pk: int) -> HttpResponse:
    """The probe times alone, for another span. Two queries."""
    resource = get_object_or_404(Resource.objects.select_related("type"), pk=pk)
    span = request.GET.get("span", "1h")
    span = span if span in SPANS else "1h"
    context = {
        "probes": resources.probe_stats(resource),
        "charts": probe_charts(pk, clock.now(), span),
        "span": span,
        "spans": [(key, label) for key, (label, _) in SPANS.items()],
        "resource": {"id": pk},
    }
    return render(request, "resources/parts/probes.html", context)


def _output(pk: int, role: Role | None) -> output.OutputView | None:
    """What it printed, for who may see that: it may contain anything. At most one query."""
    return output.known(pk) if role is not None and role.rank >= Role.OPERATOR.rank else None


@require_operator
@require_POST
def read_output(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the node for the output, and to go on telling for a while. The answer comes as a live change."""
    row = get_object_or_404(Resource.objects.only("pk"), pk=pk)
    refused = ""
    try:
        output.ask(row.pk)
    except Refused as error:
        refused = error.message
    if not getattr(request, "htmx", False):
        return redirect("resource", pk)
    context = {"output": output.known(pk), "refused": refused, "resource": {"id": pk}}
    return render(request, "resources/parts/output_lines.html", context)


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """The live parts of a resource's page, where the change is about it."""
    if subject is None or not _concerns(subject, change):
        return ""
    context = resource_context(subject)
    if context is None:
        return ""
    printed = _output(subject, role)
    if printed is not None and printed.read_at and clock.now() - printed.read_at < JUST_READ:
        context["output"] = printed
    return render_to_string("resources/live.html", {**context, **for_role(role)})


def _concerns(resource: int, change: Change) -> bool:
    """Its group tells of the owner and of dependents. At most one query."""
    if resource in change.resources or change.nodes:
        return True
    return (
        Resource.objects.filter(pk=resource, group_id__in=change.groups).exists() if change.groups else False
    )
