"""Editing a resource: properties, possible owners, dependencies, its end. Administrators only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST

from monitoring.models import Group, Node, Resource, ResourceType
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.service import topology
from monitoring.service.queries import types
from monitoring.templatetags.clusterweb import icon_of_type
from monitoring.web.edits import carry_out, done, refused, who
from monitoring.web.forms import NewResourceForm, ResourceForm
from monitoring.web.resources import dll_of
from monitoring.web.roles import require_administrator

MANY = 20
"""Types of one family that are more than one looks through."""


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, pk: int) -> HttpResponse:
    """A new resource of a group: first its type is chosen, then its properties are filled in."""
    group = get_object_or_404(Group, pk=pk)
    topology.sync_new_types()
    type = ResourceType.objects.filter(name=request.GET.get("type", "")).first()
    dll = dll_of(type.name) if type else None
    if type is None or dll is None or dll.unusable:
        return render(request, "resources/choose_type.html", _offer(group))
    siblings = list(group.resources.select_related("type"))
    form = NewResourceForm(type, dll, siblings, request.POST or None)
    made: list[Resource] = []

    def edit() -> None:
        resource = topology.create_resource(
            group.pk,
            type.name,
            form.values(),
            properties=form.private_values(),
            requires=form.requires(),
            by=who(request),
            reason=form.cleaned_data["reason"],
        )
        made.append(resource)

    if request.method == "POST" and carry_out(form, edit):
        return done(request, f"{made[0]} was created.", "group", group.pk)
    context = {"group": group, "form": form, "type": type, "card": TypeCard.of(dll, types.spread())}
    return render(request, "resources/create.html", context, status=422 if form.errors else 200)


@dataclass(frozen=True, slots=True)
class TypeCard:
    """A type as it is offered; a template would call the class of the DLL itself."""

    name: str
    description: str
    icon: str
    needs: tuple[str, ...]
    notice: str
    unusable: str
    missing_on: tuple[str, ...]
    """Nodes that have no such type yet."""

    @classmethod
    def of(cls, dll: type[ResourceDLL], spread: types.Spread) -> TypeCard:
        return cls(
            dll.type_name,
            dll.description,
            icon_of_type(dll.type_name),
            dll.required_dependencies,
            dll.notice if not dll.unusable else "",
            dll.unusable,
            spread.missing_on(dll.type_name) if not dll.unusable else (),
        )

    @property
    def parts(self) -> list[str]:
        """The name in the parts between which a line may break: "ocf:", "heartbeat:", "IPaddr2"."""
        return re.split(r"(?<=:)", self.name)

    @property
    def words(self) -> str:
        """What the filter of the list looks through."""
        return f"{self.name} {self.description}".lower()


def _offer(group: Group) -> dict[str, Any]:
    """All that the choice of a type shows."""
    spread = types.spread()
    return {"group": group, "families": _families(spread), "broken": spread.broken}


def _families(spread: types.Spread) -> list[tuple[str, list[TypeCard]]]:
    """The installed types that the cluster knows, by family, each in the order of the names.

    Families of very many types come last, so that they hide no other.
    """
    known = set(ResourceType.objects.values_list("name", flat=True))
    families: dict[str, list[TypeCard]] = {}
    for name, dll in registry.all_types().items():
        if name in known:
            families.setdefault(dll.family, []).append(TypeCard.of(dll, spread))
    return sorted(families.items(), key=lambda family: (len(family[1]) > MANY, family[0]))


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything about a resource that can be edited."""
    resource = _resource(pk)
    form = ResourceForm.of(resource, dll_of(resource.type.name), request.POST or None)

    def edit() -> None:
        topology.edit_resource(
            pk,
            form.values(),
            properties=form.private_values(),
            by=who(request),
            reason=form.cleaned_data["reason"],
        )

    if request.method == "POST" and carry_out(form, edit):
        return done(request, "The properties were saved.", "resource", pk)
    return _page(request, resource, form)


@require_administrator
@require_POST
def owners(request: HttpRequest, pk: int) -> HttpResponse:
    """The nodes that may run a resource; all of them ticked means every node, later ones too."""
    _resource(pk)
    all_nodes = set(Node.objects.values_list("pk", flat=True))
    ticked = [id for id in _ids(request.POST.getlist("owner")) if id in all_nodes]
    if not ticked:
        error = ValidationError("Tick at least one node: a resource without any could never run.")
        return refused(request, error, "resource_settings", pk)
    chosen = [] if set(ticked) == all_nodes else ticked
    try:
        topology.set_possible_owners(pk, chosen, by=who(request), reason=_reason(request))
    except ValidationError as error:
        return refused(request, error, "resource_settings", pk)
    return done(request, "The possible owners were saved.", "resource_settings", pk)


@require_administrator
@require_POST
def dependencies(request: HttpRequest, pk: int) -> HttpResponse:
    """Add what a resource needs, by itself or as an alternative, or remove it."""
    _resource(pk)
    provider, *_ = [*_ids([request.POST.get("provider", "")]), 0]
    other, *_ = [*_ids([request.POST.get("or_with", "")]), 0]
    try:
        if "remove" in request.POST:
            removed, *_ = [*_ids([request.POST["remove"]]), 0]
            topology.remove_dependency(pk, removed, by=who(request), reason=_reason(request))
        else:
            topology.add_dependency(
                pk, provider, or_with=other or None, by=who(request), reason=_reason(request)
            )
    except ValidationError as error:
        return refused(request, error, "resource_settings", pk)
    return done(request, "The dependencies were saved.", "resource_settings", pk)


@require_administrator
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The end of a resource, and of what came with it."""
    resource = _resource(pk)
    try:
        topology.delete_resource(pk, by=who(request), reason=_reason(request))
    except ValidationError as error:
        return refused(request, error, "resource_settings", pk)
    return done(request, f"{resource} was deleted.", "group", resource.group_id)


def _page(request: HttpRequest, resource: Resource, form: ResourceForm) -> HttpResponse:
    possible = set(resource.possible_owners.values_list("pk", flat=True))
    needs = list(resource.dependencies.select_related("provider").order_by("clause", "id"))
    taken = {row.provider_id for row in needs} | {resource.pk}
    context: dict[str, Any] = {
        "resource": resource,
        "form": form,
        "nodes": [(node, not possible or node.pk in possible) for node in Node.objects.order_by("id")],
        "clauses": _clauses(needs),
        "candidates": [r for r in resource.group.resources.all() if r.pk not in taken],
        "made": list(resource.created.all()),
    }
    return render(request, "resources/settings.html", context, status=422 if form.errors else 200)


def _clauses(needs: Sequence[Any]) -> list[list[Resource]]:
    found: dict[int, list[Resource]] = {}
    for row in needs:
        found.setdefault(row.clause, []).append(row.provider)
    return list(found.values())


def _resource(pk: int) -> Resource:
    return get_object_or_404(Resource.objects.select_related("type", "group"), pk=pk)


def _ids(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")[:500]
