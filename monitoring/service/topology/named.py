"""Groups and resources as a program or a command describes them: all by name, whole or not at all.

The REST API and the command line come in here. A description that is wrong in one part changes
nothing: its parts are one transaction. Settings may be called as the domain does
("RestartThreshold") or as the database does ("restart_threshold").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitoring.models import Group, Resource
from monitoring.service import lookup
from monitoring.service.lock import cluster_lock
from monitoring.service.topology import dependencies, groups, resources
from monitoring.service.topology.edits import PROPERTY_NAMES, refuse

NamedClauses = Sequence[Sequence[str]]
"""An AND of ORs of resource names."""
_FIELDS = {name.lower(): field for field, name in PROPERTY_NAMES.items()}


def change_group(
    group: str,
    settings: Mapping[str, Any],
    *,
    preferred_owners: Sequence[str] | None = None,
    by: str,
    reason: str = "",
) -> Group:
    """Change what is named of a group; `preferred_owners` None leaves them."""
    found = lookup.group(group)
    with cluster_lock():
        if settings:
            groups.edit_group(found.pk, fields(settings), by=by, reason=reason)
        if preferred_owners is not None:
            nodes = _nodes(preferred_owners, "preferred_owners")
            groups.set_preferred_owners(found.pk, nodes, by=by, reason=reason)
    found.refresh_from_db()
    return found


def delete_group(group: str, *, by: str, reason: str = "", with_resources: bool = False) -> Group:
    """Delete a group, `with_resources` all that it holds as well; all of it down."""
    found = lookup.group(group)
    groups.delete_group(found.pk, by=by, reason=reason, force=with_resources)
    return found


def add_resource(
    name: str,
    group: str,
    type_name: str,
    settings: Mapping[str, Any],
    *,
    properties: Mapping[str, Any],
    requires: NamedClauses | None = None,
    possible_owners: Sequence[str] = (),
    by: str,
    reason: str = "",
) -> Resource:
    """Create a resource and what comes with it; `requires` None: what its type requires."""
    with cluster_lock():
        return resources.create_resource(
            lookup.group(group).pk,
            type_name,
            {**fields(settings), "name": name},
            properties=properties,
            requires=None if requires is None else _clauses(requires),
            possible_owners=_nodes(possible_owners, "possible_owners"),
            by=by,
            reason=reason,
        )


def change_resource(
    resource: str,
    settings: Mapping[str, Any],
    *,
    properties: Mapping[str, Any] | None = None,
    requires: NamedClauses | None = None,
    possible_owners: Sequence[str] | None = None,
    by: str,
    reason: str = "",
) -> Resource:
    """Change what is named of a resource; what is None stays."""
    found = lookup.resource(resource)
    who = {"by": by, "reason": reason}
    with cluster_lock():
        if settings or properties:
            resources.edit_resource(found.pk, fields(settings), properties=properties, **who)
        if requires is not None:
            dependencies.set_dependencies(found.pk, _clauses(requires), **who)
        if possible_owners is not None:
            nodes = _nodes(possible_owners, "possible_owners")
            resources.set_possible_owners(found.pk, nodes, **who)
    found.refresh_from_db()
    return found


def delete_resource(resource: str, *, by: str, reason: str = "") -> Resource:
    """Delete a resource and what came with it; all of it down."""
    found = lookup.resource(resource)
    resources.delete_resource(found.pk, by=by, reason=reason)
    return found


def fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of their fields."""
    return {_FIELDS.get(name.lower(), name): value for name, value in settings.items()}


def _nodes(names: Sequence[str], field: str) -> list[int]:
    try:
        return [lookup.node(name).pk for name in names]
    except lookup.UnknownNameError as error:
        raise refuse(field, str(error)) from None


def _clauses(requires: NamedClauses) -> list[list[int]]:
    try:
        return [[lookup.resource(name).pk for name in clause] for clause in requires]
    except lookup.UnknownNameError as error:
        raise refuse("requires", str(error)) from None
