"""Draining, resuming and evicting: every intent ends, and ends with what is true."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitoring.core.model import Refused
from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Cluster, Group, Node, Operation, PossibleOwner, Resource, ResourceType
from monitoring.service import intents
from monitoring.service.lock import cluster_lock

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


def test_a_drain_that_leaves_a_group_behind_has_failed(make: Make, nodes: list[Node]) -> None:
    make("BOUND", bound=True)
    free = make("FREE")
    drain = intents.submit("drain", by="alice", node=nodes[0].pk).operation
    assert drain.state == "running"
    intents.submit("offline", by="alice", group=free.pk)  # ends the part that was under way
    drain.refresh_from_db()
    assert drain.state == "failed"
    assert "BOUND" in drain.outcome


def test_a_resume_takes_the_place_of_a_drain(make: Make, nodes: list[Node]) -> None:
    group = make("FREE")
    drain = intents.submit("drain", by="alice", node=nodes[0].pk).operation
    intents.submit("resume", by="bob", node=nodes[0].pk)
    drain.refresh_from_db()
    group.refresh_from_db()
    assert (drain.state, drain.outcome) == ("superseded", "Superseded by resume, asked for by bob.")
    assert group.transit_target_id == nodes[0].pk
    assert not Operation.objects.filter(parent=drain, state="running").exists()


def test_a_node_that_a_group_is_on_its_way_to_is_not_evicted(make: Make, nodes: list[Node]) -> None:
    intents.submit("move", by="alice", group=make("FREE").pk, node=nodes[1].pk)
    Node.objects.filter(pk=nodes[1].pk).update(state=NodeState.DOWN)
    with pytest.raises(Refused, match="on its way to NODE2"):
        intents.submit("evict", by="alice", node=nodes[1].pk)


def test_a_group_to_decide_about_is_remembered_in_the_database(make: Make) -> None:
    group = make("FREE")
    with cluster_lock() as held:
        held.dirty.add(group.pk)
    group.refresh_from_db()
    assert group.wake_at is not None
