"""Several workers of the cluster service: each observes, and together they conclude each thing once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import pytest
from django.db.models import F

from monitoring.core.states import NodeState
from monitoring.models import Cluster, Event, Group, Node
from monitoring.service import clock, membership, tasks
from monitoring.service.lock import Held, cluster_lock

HOURS = 3 * 3600.0


class Time:
    """The monotonic clock of both observers."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "monotonic", made)
    return made


@pytest.fixture
def nodes(db: None) -> list[Node]:
    Cluster.objects.create(pk=1)
    return [Node.objects.create(name=f"NODE{n}", state=NodeState.UP, incarnation=n) for n in (1, 2)]


def beat(*nodes: Node) -> None:
    for node in nodes:
        Node.objects.filter(pk=node.pk).update(heartbeat=F("heartbeat") + 1)


def look() -> None:
    assert membership._observer is not None
    membership.look(membership._observer)


def look_of_the_other() -> None:
    """Another observer, which has seen the same."""
    mine = membership._observer
    membership._observer = copy(mine)
    look()
    membership._observer = mine


def watch_until_lost(time: Time, nodes: list[Node], looks: int) -> None:
    """NODE1 falls silent after two heartbeats; NODE2 goes on."""
    membership.observe()
    for number in range(looks):
        time.now += 0.5
        beat(*(nodes if number < 2 else nodes[1:]))
        look()


def test_what_two_observers_conclude_at_once_is_written_once(
    nodes: list[Node], time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def second_to_get_the_lock() -> Iterator[Held]:
        """The other is first."""
        monkeypatch.setattr(membership, "cluster_lock", cluster_lock)
        look_of_the_other()
        monkeypatch.setattr(membership, "cluster_lock", second_to_get_the_lock)
        with cluster_lock() as held:
            yield held

    monkeypatch.setattr(membership, "cluster_lock", second_to_get_the_lock)
    watch_until_lost(time, nodes, looks=12)
    assert Node.objects.get(name="NODE1").state == NodeState.DOWN
    told = Event.objects.filter(node=nodes[0]).exclude(text__contains="joined")
    assert told.filter(code=membership.NODE_LOST).count() == 1
    assert told.filter(text__contains="are missed").count() == 1
    assert not told.filter(text__contains="isolated").exists(), "it is not given up in 0 s, it is down"


def test_a_node_that_was_heard_while_the_lock_was_waited_for_is_not_called_silent(
    nodes: list[Node], time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def late() -> Iterator[Held]:
        beat(*nodes)
        with cluster_lock() as held:
            yield held

    monkeypatch.setattr(membership, "cluster_lock", late)
    watch_until_lost(time, nodes, looks=12)
    assert Node.objects.get(name="NODE1").state == NodeState.UP
    assert not Event.objects.filter(text__contains="are missed").exists()


def test_an_observer_that_wakes_up_after_a_long_freeze_loses_nobody(nodes: list[Node], time: Time) -> None:
    watch_until_lost(time, nodes, looks=2)
    time.now += 60  # and meanwhile the others have heard all nodes, and one of them last just before
    beat(nodes[1])
    look()
    assert set(Node.objects.values_list("state", flat=True)) == {NodeState.UP}


def test_an_observer_that_has_just_started_loses_nobody_whom_the_others_hear(
    nodes: list[Node], time: Time
) -> None:
    for _ in range(5):
        beat(*nodes)
    membership.observe()
    look()
    for _ in range(4):
        time.now += 0.5
        beat(nodes[1])
        look()
    assert set(Node.objects.values_list("state", flat=True)) == {NodeState.UP}


@pytest.mark.django_db(transaction=True)  # the ticker looks after its connection, in no transaction
def test_a_worker_whose_clock_is_hours_behind_keeps_the_timers_of_one_that_is_ahead(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = clock.now() + HOURS
    monkeypatch.setattr(clock, "_offset", clock._offset)
    Cluster.objects.update(clock=ahead)
    group = Group.objects.create(name="G", owner=nodes[0], wake_at=ahead)
    membership.observe()
    tasks.Ticker()._look()
    group.refresh_from_db()
    assert group.wake_at is None, "its time had come"


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_starts_hours_behind_waits_for_the_nodes_all_the_same(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_offset", clock._offset)
    Cluster.objects.update(clock=clock.now() + HOURS)
    membership.observe()
    tasks.Ticker()._look()
    assert membership.awaited_until(nodes[0].pk) > clock.now() + 5


def test_time_is_written_whenever_it_may_be_needed_by_who_takes_over(nodes: list[Node]) -> None:
    with cluster_lock() as held:
        held.dirty.add(Group.objects.create(name="G").pk)
    cluster = Cluster.objects.get()
    assert cluster.last_event == 0
    assert cluster.clock == held.now
