"""Rows by id, refused by field where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.models import Group, Node, Resource, ResourceType
from monitoring.service.topology.edits import refuse


def group_of(group_id: int) -> Group:
    """The group with this id. One query."""
    group = Group.objects.filter(pk=group_id).first()
    if group is None:
        raise refuse("group", "This group does not exist any more.")
    return group


def resource_of(resource_id: int, field: str = "resource") -> Resource:
    """The resource with this id, with its group, owner and type. One query."""
    found = Resource.objects.select_related("group__owner", "type").filter(pk=resource_id).first()
    if found is None:
        raise refuse(field, "This resource does not exist any more.")
    return found


def type_named(name: str) -> ResourceType:
    """The resource type with this name, whatever its case. One query."""
    found = ResourceType.objects.filter(name__iexact=name.strip()).first()
    if found is None:
        raise refuse("type", f"There is no resource type {name!r}.")
    return found


def nodes_of(node_ids: Sequence[int], field: str) -> list[Node]:
    """The nodes with these ids, in this order, each once. One query."""
    if len(set(node_ids)) != len(node_ids):
        raise refuse(field, "A node is named twice.")
    found = Node.objects.in_bulk(list(node_ids))
    if missing := [id for id in node_ids if id not in found]:
        raise refuse(field, f"There is no node with the id {missing[0]}.")
    return [found[id] for id in node_ids]
