"""Groups: create, edit, delete, and their ordered list of preferred owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.core.messages import Release
from monitoring.models import Group, Operation, PreferredOwner
from monitoring.service.topology.edits import Edit, assign, check_name, edit, refuse
from monitoring.service.topology.find import group_of, nodes_of
from monitoring.service.topology.resources import delete_all

SETTINGS = frozenset(
    {
        "name",
        "description",
        "failover_threshold",
        "failover_period_hours",
        "auto_failback",
        "failback_window_start",
        "failback_window_end",
        "anti_affinity",
        "priority",
    }
)


def create_group(values: Mapping[str, Any], *, by: str, reason: str = "") -> Group:
    """Create an empty group; it is Offline, without an owner, until it is brought online."""
    with edit(by, reason) as change:
        group = Group(state_since=change.held.now)
        assign(group, values, SETTINGS)
        check_name(group)
        group.save()
        change.record(f"created the group {group}", group)
    return group


def edit_group(group_id: int, values: Mapping[str, Any], *, by: str, reason: str = "") -> Group:
    """Change properties of a group; what it does next follows them at once."""
    with edit(by, reason) as change:
        group = group_of(group_id)
        name = group.name
        changes = assign(group, values, SETTINGS)
        if changes:
            check_name(group)
            group.save(update_fields=list(values))
            change.record(f"changed the group {name}: {', '.join(changes)}", group)
    return group


def delete_group(group_id: int, *, by: str, reason: str = "", force: bool = False) -> None:
    """Delete a group that holds no resource; with `force` also its resources, all of them down.

    Refused while the group is on its way to a node.
    """
    with edit(by, reason) as change:
        group = group_of(group_id)
        if group.transit_kind:
            raise refuse("group", f"A {group.get_transit_kind_display().lower()} of {group} is under way.")
        resources = list(group.resources.select_related("type", "group"))
        if resources and not force:
            raise refuse("group", f"{group} holds {len(resources)} resources. Delete them first.")
        change.record(f"deleted the group {group}", group)
        delete_all(change, resources)
        _close_operations(change, group)
        _release(change, group)
        group.delete()


def _release(change: Edit, group: Group) -> None:
    """Let the owner forget the group; one that was never up knows nothing of it."""
    owner = group.owner
    if owner is not None and owner.incarnation:
        release = Release(incarnation=owner.incarnation, group=group.pk, epoch=group.epoch + 1)
        change.held.send(owner.name, owner.signing_key, release)


def _close_operations(change: Edit, group: Group) -> None:
    """What was asked of a group that is no more has ended."""
    Operation.objects.filter(group=group, state="running").update(
        state="superseded", outcome=f"{change.by} deleted the group.", finished_at=change.held.now
    )


def set_preferred_owners(group_id: int, node_ids: Sequence[int], *, by: str, reason: str = "") -> None:
    """Replace the preferred owners, best first; empty for none."""
    with edit(by, reason) as change:
        group = group_of(group_id)
        nodes = nodes_of(node_ids, "preferred_owners")
        before = [preference.node for preference in group.preferences.select_related("node")]
        if nodes == before:
            return
        group.preferences.all().delete()
        PreferredOwner.objects.bulk_create(
            PreferredOwner(group=group, node=node, position=place) for place, node in enumerate(nodes)
        )
        old, new = (", ".join(map(str, list_)) or "none" for list_ in (before, nodes))
        change.record(f"changed the preferred owners of {group} from {old} to {new}", group)
