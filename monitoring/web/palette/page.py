"""The palette on a page of its own, and its list for the dialog. Four queries at most."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from monitoring.models.roles import has_role
from monitoring.web.palette.suggest import suggestions
from monitoring.web.palette.things import read_index

LONGEST = 100
REMEMBERED = 12
_KEY = re.compile(r"(group|node|resource):\d{1,18}|page:[a-z_]{1,40}")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A search page that needs no script; with htmx's header the list alone, as options of a listbox."""
    typed = request.GET.get("q", "").strip()[:LONGEST]
    recent = [key for key in request.GET.get("recent", "").split(",")[:REMEMBERED] if _KEY.fullmatch(key)]
    found = suggestions(
        typed,
        read_index(),
        lambda role: has_role(request.user, role),
        recent=recent,
        language=get_language() or "en",
    )
    context = {"q": typed, "found": found, "listbox": bool(request.htmx)}  # type: ignore[attr-defined]
    template = "palette/list.html" if context["listbox"] else "palette/page.html"
    return render(request, template, context)
