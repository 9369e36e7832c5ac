"""Add a node: its name, the one command to run there, and its arrival as it happens. Administrators only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.models import JoinToken, Node, NodeTypes
from monitoring.service import clock, joining, topology
from monitoring.web.edits import carry_out, who
from monitoring.web.forms import TopologyForm
from monitoring.web.roles import require_administrator


class NewNodeForm(TopologyForm):
    """What a new node needs."""

    name = forms.CharField(
        max_length=15,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("As the machine is called: at most 15 characters."),
    )
    description = forms.CharField(required=False, label=gettext_lazy("Description"))


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """The name; then the command, told once."""
    form = NewNodeForm(request.POST or None)
    made: list[Node] = []

    def edit() -> None:
        values = form.cleaned_data
        node = topology.add_node(
            values["name"], description=values["description"], by=who(request), reason=values["reason"]
        )
        made.append(node)

    if request.method == "POST" and carry_out(form, edit):
        return _command(request, made[0])
    return render(request, "nodes/new.html", {"form": form}, status=422 if form.errors else 200)


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def joining_page(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is; a new command, or the end of the one that was given."""
    node = get_object_or_404(Node, pk=pk)
    if request.method == "POST":
        if request.POST.get("what") == "revoke":
            joining.revoke(node, by=who(request))
            return redirect("node_joining", pk)
        try:
            return _command(request, node)
        except Refused as error:
            messages.error(request, error.message)
            return redirect("node_joining", pk)
    page = "nodes/parts/arrival.html" if request.GET.get("part") else "nodes/joining.html"
    return render(request, page, _arrival(node))


def _command(request: HttpRequest, node: Node) -> HttpResponse:
    token = joining.make(node, by=who(request))
    url = request.build_absolute_uri("/").rstrip("/")
    command = f"sudo /opt/clusterweb/.venv/bin/python -m monitoring.node join {url} {token}"
    if settings.TRAINING:  # everything is on this machine, and nobody is root
        home = settings.HOME / "nodes" / node.name / "joined"
        command = f"{settings.BASE_DIR}/.venv/bin/python -m monitoring.node join {url} {token} --home {home}"
    response = render(request, "nodes/joining.html", {**_arrival(node), "command": command})
    response["Cache-Control"] = "no-store"
    return response


def _arrival(node: Node) -> dict[str, Any]:
    """The steps of its arrival, and what it lacks. Three queries."""
    token = JoinToken.objects.filter(node=node).first()
    left = token.expires_at - clock.now() if token and token.used_at is None else None
    types = {row.node_id: set(row.names) for row in NodeTypes.objects.all()}
    others = set().union(*(names for id, names in types.items() if id != node.pk))
    up = node.state == NodeState.UP
    return {
        "node": node,
        "token": token,
        "minutes": max(0, round(left / 60)) if left is not None else None,
        "expired": left is not None and left <= 0,
        "used": token is not None and token.used_at is not None,
        "up": up,
        "told": node.pk in types,
        "lacks": sorted(others - types.get(node.pk, others)),
    }
