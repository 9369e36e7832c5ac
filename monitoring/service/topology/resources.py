"""Resources: create (with all that comes with them), edit, delete, possible owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.core.states import ResourceState
from monitoring.models import Dependency, Group, Operation, PossibleOwner, Resource, ResourceType
from monitoring.models.topology import STORAGE_GROUPS
from monitoring.resource_dlls.api import Blueprint, CompositeDLL
from monitoring.service.topology import dependencies, exchange, rules
from monitoring.service.topology.edits import Edit, assign, check_name, edit, refuse
from monitoring.service.topology.find import group_of, nodes_of, resource_of, type_named
from monitoring.service.topology.types import sync_new_types

SETTINGS = frozenset(
    {
        "name",
        "description",
        "looks_alive_ms",
        "is_alive_ms",
        "restart_action",
        "restart_threshold",
        "restart_period_ms",
        "restart_delay_ms",
        "retry_period_ms",
        "pending_timeout_ms",
        "deadlock_timeout_ms",
        "separate_monitor",
    }
)


def create_resource(
    group_id: int,
    type_name: str,
    values: Mapping[str, Any],
    *,
    properties: Mapping[str, Any] | None = None,
    requires: dependencies.Clauses | None = None,
    possible_owners: Sequence[int] = (),
    by: str,
    reason: str = "",
) -> Resource:
    """Create a resource and, where its type says so, all that comes with it.

    Without `requires` it depends on every resource of the group whose type it requires: a
    System Attendant on the name and all disks. In a group that is to be online it starts
    Offline and stays so until somebody brings it online; in another one it follows the group.
    """
    sync_new_types()
    with edit(by, reason) as change:
        group = group_of(group_id)
        type_ = type_named(type_name)
        resource = _create(change, group, type_, values, properties or {}, requires)
        _set_owners(resource, possible_owners)
        dll = rules.dll_of(type_)
        if issubclass(dll, CompositeDLL):
            _create_parts(change, resource, dll, possible_owners)
        rules.check_owner_in_common(group, "possible_owners")
        exchange.check_virtual_servers("type")
        exchange.check_storage_groups(f"properties.{STORAGE_GROUPS}")
    return resource


def _create(
    change: Edit,
    group: Group,
    type_: ResourceType,
    values: Mapping[str, Any],
    properties: Mapping[str, Any],
    requires: dependencies.Clauses | None,
    created_by: Resource | None = None,
) -> Resource:
    """Check and save one resource with its dependencies, and record it."""
    resource = Resource(
        group=group,
        type=type_,
        created_by=created_by,
        persistent_online=not group.persistent_online,
        state_since=change.held.now,
    )
    dll = rules.dll_of(type_)
    if dll.unusable:
        raise refuse("type", f"{type_} cannot be used. {dll.unusable}")
    assign(resource, values, SETTINGS)
    check_name(resource)
    resource.properties = rules.clean_properties(dll, properties)
    rules.check_single_instance(resource)
    rules.check_properties_unique(resource, dll)
    if requires is None:
        requires = _by_types(group, dll.required_dependencies, f"{type_} needs", "type")
    resource.save()
    dependencies.write(resource, requires)
    change.record(f"created {resource} ({type_}) in the group {group}", resource)
    return resource


def _by_types(group: Group, type_names: Sequence[str], who: str, field: str) -> list[list[int]]:
    """Clauses of all resources of the group that have one of these types; refused without any of one."""
    providers: list[int] = []
    for name in type_names:
        found = list(group.resources.filter(type__name=name).values_list("pk", flat=True))
        if not found:
            raise refuse(field, f"{who} a resource of the type {name} in the group {group}. Create it first.")
        providers += found
    return dependencies.direct_only(group, providers)


def _create_parts(
    change: Edit, owner: Resource, dll: type[CompositeDLL], possible_owners: Sequence[int]
) -> None:
    """Create the resources that come with `owner`, providers first, on the same nodes."""
    for part in dll.blueprints(owner.properties):
        type_ = type_named(part.type_name)
        if part.skip_if_in_cluster and Resource.objects.filter(type=type_).exists():
            continue
        requires = _by_types(owner.group, part.requires, f"{part.name} needs", "type")
        made = _create(
            change, owner.group, type_, {"name": _part_name(owner, part)}, part.properties, requires, owner
        )
        _set_owners(made, possible_owners)


def _part_name(owner: Resource, part: Blueprint) -> str:
    """Names are unique in the cluster: those of parts begin with their group's."""
    return f"{owner.group.name} {part.name}"


