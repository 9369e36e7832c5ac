"""The only way to change the topology: groups, resources, dependencies, owners, nodes, settings.

Every function is one transaction under the cluster's lock. It changes all that it says or
nothing, records who did what in the history (an operation of kind "edit" with its events;
changed fields with the value before and after, secrets never), and wakes the decisions about
the groups concerned, so that a running group gets its new specification.

What cannot be is refused with a ValidationError keyed by the field that is wrong. Private
properties have the key "properties.<Name>", e.g. "properties.Address".

`values` holds model fields by name, only those to set; in an edit the others stay as they
are. A dependency expression is a sequence of clauses, joined by AND, each a sequence of ids
of which one must be online: [[1], [2, 3]] reads "1 and (2 or 3)".
"""

from __future__ import annotations

from monitoring.service.topology.dependencies import add_dependency, remove_dependency, set_dependencies
from monitoring.service.topology.fencing import (
    add_fence_step,
    create_fence_device,
    delete_fence_device,
    edit_fence_device,
    edit_fence_step,
    remove_fence_step,
)
from monitoring.service.topology.groups import create_group, delete_group, edit_group, set_preferred_owners
from monitoring.service.topology.members import add_node, edit_cluster, edit_node
from monitoring.service.topology.resources import (
    create_resource,
    delete_resource,
    edit_resource,
    set_possible_owners,
)
from monitoring.service.topology.types import edit_type, sync_new_types, sync_types

__all__ = [
    "add_dependency",
    "add_fence_step",
    "add_node",
    "create_fence_device",
    "create_group",
    "create_resource",
    "delete_fence_device",
    "delete_group",
    "delete_resource",
    "edit_cluster",
    "edit_fence_device",
    "edit_fence_step",
    "edit_group",
    "edit_node",
    "edit_resource",
    "edit_type",
    "remove_dependency",
    "remove_fence_step",
    "set_dependencies",
    "set_possible_owners",
    "set_preferred_owners",
    "sync_new_types",
    "sync_types",
]
