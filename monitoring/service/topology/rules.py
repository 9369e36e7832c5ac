"""What a resource may not be, beside the bounds of its fields: rules across resources.

All are checked inside the edit's transaction, most of them after the rows are written: an
error undoes them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from monitoring.core.states import ResourceState
from monitoring.models import Group, Node, PossibleOwner, Resource, ResourceType
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Property, PropertyError, ResourceDLL
from monitoring.service.topology.edits import refuse


def dll_of(type_: ResourceType) -> type[ResourceDLL]:
    """The resource DLL of a type, as it is installed here."""
    found = registry.all_types().get(type_.name)
    if found is None:
        raise refuse("type", f"The resource DLL of {type_} ({type_.dll_name}) is not installed here.")
    return found


def clean_properties(dll: type[ResourceDLL], values: Mapping[str, Any]) -> dict[str, Any]:
    """All private properties, validated by the DLL."""
    try:
        return dll.clean(values)
    except PropertyError as error:
        raise refuse(f"properties.{error.field}", f"{_sentence(error.message)}") from None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def check_properties_unique(resource: Resource, dll: type[ResourceDLL]) -> None:
    """Refuse an address, a network name or a disk that another resource has already.

    A disk is also taken where its path lies inside another's, or the other way round.
    """
    unique = [prop for prop in dll.properties if prop.unique == "cluster"]
    names = [prop for prop in unique if prop.kind == "netbios"]
    for prop in names:
        _refuse_node_name(resource.properties[prop.name], f"properties.{prop.name}")
    if not unique:
        return
    others = Resource.objects.filter(type=resource.type).exclude(pk=resource.pk).select_related("group")
    for other in others:
        for prop in unique:
            if _same(prop, resource.properties.get(prop.name), other.properties.get(prop.name)):
                value = other.properties[prop.name]
                raise refuse(
                    f"properties.{prop.name}",
                    f"{value} belongs to {other} in the group {other.group} already.",
                )


def _same(prop: Property, mine: Any, theirs: Any) -> bool:
    if mine in (None, "") or theirs in (None, ""):
        return False
    if prop.kind != "path":
        return str(mine).casefold() == str(theirs).casefold()
    a, b = (posixpath.normpath(str(path)) for path in (mine, theirs))
    return posixpath.commonpath([a, b]) in (a, b)


def _refuse_node_name(name: str, field: str) -> None:
    """Event 1050: clients could not tell a virtual server from a node of the same name."""
    if Node.objects.filter(name__iexact=name).exists():
        raise refuse(field, f"{name} is the name of a node. A network name must differ from all of them.")


def check_no_network_name(node_name: str) -> None:
    """The same rule, seen from a node that is added."""
    for resource in Resource.objects.filter(type__name__in=_types_with_network_names()).select_related(
        "type"
    ):
        for prop in dll_of(resource.type).properties:
            if prop.kind == "netbios" and resource.properties.get(prop.name) == node_name:
                raise refuse("name", f"{node_name} is the network name of {resource} already.")


def _types_with_network_names() -> list[str]:
    return [
        name
        for name, dll in registry.all_types().items()
        if any(prop.kind == "netbios" and prop.unique for prop in dll.properties)
    ]


def check_single_instance(resource: Resource) -> None:
    """Refuse a second resource of a type of which there can be one a cluster or a group."""
    type_ = resource.type
    if not (type_.single_per_cluster or type_.single_per_group):
        return
    others = Resource.objects.filter(type=type_).exclude(pk=resource.pk).select_related("group")
    if type_.single_per_group:
        others = others.filter(group=resource.group)
    if (other := others.first()) is not None:
        where = f"the group {other.group}" if type_.single_per_group else "the cluster"
        raise refuse("type", f"There can be one {type_} in {where}, and {other} in {other.group} is it.")


def check_required_dependencies(
    resource: Resource, providers: Collection[int], members: Mapping[int, Resource]
) -> None:
    """A resource depends, directly or through others, on one of each type that it requires."""
    held = {members[id].type.name for id in providers}
    missing = [name for name in dll_of(resource.type).required_dependencies if name not in held]
    if missing:
        raise refuse("requires", f"{resource} ({resource.type}) must depend on: {', '.join(missing)}.")


def check_owner_in_common(group: Group, field: str) -> None:
    """A group needs a node that may run all of its resources. Two queries."""
    nodes = set(Node.objects.values_list("pk", flat=True))
    possible: dict[str, set[int]] = {}
    rows = PossibleOwner.objects.filter(resource__group=group).values_list("resource__name", "node_id")
    for name, node in rows:
        possible.setdefault(name, set()).add(node)
    if nodes and not nodes.intersection(*possible.values()):
        lists = "; ".join(
            f"{name} on {', '.join(Node.objects.filter(pk__in=ids).values_list('name', flat=True))}"
            for name, ids in possible.items()
        )
        raise refuse(field, f"No node may run all resources of {group}: {lists}.")


def bound_to(node: Node) -> list[Group]:
    """Groups that no node could run any more if `node` were gone. Two queries.

    A list of possible owners that became empty would even mean the opposite: all nodes.
    """
    others = set(Node.objects.exclude(pk=node.pk).values_list("pk", flat=True))
    possible: dict[Group, dict[int, set[int]]] = {}
    rows = PossibleOwner.objects.filter(resource__group__resources__possible__node=node)
    for row in rows.select_related("resource__group").distinct():
        possible.setdefault(row.resource.group, {}).setdefault(row.resource_id, set()).add(row.node_id)
    return [group for group, lists in possible.items() if not others.intersection(*lists.values())]


def check_down(resource: Resource, field: str) -> None:
    """Refuse what needs the resource to be Offline or Failed, with nothing of it running."""
    state = ResourceState(resource.state)
    if not state.is_down or resource.running:
        how = state.label if not state.is_down else f"{state.label}, but something of it may still run"
        raise refuse(field, f"{resource} is {how}. Take it offline first.")
