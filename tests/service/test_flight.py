"""Failovers that the cluster service really decided about, as their own page tells them."""

from __future__ import annotations

from itertools import count

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.chain import Role
from monitoring.core.messages import GroupReport, Report, ResourceReport
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import (
    Event,
    FailoverRecord,
    FenceDevice,
    FenceStep,
    Group,
    Node,
    PreferredOwner,
    Resource,
)
from monitoring.service import clock, decide, intents, membership, reports
from monitoring.service.fencing import fences
from monitoring.service.lock import cluster_lock
from monitoring.service.queries.flight import Flight, flight
from tests.service.conftest import Make
from tests.service.test_membership import Time, pass_by

NUMBERS = count(1)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch, nodes: list[Node]) -> Time:
    moved = Time()
    monkeypatch.setattr(clock, "monotonic", lambda: moved.mono)
    monkeypatch.setattr(clock, "now", lambda: moved.wall)
    monkeypatch.setattr(membership, "_observer", None)
    return moved


def tell(group: Group, state: ResourceState, *names: str, **more: object) -> None:
    """The owner reports its resources, all or those named; the rest as it was."""
    group.refresh_from_db()
    number = next(NUMBERS)
    items = []
    for row in Resource.objects.filter(group=group):
        now = state if not names or row.name in names else ResourceState(row.state)
        told = more if not names or row.name in names else {}
        item = {"running": not now.is_down, **told}
        items.append(ResourceReport(row.pk, now, number, row.attempt, **item))  # type: ignore[arg-type]
    part = GroupReport(group.pk, group.epoch, group.serial, tuple(items))
    assert group.owner is not None
    reports.take(group.owner.pk, Report(group.owner.incarnation, number, (part,)))
    group.refresh_from_db()


def fail(group: Group, cause: str, **more: object) -> None:
    tell(group, ResourceState.FAILED, cause=cause, **more)


def arrive(group: Group, time: Time, *, stop: float = 0.0, start: float = 1.2) -> None:
    """What the transit under way asks for is done."""
    if stop:
        time.run(stop)
        tell(group, ResourceState.OFFLINE)
    tell(group, ResourceState.ONLINE_PENDING)
    time.run(start)
    tell(group, ResourceState.ONLINE)


def restart(group: Group, time: Time) -> None:
    """The restart that was decided about comes, and succeeds."""
    time.run(2)
    decide.decide([group.pk])
    tell(group, ResourceState.ONLINE)


def newest() -> Flight:
    found = flight(FailoverRecord.objects.latest("pk").pk, clock.now())
    assert found is not None
    return found


def told(found: Flight) -> list[str]:
    return [step.text for step in found.chain]


def test_a_resource_that_kept_failing_is_told_with_its_restarts_the_limit_and_the_choice(
    make: Make, time: Time
) -> None:
    group = make("G")
    for index in range(4):
        time.run(30)
        fail(group, f"no greeting within {index} s", checked_ms_ago=5000)
        if index < 3:
            restart(group, time)
    arrive(group, time, stop=0.4)
    found = newest()
    assert told(found) == [
        "G R failed on NODE1: no greeting within 0 s.",
        "G R was restarted 3 times in 1 min 36 s, and failed each time.",
        "G R failed on NODE1: no greeting within 3 s.",
        "It was out of restarts: 3 restarts within its RestartPeriod.",
        "G failed over to NODE2, the only node available.",
        "Everything was offline on NODE1 after 0.4 s, and NODE2 became the owner.",
        "G is online on NODE2 after 1.6 s.",
    ]
    assert [step.at for step in found.chain] == sorted(step.at for step in found.chain)
    assert all(step.resource for step in found.chain if step.role is Role.FAILURE)
    assert [(one.name, round(one.seconds(0), 1)) for one in found.spans] == [
        ("detect", 5.0),
        ("offline", 0.4),
        ("online", 1.2),
    ]


def test_failures_that_were_forgotten_are_no_part_of_the_story(make: Make, time: Time) -> None:
    group = make("G")
    fail(group, "an old story")
    restart(group, time)
    time.run(3 * 3600)
    Resource.objects.update(restart_threshold=1)
    fail(group, "the first")
    restart(group, time)
    fail(group, "the second")
    assert told(newest()) == [
        "G R failed on NODE1: the first.",
        "G R was restarted once, and failed again after 2.0 s.",
        "G R failed on NODE1: the second.",
        "It was out of restarts: 1 restart within its RestartPeriod.",
        "G failed over to NODE2, the only node available.",
    ]


