"""What if: choose nodes that fail or are drained and disks that break, and see where the groups go."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from monitoring.core.states import NodeState
from monitoring.live.topics import Change
from monitoring.models import Node, Resource
from monitoring.models.roles import Role
from monitoring.service import clock, whatif
from monitoring.service.lookup import UnknownNameError
from monitoring.web.context import for_role, live_from

MOST = 50
"""Names of each kind that one question may hold."""
TICKED = 24
"""Up to this number of disks there is a box for each; of more one is named by typing."""


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The question stands in the address, so that it can be sent to somebody."""
    live_from(request)
    fail, drain, disk = (_names(request, name) for name in ("fail", "drain", "disk"))
    error, asked = "", whatif.Asked()
    try:
        asked = whatif.named(fail, drain, disk)
    except UnknownNameError as unknown:
        error = str(unknown)
    disks = list(
        Resource.objects.filter(type__name=whatif.DISK).order_by("name").values_list("name", flat=True)
    )
    chosen = {resource.name for resource in asked.disks}
    few = len(disks) <= TICKED
    context = {
        "nodes": _nodes(asked),
        "ticked": [(name, name in chosen) for name in (sorted({*disks, *chosen}) if few else sorted(chosen))],
        "to_type": [] if few else [name for name in disks if name not in chosen],
        "asked": asked,
        "error": error,
        "result": None if error or asked.empty else whatif.ask(asked),
        "at": clock.now(),
        "weak": whatif.weak_points() if asked.empty else (),
    }
    return render(request, "what_if/page.html", context)


def render_changes(subject: object, change: Change, role: Role) -> str:
    """That the answer may be another by now, where a group or node has changed."""
    if not (change.groups or change.nodes):
        return ""
    return render_to_string("parts/plan_news.html", {"changed_at": clock.now(), **for_role(role)})


def _names(request: HttpRequest, field: str) -> list[str]:
    return [name.strip() for name in request.GET.getlist(field) if name.strip()][:MOST]


def _nodes(asked: whatif.Asked) -> Sequence[tuple[Node, NodeState, bool, bool]]:
    """Each node, its state, and whether it is to fail or to be drained. One query."""
    fails, drained = {n.pk for n in asked.fails}, {n.pk for n in asked.drained}
    return [
        (node, NodeState(node.state), node.pk in fails, node.pk in drained)
        for node in Node.objects.order_by("pk")
    ]
