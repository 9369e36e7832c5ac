"""A cluster of two nodes to edit."""

from __future__ import annotations

import pytest

from monitoring.models import Cluster, Group, Node
from monitoring.service import topology
from tests.topology.build import BY


@pytest.fixture
def cluster(db: None) -> Cluster:
    """NODE1 and NODE2, all types known."""
    made = Cluster.objects.create()
    topology.sync_types(by="test")
    for name in ("NODE1", "NODE2"):
        topology.add_node(name, by=BY)
    return made


@pytest.fixture
def nodes(cluster: Cluster) -> list[Node]:
    return list(Node.objects.all())


@pytest.fixture
def evs1(cluster: Cluster) -> Group:
    return topology.create_group({"name": "EVS1"}, by=BY)


@pytest.fixture
def evs2(cluster: Cluster) -> Group:
    return topology.create_group({"name": "EVS2"}, by=BY)
