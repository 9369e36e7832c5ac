"""Nodes and the cluster's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitoring.models import Cluster, Node
from monitoring.resource_dlls.api import Property, PropertyError
from monitoring.service.topology import exchange, rules
from monitoring.service.topology.edits import assign, check_name, edit, refuse

CLUSTER_SETTINGS = frozenset(
    {
        "name",
        "heartbeat_interval_ms",
        "lease_ms",
        "margin_ms",
        "resiliency_period_s",
        "quarantine_threshold",
        "quarantine_duration_s",
        "max_storage_groups_per_node",
        "enforced_anti_affinity",
    }
)

NODE_SETTINGS = frozenset({"description", "resiliency_period_s"})


def add_node(name: str, *, description: str = "", by: str, reason: str = "") -> Node:
    """Add a node, Down until its agent joins with the key that it gets here.

    Event 1007. Its id is its place in the join order, which counts when a node is chosen.
    """
    with edit(by, reason) as change:
        try:
            name = Property("name", kind="netbios", required=True).clean(name)
        except PropertyError as error:
            raise refuse("name", f"{error.message}.") from None
        node = Node(name=name, state_since=change.held.now)
        assign(node, {"description": description}, frozenset({"description"}))
        check_name(node)
        rules.check_no_network_name(name)
        node.save()
        exchange.check_virtual_servers("name")
        change.record(f"added the node {node}", node, code=1007)
    return node


def edit_node(node_id: int, values: Mapping[str, Any], *, by: str, reason: str = "") -> Node:
    """Change a node's description or ResiliencyPeriod; its name is fixed (semantics 3.4)."""
    with edit(by, reason) as change:
        node = Node.objects.filter(pk=node_id).first()
        if node is None:
            raise refuse("node", "This node does not exist any more.")
        changes = assign(node, values, NODE_SETTINGS)
        if changes:
            node.save(update_fields=list(values))
            change.record(f"changed the node {node}: {', '.join(changes)}", node)
    return node


def edit_cluster(values: Mapping[str, Any], *, by: str, reason: str = "") -> Cluster:
    """Change the cluster's settings; nodes get new lease times with their next heartbeat."""
    with edit(by, reason) as change:
        cluster = change.held.cluster
        changes = assign(cluster, values, CLUSTER_SETTINGS)
        if changes:
            cluster.save(update_fields=list(values))
            exchange.check_storage_groups("max_storage_groups_per_node")
            change.record(f"changed the cluster: {', '.join(changes)}", cluster)
    return cluster
