"""Draining, resuming and evicting: every intent ends, and ends with what is true."""

from __future__ import annotations

import pytest

from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.models import Node, Operation
from monitoring.service import intents
from monitoring.service.lock import cluster_lock
from tests.service.conftest import Make


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
