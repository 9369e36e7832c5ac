"""The limits of Exchange 2000 on a cluster, as far as the topology alone can break them.

Where groups run now, and what a move would bring together, is checked when a node is
chosen. Source: semantics 6.5.
"""

from __future__ import annotations

from collections import Counter

from monitoring.models import Cluster, Node, Resource
from monitoring.models.topology import STORAGE_GROUPS
from monitoring.service.topology.edits import refuse

ATTENDANT_TYPE = "Exchange System Attendant"
ACTIVE_ACTIVE_NODES = 2
"""More nodes than these keep one free: active/passive only (KB815180)."""


def check_virtual_servers(field: str) -> None:
    """On more than two nodes there are fewer virtual servers than nodes. Two queries."""
    nodes = Node.objects.count()
    servers = Resource.objects.filter(type__name=ATTENDANT_TYPE).values("group").distinct().count()
    if nodes > ACTIVE_ACTIVE_NODES and servers >= nodes:
        raise refuse(
            field,
            f"{servers} Exchange Virtual Servers on {nodes} nodes would be active/active, which works with "
            f"{ACTIVE_ACTIVE_NODES} nodes only: at most {nodes - 1}.",
        )


def check_storage_groups(field: str) -> None:
    """No virtual server has more storage groups than one node may hold. Two queries."""
    limit = Cluster.objects.get().max_storage_groups_per_node
    held: Counter[str] = Counter()
    for store in Resource.objects.select_related("group").filter(properties__has_key=STORAGE_GROUPS):
        held[store.group.name] += store.storage_groups
    for group, number in held.items():
        if number > limit:
            raise refuse(
                field,
                f"{group} would have {number} storage groups; a node holds at most {limit}.",
            )
