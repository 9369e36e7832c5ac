"""Find: jump to a group, node or resource by a part of its name, from anywhere with `/`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Group, Node, Resource

MOST = 8


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The dialog, its list alone while one types, or a page without JavaScript. Three queries."""
    text = request.GET.get("q", "").strip()[:100]
    if request.htmx and "q" in request.GET:  # type: ignore[attr-defined]
        return render(request, "find/found.html", {"q": text, **_found(text)})
    layout = "actions/dialog.html" if request.htmx else "actions/page.html"  # type: ignore[attr-defined]
    return render(request, "find/page.html", {"layout": layout, "q": text, **_found(text)})


def _found(text: str) -> dict[str, object]:
    groups = Group.objects.filter(name__icontains=text).order_by("name")[:MOST]
    nodes = Node.objects.filter(name__icontains=text).order_by("name")[:MOST]
    resources = Resource.objects.filter(name__icontains=text).select_related("group").order_by("name")
    return {
        "groups": [(row, GroupState(row.last_state)) for row in groups],
        "nodes": [(row, NodeState(row.state)) for row in nodes],
        "resources": [(row, ResourceState(row.state)) for row in resources[:MOST]] if text else [],
    }
