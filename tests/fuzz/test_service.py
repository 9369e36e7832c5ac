"""Whatever the cluster service is sent: refused and counted, or taken for what its sender may say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core import serializers
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitoring.core.messages import (
    GroupReport,
    LogEntry,
    MessageError,
    ProbeSample,
    Report,
    ResourceReport,
    Upward,
    seal,
)
from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Cluster, Event, Group, Node, ProbeTime, Resource, ResourceType
from monitoring.service import clock, inbox, publish, refusals, tasks
from tests.fuzz import strategies as fuzz

LIFE, KEY, OTHER_KEY = 5, "k" * 64, "o" * 64
NAME, OTHER = "NODE1", "NODE2"
IDS = st.sampled_from([1, 2, 3, 4, 9])
LIKELY = {
    "incarnation": st.just(LIFE),
    "group": IDS,
    "resource": IDS,
    "epoch": st.sampled_from([1, 2, 3]),
    "serial": st.sampled_from([3, 4, 5]),
    "number": st.integers(0, 6),
}
"""Values of fields that let a message get further than any other would."""
lenient = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_nodes(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """NODE1 owns group 1 with resources 1 and 2, NODE2 group 2 with 3 and 4; all is Online."""
    monkeypatch.setattr(refusals, "GATHER", 0.0)
    monkeypatch.setattr(publish, "send_task", lambda *args: None)
    # The test's transaction is open: its connection is not one that was left over
    monkeypatch.setattr("monitoring.service.tasks.close_old_connections", lambda: None)
    Cluster.objects.create(pk=1)
    kind = ResourceType.objects.create(name="T", dll_name="t")
    for n, (name, key) in enumerate(((NAME, KEY), (OTHER, OTHER_KEY)), start=1):
        node = Node.objects.create(pk=n, name=name, key=key, state=NodeState.UP, incarnation=LIFE)
        group = Group.objects.create(
            pk=n, name=f"G{n}", owner=node, epoch=2, serial=4, applied_serial=4, persistent_online=True
        )
        for pk in (2 * n - 1, 2 * n):
            Resource.objects.create(
                pk=pk, group=group, type=kind, name=f"R{pk}", state=ResourceState.ONLINE, running=True
            )
        group.wanted = [[2 * n - 1, True, 1], [2 * n, True, 1]]
        group.save()


def dump(*, of_others: bool = False) -> str:
    """All rows but the counters; `of_others`: only what belongs to NODE2 or tells of it."""
    rows: list[Any] = []
    for model in (Cluster, Node, Group, Resource, Event, ProbeTime):
        found = model._default_manager.order_by("pk")
        if of_others:
            about = {
                Cluster: {"pk": 0},
                Node: {"pk": 2},
                Group: {"pk": 2},
                Resource: {"group": 2},
                ProbeTime: {"resource__group": 2},
            }
            found = found.filter(**about[model]) if model is not Event else _told_of_others()
        rows += found
    text = serializers.serialize("python", rows)
    for row in text:
        for counter in ("refused_messages", "refused_by_node", *(["changed"] if of_others else [])):
            row["fields"].pop(counter, None)
    return repr(text)


def _told_of_others() -> Any:
    events = Event.objects.order_by("pk")
    return events.filter(group=2) | events.filter(resource__group=2)


@contextmanager
def undone() -> Iterator[None]:
    """Every example finds the same rows."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def counted() -> int:
    nodes = sum(Node.objects.values_list("refused_messages", flat=True))
    return int(nodes + Cluster.objects.get().refused_messages)


def refused(raw: object) -> None:
    """The message is refused, counted once, and changes nothing."""
    before, count = dump(), counted()
    with pytest.raises(MessageError):
        inbox.receive(raw)
    assert dump() == before
    assert counted() == count + 1


@lenient
@given(st.one_of(fuzz.ANYTHING, fuzz.damaged(NAME, KEY, fuzz.upward(LIKELY))))
@example({"node": NAME, "down": False, "body": "{}", "mac": "é" * 64})
@example({"node": "\ud800", "down": False, "body": "{}", "mac": "0" * 64})
@example({"node": NAME, "down": False, "body": "\ud800", "mac": "0" * 64})
@example({"node": "NO\0DE", "down": False, "body": "{}", "mac": "0" * 64})
def test_what_nobody_signed_is_refused_and_counted_and_changes_nothing(raw: object) -> None:
    refused(raw)


@lenient
@given(st.one_of(st.text(max_size=20), fuzz.ANYTHING.map(str)), fuzz.upward(LIKELY))
def test_a_stranger_is_counted_for_the_cluster(name: str, message: Upward) -> None:
    if name not in (NAME, OTHER):
        before = Cluster.objects.get().refused_messages
        refused(seal(name, message, KEY) | {"node": name} if name.isascii() else {"node": name})
        assert Cluster.objects.get().refused_messages == before + 1


@lenient
@given(fuzz.upward(LIKELY))
def test_one_node_cannot_sign_for_another(message: Upward) -> None:
    before = Node.objects.get(name=OTHER).refused_messages
    refused(seal(OTHER, message, KEY))
    refused({**seal(NAME, message, KEY), "node": OTHER})
    assert Node.objects.get(name=OTHER).refused_messages == before + 2