def test_clients_were_without_a_group_from_the_failure_at_most_from_the_last_proof(
    make: Make, time: Time
) -> None:
    group = make("G")
    Resource.objects.update(restart_threshold=0)
    fail(group, "it died", checked_ms_ago=40_000, age_ms=250)
    arrive(group, time, stop=0.5, start=1.0)
    down = newest().unserved
    assert down is not None
    assert (round(down.seconds, 2), round(down.at_most, 2)) == (1.75, 40.0 + 1.5)
    assert "39.8 s before" not in down.why[0] and "40 s before" in down.why[0]
    assert down.why[-1] == "That is 0.2 s longer than the failover itself, which took 1.5 s."


def test_a_group_that_is_up_in_part_counts_from_the_passage_itself(make: Make, time: Time) -> None:
    group = make("G")
    first = Resource.objects.get()
    second = Resource.objects.create(group=group, type=first.type, name="S", state=ResourceState.OFFLINE)
    wanted = [[row.pk, True, row.attempt] for row in (first, second)]
    Group.objects.update(wanted=wanted, last_state=GroupState.PARTIAL_ONLINE, down_since=time.wall - 9000)
    intents.submit("move", by="alice", group=group.pk)
    arrive(group, time, stop=0.5, start=1.0)
    down = newest().unserved
    assert down is not None and round(down.seconds, 2) == 1.5


def test_a_group_that_nobody_wants_online_is_not_without_service(make: Make, time: Time) -> None:
    group = make("G")
    intents.submit("offline", by="alice", group=group.pk)
    tell(group, ResourceState.OFFLINE)
    time.run(100)
    intents.submit("move", by="alice", group=group.pk)
    tell(group, ResourceState.OFFLINE)
    found = newest()
    assert found.unserved is None and found.record.down_since is None


def test_a_lost_node_is_told_from_its_last_heartbeat_on(make: Make, time: Time, nodes: list[Node]) -> None:
    membership.observe()
    group, (one, two) = make("G"), nodes
    pass_by(time, 3, one, two)
    pass_by(time, 3.5, two)
    arrive(group, time)
    found = newest()
    assert told(found) == [
        "Heartbeats of NODE1 are missed; it is given up in 1.5 s if none comes.",
        "NODE1 went down: no heartbeat came, and its lease is over.",
        "G failed over to NODE2, the only node available.",
        "Nothing of G ran on NODE1 any more: NODE2 became its owner at once.",
        "G is online on NODE2 after 1.2 s.",
    ]
    down = found.unserved
    assert down is not None and round(down.seconds, 1) == 3.5 + 1.2 and down.certain
    assert down.why[0].startswith("It counts from the last heartbeat of NODE1")
    assert [(one.name, round(one.seconds(0), 1)) for one in found.spans] == [("lease", 3.5), ("online", 1.2)]


def test_a_node_that_has_to_be_fenced_is_told_with_each_try(
    make: Make, time: Time, nodes: list[Node]
) -> None:
    device = FenceDevice.objects.create(name="SWITCH", method="Switch")
    FenceStep.objects.create(node=nodes[0], device=device)
    membership.observe()
    group, (one, two) = make("G"), nodes
    pass_by(time, 3, one, two)
    pass_by(time, 3.5, two)
    pass_by(time, 20, two)
    with cluster_lock() as held:
        fence = fences.open_fence(nodes[0])
        assert fence is not None
        fences.confirm(held, fence, "SWITCH says that it is off")
    arrive(group, time)
    found = newest()
    assert told(found)[1:4] == [
        "NODE1 went down: no heartbeat came, and its lease is over. "
        "Its groups wait until it is confirmed off: it is fenced.",
        "NODE1 is confirmed off: SWITCH says that it is off.",
        "G failed over to NODE2, the only node available.",
    ]
    assert [(one.name, round(one.seconds(0), 1)) for one in found.spans] == [
        ("lease", 3.5),
        ("fence", 20.0),
        ("online", 1.2),
    ]
    assert found.unserved is not None and round(found.unserved.seconds, 1) == 3.5 + 20 + 1.2


def test_an_operators_move_names_who_asked_and_why(make: Make, time: Time) -> None:
    group = make("G")
    intents.submit("move", by="alice", group=group.pk, reason="a new disk")
    arrive(group, time, stop=0.5)
    assert told(newest()) == [
        "alice asked for the move to NODE2: “a new disk”.",
        "G was moved to NODE2, the only node available.",
        "Everything was offline on NODE1 after 0.5 s, and NODE2 became the owner.",
        "G is online on NODE2 after 1.7 s.",
    ]