def edit_resource(
    resource_id: int,
    values: Mapping[str, Any],
    *,
    properties: Mapping[str, Any] | None = None,
    by: str,
    reason: str = "",
) -> Resource:
    """Change settings and private properties of a resource; those not named stay.

    Intervals and the failure policy act at once; a running resource takes over its private
    properties when it comes online the next time.
    """
    with edit(by, reason) as change:
        resource = resource_of(resource_id)
        name = resource.name
        changes = assign(resource, values, SETTINGS)
        check_name(resource)
        private = _assign_properties(resource, properties) if properties else []
        if changes or private:
            resource.save(update_fields=[*values, "properties"])
            exchange.check_storage_groups(f"properties.{STORAGE_GROUPS}")
            later = private and not ResourceState(resource.state).is_down
            when = " (from its next online on)" if later else ""
            change.record(f"changed {name}: {', '.join(changes + private)}{when}", resource)
    return resource


def _assign_properties(resource: Resource, given: Mapping[str, Any]) -> list[str]:
    """Set private properties, and return what changed in words; secrets are only named."""
    dll = rules.dll_of(resource.type)
    before = resource.properties
    after = rules.clean_properties(dll, {**before, **given})
    resource.properties = after
    rules.check_properties_unique(resource, dll)
    return [
        prop.name if prop.secret else f"{prop.name} from {before.get(prop.name)!r} to {after[prop.name]!r}"
        for prop in dll.properties
        if before.get(prop.name) != after[prop.name]
    ]


def delete_resource(resource_id: int, *, by: str, reason: str = "") -> None:
    """Delete a resource and what was created with it; all of it Offline or Failed (semantics 4.5)."""
    with edit(by, reason) as change:
        resource = resource_of(resource_id)
        made = resource.created.select_related("group", "type")
        delete_all(change, [resource, *made])


def delete_all(change: Edit, resources: Sequence[Resource]) -> None:
    """Delete these, refused as a whole where one is up or something else depends on one."""
    ids = [resource.pk for resource in resources]
    for resource in resources:
        rules.check_down(resource, "resource")
    outside = Dependency.objects.filter(provider__in=ids).exclude(resource__in=ids)
    if (row := outside.select_related("resource", "provider").first()) is not None:
        raise refuse(
            "resource", f"{row.resource} depends on {row.provider}. Delete that first, or its dependency."
        )
    for resource in resources:
        change.record(f"deleted {resource} ({resource.type}) from the group {resource.group}", resource)
    Operation.objects.filter(resource__in=ids, state="running").update(
        state="superseded", outcome=f"{change.by} deleted the resource.", finished_at=change.held.now
    )
    Dependency.objects.filter(resource__in=ids).delete()
    Resource.objects.filter(pk__in=ids).delete()


def set_possible_owners(resource_id: int, node_ids: Sequence[int], *, by: str, reason: str = "") -> None:
    """Replace the nodes that may run a resource; empty means all nodes.

    The node that has it online cannot be taken away (semantics 4.5).
    """
    with edit(by, reason) as change:
        resource = resource_of(resource_id)
        before = sorted(node.name for node in resource.possible_owners.all())
        owner = resource.group.owner
        up = not ResourceState(resource.state).is_down or resource.running
        if node_ids and owner is not None and owner.pk not in node_ids and up:
            raise refuse("possible_owners", f"{resource} is online on {owner}. Move the group first.")
        _set_owners(resource, node_ids)
        rules.check_owner_in_common(resource.group, "possible_owners")
        after = sorted(node.name for node in resource.possible_owners.all())
        if after != before:
            old, new = (", ".join(names) or "all nodes" for names in (before, after))
            change.record(f"changed the possible owners of {resource} from {old} to {new}", resource)


def _set_owners(resource: Resource, node_ids: Sequence[int]) -> None:
    nodes = nodes_of(node_ids, "possible_owners")
    resource.possible.all().delete()
    PossibleOwner.objects.bulk_create(PossibleOwner(resource=resource, node=node) for node in nodes)
