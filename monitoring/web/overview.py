"""The overview: the whole cluster on one page, and its changes as they come."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from monitoring.live.topics import Change
from monitoring.models.roles import Role
from monitoring.service.queries.overview import Overview, overview
from monitoring.web.context import for_role, live_from

COMPACT = 60
"""From this number of groups on, a card names only the resources that are not online."""


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    live_from(request)
    return render(request, "overview/page.html", _context(overview()))


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """Cards of the groups that changed, and all that sums up: sentence, nodes, latest events."""
    seen = overview(change.groups)
    return render_to_string("overview/changes.html", {**_context(seen), **for_role(role)})


def _context(seen: Overview) -> dict[str, object]:
    return {"overview": seen, "compact": seen.total > COMPACT}