def test_a_drain_begins_with_the_word_about_the_node(make: Make, time: Time, nodes: list[Node]) -> None:
    make("G")
    intents.submit("drain", by="bob", node=nodes[0].pk, reason="patches")
    first, second, *_ = newest().chain
    assert first.text == "NODE1 is drained, asked for by bob: patches."
    assert (first.role, first.node_name) == (Role.ASKED, "NODE1")
    assert second.text == "G was moved away to NODE2, the only node available."


def test_a_failback_begins_with_the_return_of_the_node(make: Make, time: Time, nodes: list[Node]) -> None:
    group = make("G")
    Group.objects.filter(pk=group.pk).update(owner=nodes[1], auto_failback=True)
    PreferredOwner.objects.create(group=group, node=nodes[0], position=0)
    membership.observe()
    with cluster_lock() as held:
        membership.join(held, Node.objects.get(pk=nodes[0].pk), 50, 1, 3000)
    assert told(newest()) == [
        "NODE1 joined and is Up.",
        "G failed back to NODE1, a more preferred owner.",
    ]


def test_a_group_that_fails_on_its_new_node_too_goes_on_and_the_two_are_linked(
    make: Make, time: Time, nodes: list[Node]
) -> None:
    Node.objects.create(name="NODE3", state=NodeState.UP, incarnation=3)
    group = make("G")
    Resource.objects.update(restart_threshold=0)
    fail(group, "the disk is full")
    time.run(0.5)
    tell(group, ResourceState.OFFLINE)
    time.run(1)
    fail(group, "the disk is full here too")
    first, second = (
        flight(pk, time.wall) for pk in FailoverRecord.objects.order_by("pk").values_list("pk", flat=True)
    )
    assert first is not None and second is not None
    assert told(first)[-2:] == [
        "G R failed on NODE2: the disk is full here too.",
        "G did not come online on NODE2, and fails over further. It went on to NODE3 with "
        f"failover {second.record.id}.",
    ]
    assert told(second)[0] == f"Failover {first.record.id} had not brought G online on NODE2."
    assert told(second)[1] == "G R failed on NODE2: the disk is full here too."
    assert (first.chain[-1].record, second.chain[0].record) == (second.record.id, first.record.id)


def test_a_lost_target_with_no_home_left_ends_in_that_sentence(
    make: Make, time: Time, nodes: list[Node]
) -> None:
    group = make("G")
    intents.submit("move", by="alice", group=group.pk, node=nodes[1].pk)
    tell(group, ResourceState.OFFLINE)
    Node.objects.filter(pk=nodes[0].pk).update(paused=True, state=NodeState.PAUSED)
    with cluster_lock() as held:
        membership.leave(held, Node.objects.get(pk=nodes[1].pk))
    found = newest()
    assert found.record.state == "failed"
    assert told(found)[-1] == "NODE2 went down and no other node can take G."
    assert found.chain[-1].bad
    assert found.unserved is not None and found.unserved.until is None


def test_a_failover_is_measured_against_earlier_ones_of_its_group(make: Make, time: Time) -> None:
    group = make("G")
    for start in (1.0, 1.2, 1.1, 4.0):
        intents.submit("move", by="alice", group=group.pk)
        arrive(group, time, stop=0.5, start=start)
    found = newest()
    by_name = {one.name: one for one in found.measures}
    assert round(by_name["online"].median, 2) == 1.1 and by_name["online"].verdict == "slower"
    assert by_name["offline"].verdict == "usual"
    assert found.blame is by_name["online"]
    assert [round(one.took.seconds, 1) for one in found.earlier] == [1.5, 1.7, 1.6]


def test_a_long_story_costs_as_many_queries_as_a_short_one(make: Make, time: Time) -> None:
    group = make("G")
    intents.submit("move", by="alice", group=group.pk)
    arrive(group, time, stop=0.5)
    with CaptureQueriesContext(connection) as short:
        newest()
    for index in range(20):
        time.run(10)
        fail(group, f"again {index}")
        restart(group, time)
    Resource.objects.update(restart_threshold=0)
    fail(group, "for good")
    for _ in range(30):
        arrive(group, time, stop=0.1, start=0.1)
        intents.submit("move", by="alice", group=group.pk)
    with CaptureQueriesContext(connection) as long:
        assert len(newest().lines) > 100
    assert len(long) == len(short) <= 15


def test_pausing_and_resuming_a_node_are_changes_of_its_state_in_the_history(
    make: Make, time: Time, nodes: list[Node]
) -> None:
    make("G")
    for kind in ("pause", "pause", "resume"):
        intents.submit(kind, by="alice", node=nodes[1].pk)
    lines = Event.objects.filter(node=nodes[1]).exclude(state_to="").order_by("seq")
    assert list(lines.values_list("state_from", "state_to")) == [("Up", "Paused"), ("Paused", "Up")]
