"""Resource types: taken over from the installed resource DLLs, their defaults edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitoring.models import Group, ResourceType
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.service.topology.edits import assign, edit, refuse

SETTINGS = frozenset(
    {"description", "looks_alive_ms", "is_alive_ms", "pending_timeout_ms", "deadlock_timeout_ms"}
)

LISTED = 20
"""Names of types that one line of the history carries."""


def sync_types(*, by: str = "cluster service") -> list[str]:
    """Add the types of newly installed resource DLLs; return their names.

    Types that are there already keep what an administrator set; only what belongs to the
    code (where it is, how many instances there can be) follows it.
    """
    installed = registry.all_types()  # loading them takes longer than a transaction may rest
    with edit(by) as change:
        known = {type_.name: type_ for type_ in ResourceType.objects.all()}
        new = [
            ResourceType(name=name, **_of_the_code(dll), **_defaults(dll))
            for name, dll in installed.items()
            if name not in known
        ]
        ResourceType.objects.bulk_create(new)
        for name, dll in installed.items():
            if name in known and any(getattr(known[name], f) != v for f, v in _of_the_code(dll).items()):
                ResourceType.objects.filter(name=name).update(**_of_the_code(dll))
        if new:
            change.record(f"added {_listed([type_.name for type_ in new])}", new[0])
    return [type_.name for type_ in new]


def sync_new_types(*, by: str = "cluster service") -> None:
    """Add the types of plugins that were installed since. One query where there are none."""
    if not registry.all_types().keys() <= set(ResourceType.objects.values_list("name", flat=True)):
        sync_types(by=by)


def _listed(names: list[str]) -> str:
    """ "the resource types A, B and 140 more": an OCF package brings many at once."""
    if len(names) == 1:
        return f"the resource type {names[0]}"
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"the resource types {', '.join(names[:LISTED])}{rest}"


def _of_the_code(dll: type[ResourceDLL]) -> dict[str, Any]:
    return {
        "dll_name": f"{dll.__module__}:{dll.__qualname__}",
        "single_per_cluster": dll.single_per_cluster,
        "single_per_group": dll.single_per_group,
    }


def _defaults(dll: type[ResourceDLL]) -> dict[str, Any]:
    return {field: getattr(dll, field) for field in SETTINGS}


def edit_type(type_id: int, values: Mapping[str, Any], *, by: str, reason: str = "") -> ResourceType:
    """Change the defaults of a type; resources that use them follow at once."""
    with edit(by, reason) as change:
        type_ = ResourceType.objects.filter(pk=type_id).first()
        if type_ is None:
            raise refuse("type", "This resource type does not exist any more.")
        changes = assign(type_, values, SETTINGS)
        if changes:
            type_.save(update_fields=list(values))
            change.record(f"changed the resource type {type_}: {', '.join(changes)}", type_)
            using = Group.objects.filter(resources__type=type_).values_list("pk", flat=True)
            change.respecified.update(using)
    return type_
