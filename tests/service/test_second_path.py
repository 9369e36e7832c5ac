"""The second path of a node beside other processes that decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitoring.core.messages import Heartbeat, open_down, seal
from monitoring.core.states import NodeState
from monitoring.models import Cluster, Group, Node, Resource, ResourceType
from monitoring.service import second_path
from monitoring.service.lock import Held, cluster_lock


@pytest.fixture
def nodes(db: None) -> list[Node]:
    Cluster.objects.create(pk=1)
    return [Node.objects.create(name=f"NODE{n}", state=NodeState.UP, incarnation=n) for n in (1, 2)]


@pytest.fixture
def group(nodes: list[Node]) -> Group:
    """Of NODE1, which has not answered to its newest assignment."""
    made = Group.objects.create(name="G", owner=nodes[0], epoch=9, serial=4, applied_serial=3)
    kind = ResourceType.objects.create(name="T", dll_name="t")
    row = Resource.objects.create(group=made, type=kind, name="R")
    Group.objects.filter(pk=made.pk).update(wanted=[[row.pk, True, 1]])
    return made


def told(node: Node) -> list[str]:
    """What the node is told in answer to a heartbeat over the second path, by kinds."""
    beat = Heartbeat(node.incarnation, node.heartbeat + 1, 0)
    answers = second_path.exchange([seal(node.name, beat, node.key)])
    return [type(open_down(answer, node.name, node.key)).__name__ for answer in answers]


def test_a_node_is_told_what_it_has_not_answered_to(nodes: list[Node], group: Group) -> None:
    assert told(nodes[0]) == ["HeartbeatAck", "Assignment"]


def test_a_group_that_is_given_to_another_node_meanwhile_is_not_assigned_to_the_old_owner(
    nodes: list[Node], group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def late() -> Iterator[Held]:
        """Another process had the lock before."""
        Group.objects.filter(pk=group.pk).update(owner=nodes[1], epoch=10, serial=5)
        with cluster_lock() as held:
            yield held

    monkeypatch.setattr(second_path, "cluster_lock", late)
    assert told(nodes[0]) == ["HeartbeatAck"]
