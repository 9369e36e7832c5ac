"""Editing a group: its properties, its preferred owners in order, its end. Administrators only."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST

from monitoring.models import Group, Node
from monitoring.service import topology
from monitoring.web.edits import carry_out, done, refused, who
from monitoring.web.forms import GroupForm, NewGroupForm, PreferredOwnersForm
from monitoring.web.roles import require_administrator


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """A new, empty group."""
    form = NewGroupForm(request.POST or None)
    made: list[Group] = []

    def edit() -> None:
        values = form.cleaned_data
        made.append(topology.create_group(form.values(), by=who(request), reason=values["reason"]))

    if request.method == "POST" and carry_out(form, edit):
        return done(request, f"The group {made[0]} was created.", "group", made[0].pk)
    context = {"form": form, "title": "New group", "save": "Create group"}
    return render(request, "groups/create.html", context, status=422 if form.errors else 200)


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything about a group that can be edited."""
    group = get_object_or_404(Group, pk=pk)
    form = GroupForm.showing(group, request.POST or None)

    def edit() -> None:
        topology.edit_group(pk, form.values(), by=who(request), reason=form.cleaned_data["reason"])

    if request.method == "POST" and carry_out(form, edit):
        return done(request, "The properties were saved.", "group", pk)
    return _page(request, group, form)


@require_administrator
@require_POST
def owners(request: HttpRequest, pk: int) -> HttpResponse:
    """One step in ordering the preferred owners, or the end of it: saving them."""
    group = get_object_or_404(Group, pk=pk)
    form = _owners_form(group, request.POST)
    if step := request.POST.get("step"):
        form.step(step)
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, "groups/parts/owners_form.html", {"group": group, "owners": form})
        return _page(request, group, GroupForm.showing(group), form)
    reason = request.POST.get("reason", "")[:500]
    try:
        topology.set_preferred_owners(pk, form.order, by=who(request), reason=reason)
    except ValidationError as error:
        return refused(request, error, "group_settings", pk)
    return done(request, "The preferred owners were saved.", "group", pk)


@require_administrator
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The end of a group, with its resources where that was ticked."""
    group = get_object_or_404(Group, pk=pk)
    reason = request.POST.get("reason", "")[:500]
    try:
        topology.delete_group(pk, by=who(request), reason=reason, force="resources" in request.POST)
    except ValidationError as error:
        return refused(request, error, "group_settings", pk)
    return done(request, f"The group {group} was deleted.", "groups")


def _owners_form(group: Group, data: QueryDict | None = None) -> PreferredOwnersForm:
    if data is None:
        data = QueryDict(mutable=True)
        data.setlist("owner", [str(p.node_id) for p in group.preferences.all()])
    return PreferredOwnersForm(data, Node.objects.order_by("id"))


def _page(
    request: HttpRequest, group: Group, form: GroupForm, owners: PreferredOwnersForm | None = None
) -> HttpResponse:
    context: dict[str, Any] = {
        "group": group,
        "form": form,
        "owners": owners or _owners_form(group),
        "resources": group.resources.count(),
    }
    return render(request, "groups/settings.html", context, status=422 if form.errors else 200)
