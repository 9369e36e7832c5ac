"""The overview: the whole cluster on one page, and its changes as they come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from monitoring.live.topics import Change
from monitoring.models.roles import Role, role_of
from monitoring.service.queries.arrangement import Arranged, View, arrange
from monitoring.web.context import for_role, live_from

FEW = 12
"""Up to this number of groups nobody needs more than the words of the filter."""
REMEMBERED = 200
GROUPINGS = {"node": _("Node"), "state": _("State"), "type": _("Type"), "none": _("Nothing")}
ORDERS = {"trouble": _("Trouble first"), "name": _("Name"), "since": _("Latest change")}


@gzip_page  # the page holds no secret but the form token, which is masked anew each time
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    live_from(request)
    asked = [(name, value) for name, values in request.GET.lists() for value in values]
    arranged = arrange(View.of(asked))
    role = role_of(request.user)
    if role is not None:
        audience = _audience(arranged.view.query, role)
        _remember(audience, _shown.get(audience) or Shown(-1, arranged.shown))
    return render(request, "overview/page.html", _context(arranged))


@dataclass(frozen=True, slots=True)
class Shown:
    """What all pages of one view and role show since event `seq`, so that it need not be sent again.

    -1 where a page has come since: what that one shows is not known. `cards` only tells which are
    likely there; a page that misses one asks for it.
    """

    seq: int
    cards: frozenset[int]
    parts: frozenset[object] = frozenset()


Audience = tuple[str, Role, str, str]
_shown: OrderedDict[Audience, Shown] = OrderedDict()


def _audience(query: str, role: Role) -> Audience:
    """All whose pages are the same: one view, role, language and time zone."""
    return query, role, translation.get_language() or "", timezone.get_current_timezone_name()


def canonical(query: str) -> str:
    """The one way to write a view."""
    return View.parse(query).query


def render_changes(query: str, change: Change, role: Role) -> str:
    """Cards that changed or came into the window, and of what sums up that which is different."""
    audience = _audience(query, role)
    before = _shown.pop(audience, None)
    if change.catching_up:
        _remember(audience, Shown(-1, before.cards) if before else None)
        if change.seq == change.since:
            return ""
    there = None if before is None or change.catching_up else before.cards
    arranged = arrange(
        View.parse(query),
        lambda shown: (shown & change.groups) | (frozenset() if there is None else shown - there),
    )
    parts = frozenset(_parts(arranged))
    known: frozenset[object] = frozenset()
    if not change.catching_up:
        known = before.parts if before and before.seq == change.since else known
        _remember(audience, Shown(change.seq, arranged.shown, parts))
    context = {**_context(arranged), **for_role(role), "fresh": parts - known}
    return render_to_string("overview/changes.html", context)


def _remember(audience: Audience, shown: Shown | None) -> None:
    if shown is not None:
        _shown[audience] = shown
    while len(_shown) > REMEMBERED:
        _shown.popitem(last=False)


def _parts(arranged: Arranged) -> Iterator[object]:
    """All that is compared with what was sent before, to be sent only where it differs."""
    yield from arranged.seen.columns
    yield from (section.head for section in arranged.sections)
    yield arranged.seen.health
    yield arranged.seen.weak
    yield arranged.facets


def _context(arranged: Arranged) -> dict[str, object]:
    by_node = {section.node: section for section in arranged.sections if section.node is not None}
    return {
        "arranged": arranged,
        "view": arranged.view,
        "overview": arranged.seen,
        "compact": arranged.windowed,
        "attention": next((s for s in arranged.sections if s.key == "attention"), None),
        "columns": [(c, by_node[c.id]) for c in arranged.seen.columns if c.id in by_node],
        "lists": [s for s in arranged.sections if s.node is None and s.key != "attention"],
        "tools": arranged.seen.total > FEW or arranged.view != View(),
        "groupings": GROUPINGS.items(),
        "orders": ORDERS.items(),
    }
