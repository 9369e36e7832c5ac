"""Editing a node. Administrators only."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from monitoring.models import Node
from monitoring.service import topology
from monitoring.web.edits import carry_out, done, who
from monitoring.web.forms import NodeForm
from monitoring.web.roles import require_administrator


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    """Its description, and how long it runs on where it is cut off."""
    node = get_object_or_404(Node, pk=pk)
    form = NodeForm.showing(node, request.POST or None)

    def edit() -> None:
        topology.edit_node(pk, form.values(), by=who(request), reason=form.cleaned_data["reason"])

    if request.method == "POST" and carry_out(form, edit):
        return done(request, "The node was saved.", "node", pk)
    context = {"form": form, "node": node}
    return render(request, "nodes/settings.html", context, status=422 if form.errors else 200)