@settings(lenient, max_examples=200)
@given(fuzz.upward(LIKELY))
@example(LogEntry(LIFE, 3, "of another's resource", resource=3))
@example(Report(LIFE, 1, samples=(ProbeSample(3, "IsAlive", 1, 1, 1.0, 1.0, False, "no"),)))
@example(Report(LIFE, 1, (GroupReport(2, 2, 4, (ResourceReport(3, ResourceState.FAILED, 9, 1, False),)),)))
@example(Report(LIFE, 1, (GroupReport(9, 2**62, 4, (ResourceReport(3, ResourceState.ONLINE, 9, 1, True),)),)))
def test_a_node_cannot_speak_of_what_is_anothers(message: Upward) -> None:
    with undone():
        before = dump(of_others=True)
        inbox.receive(seal(NAME, message, KEY))
        assert dump(of_others=True) == before


@lenient
@given(fuzz.signed_nonsense(NAME, KEY, False, fuzz.upward(LIKELY)))
def test_a_broken_agent_harms_nobody_but_its_node(raw: object) -> None:
    with undone():
        before, whole, count = dump(of_others=True), dump(), counted()
        try:
            inbox.receive(raw)
        except MessageError:
            assert (dump(), counted()) == (whole, count + 1)
        assert dump(of_others=True) == before


@lenient
@given(fuzz.ANYTHING, st.one_of(fuzz.ANYTHING, st.lists(IDS), st.lists(fuzz.HUGE)))
def test_no_argument_that_somebody_puts_on_the_broker_makes_a_task_fail(raw: object, ids: object) -> None:
    before = dump()
    tasks.receive(raw)
    assert dump() == before
    others = Group.objects.values_list("owner", "epoch", "persistent_online")
    known = list(others)
    tasks.decide_about(ids)
    assert list(others.all()) == known


JSON = st.one_of(
    st.binary(max_size=60),
    fuzz.ANYTHING.map(lambda value: json.dumps(value).encode()),
    st.lists(fuzz.ANYTHING).map(lambda raws: json.dumps({"messages": raws}).encode()),
    fuzz.damaged(NAME, KEY, fuzz.upward()).map(lambda raw: json.dumps({"messages": [raw]}).encode()),
)


@lenient
@given(JSON)
@example(b"[" * 100_000)
@example(b'{"messages": ' + b"[" * 100_000)
@example(b'{"messages": [' + b'"", ' * 5000 + b'""]}')
@example(b" " * (2**24 + 1))
def test_no_body_breaks_the_second_path(body: bytes) -> None:
    before = dump()
    answer = Client().post("/node/messages", body, content_type="application/json")
    assert answer.status_code in (400, 403, 413)
    assert answer["Content-Type"] == "application/problem+json"
    assert dump() == before


def test_an_exchange_is_with_one_node() -> None:
    line = LogEntry(LIFE, 0, "a line", number=1)
    raws = [seal(NAME, line, KEY), seal(OTHER, line, OTHER_KEY)]
    answer = Client().post("/node/messages", json.dumps({"messages": raws}), content_type="application/json")
    assert answer.status_code == 200
    assert [event.node_name for event in Event.objects.all()] == [NAME]


def test_a_line_that_comes_twice_is_written_once_and_two_lines_alike_are_two() -> None:
    first = seal(NAME, LogEntry(LIFE, 1, "a line", resource=1, number=7), KEY)
    for raw in (first, first, seal(NAME, LogEntry(LIFE, 1, "a line", number=8), KEY), first):
        inbox.receive(raw)
    lines = Event.objects.filter(text="a line").order_by("seq")
    assert [(line.number_at_node, line.resource_id) for line in lines] == [(7, 1), (8, None)]


def test_a_report_that_comes_late_brings_no_old_results_of_probes() -> None:
    def sampled(number: int, result: bool) -> dict[str, Any]:
        sample = ProbeSample(1, "IsAlive", 1, int(not result), 1.0, 1.0, result)
        return seal(NAME, Report(LIFE, number, samples=(sample,)), KEY)

    for raw in (sampled(1, True), sampled(2, False), sampled(1, True)):
        inbox.receive(raw)
    assert Resource.objects.get(pk=1).checked_result is False
    assert ProbeTime.objects.count() == 2


def test_the_character_0_in_what_a_service_said_is_replaced() -> None:
    inbox.receive(seal(NAME, LogEntry(LIFE, 1, "zero \0 here"), KEY))
    assert Event.objects.get().text == "zero \ufffd here"


def test_a_flood_of_refusals_is_written_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "GATHER", 1000.0)
    monkeypatch.setattr(refusals, "_written", clock.monotonic())
    writes: list[Callable[[], None]] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, call: Callable[[], None]) -> None:
            writes.append(call)

        def start(self) -> None: ...

    monkeypatch.setattr(threading, "Timer", Timer)
    for _ in range(500):
        with pytest.raises(MessageError):
            inbox.receive("no message")
    assert (counted(), len(writes)) == (0, 1)
    with refusals._lock:
        refusals._timer = None
        refusals._write()
    assert counted() == 500
