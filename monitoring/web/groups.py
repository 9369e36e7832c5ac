"""Groups: their list, and the page of one with its resource tree, properties and history."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from monitoring.core.states import GroupState
from monitoring.live.topics import Change
from monitoring.models import Resource
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries import groups, history, schedules
from monitoring.service.queries.nodes import node_list
from monitoring.web import charts
from monitoring.web.context import for_role, live_from

EVENTS, RECORDS = 12, 6


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """All groups. Six queries."""
    live_from(request)
    text = request.GET.get("text", "").strip()
    state = request.GET.get("state", "")
    node = request.GET.get("node", "")
    rows = groups.group_list(
        text=text,
        state=GroupState(int(state)) if state in _STATES else None,
        node=int(node) if node.isascii() and node.isdigit() and len(node) < 19 else None,
    )
    context = {
        "groups": rows,
        "nodes": node_list(),
        "states": [(str(s.value), s.label) for s in GroupState if s is not GroupState.UNKNOWN],
        "text": text,
        "state": state,
        "node": node,
        "narrowed": bool(text or state or node),
    }
    return render(request, "groups/list.html", context)


_STATES = {str(state.value) for state in GroupState}


@require_safe
def detail_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One group. Nine queries."""
    live_from(request)
    context = group_context(pk)
    if context is None:
        raise Http404
    return render(request, "groups/page.html", context)


def group_context(pk: int) -> dict[str, Any] | None:
    """All that the page of a group shows, None where there is none of that id."""
    now = clock.now()
    detail = groups.group_detail(pk, now)
    if detail is None:
        return None
    about = history.Filter(group=pk)
    return {
        "detail": detail,
        "group": detail.summary,
        "graph": charts.graph(detail),
        "records": history.records(about, limit=RECORDS).rows,
        "events": history.events(about, limit=EVENTS).rows,
        "history_query": f"group={pk}",
        "coming": schedules.coming_for_group(pk),
    }


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """The live parts of a group's page, where the change is about it."""
    if subject is None or not _concerns(subject, change):
        return ""
    context = group_context(subject)
    if context is None:
        return ""
    return render_to_string("groups/live.html", {**context, **for_role(role)})


def _concerns(group: int, change: Change) -> bool:
    """A node that changed may be an owner or a preferred one. At most one query."""
    if group in change.groups or change.nodes:
        return True
    return (
        Resource.objects.filter(group_id=group, id__in=change.resources).exists()
        if change.resources
        else False
    )


def render_list_changes(subject: int | None, change: Change, role: Role) -> str:
    """The rows of the groups that changed, for the list."""
    rows = groups.group_list(ids=change.groups) if change.groups else ()
    context = {"groups": rows}
    return render_to_string("groups/rows.html", {**context, **for_role(role)})
