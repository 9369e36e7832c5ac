"""A small cluster in the database, as the cluster service would see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Cluster, Group, Node, PossibleOwner, Resource, ResourceType

Make = Callable[..., Group]


@pytest.fixture
def nodes(db: None) -> list[Node]:
    Cluster.objects.create(pk=1)
    return [Node.objects.create(name=f"NODE{n}", state=NodeState.UP, incarnation=n) for n in (1, 2)]


@pytest.fixture
def make(nodes: list[Node]) -> Make:
    """A group of one resource, Online on NODE1; `bound`: it may run only there."""
    kind = ResourceType.objects.create(name="T", dll_name="t")

    def made(name: str, bound: bool = False) -> Group:
        group = Group.objects.create(
            name=name, owner=nodes[0], persistent_online=True, serial=1, applied_serial=1, last_state=0
        )
        row = Resource.objects.create(
            group=group, type=kind, name=f"{name} R", state=ResourceState.ONLINE, running=True
        )
        if bound:
            PossibleOwner.objects.create(resource=row, node=nodes[0])
        Group.objects.filter(pk=group.pk).update(wanted=[[row.pk, True, 1]])
        return group

    return made
