"""Nodes: their list, and the page of one with what it hosts and its history."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from monitoring.core.states import GroupState
from monitoring.live.topics import Change
from monitoring.models import Group
from monitoring.models.roles import Role
from monitoring.service.queries import fencing, history, nodes, schedules
from monitoring.web.context import for_role, live_from

EVENTS, RECORDS = 12, 6
SHOWN = 100
"""Groups that the page of a node lists; the list of groups has all of them."""
_CALM = (GroupState.ONLINE, GroupState.OFFLINE)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """All nodes. Five queries."""
    live_from(request)
    return render(request, "nodes/list.html", _list_context())


def _list_context() -> dict[str, Any]:
    rows = nodes.node_list()
    storage = nodes.storage_groups([row.id for row in rows])
    groups = nodes.groups_by_node()
    shown = [(row, groups.get(row.id, ()), storage.get(row.id, 0)) for row in rows]
    return {"nodes": shown, "strangers": nodes.strangers()}


@require_safe
def detail_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One node. Thirteen queries."""
    live_from(request)
    context = node_context(pk)
    if context is None:
        raise Http404
    return render(request, "nodes/page.html", context)


def node_context(pk: int) -> dict[str, Any] | None:
    """All that the page of a node shows, None where there is none of that id."""
    detail = nodes.node_detail(pk)
    if detail is None:
        return None
    about = history.Filter(node=pk)
    return {
        "detail": detail,
        "node": detail.summary,
        "groups": sorted(detail.groups, key=lambda group: group.state in _CALM)[:SHOWN],
        "records": history.records(about, limit=RECORDS, node_name=detail.summary.name).rows,
        "events": history.events(about, limit=EVENTS).rows,
        "history_query": f"node={pk}",
        "coming": schedules.coming_for_node(pk),
        "fencing": fencing.node_fencing(pk),
    }


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """The live parts of a node's page, where the change is about it or a group that it hosts."""
    if subject is None or not _concerns(subject, change):
        return ""
    context = node_context(subject)
    if context is None:
        return ""
    return render_to_string("nodes/live.html", {**context, **for_role(role)})


def _concerns(node: int, change: Change) -> bool:
    """A node that is named may be an owner that lost a group. At most one query.

    A group that has just left names no node any more; the node that it left is in the change.
    """
    if change.nodes:
        return True
    return Group.objects.filter(pk__in=change.groups, owner_id=node).exists() if change.groups else False


def render_list_changes(subject: int | None, change: Change, role: Role) -> str:
    """The list of nodes, whole: there are few, and a move alters two of them."""
    if not (change.nodes or change.groups):
        return ""
    return render_to_string("nodes/rows.html", {**_list_context(), **for_role(role)})
