"""A broker to which somebody else writes too: no agent ends, and what it runs stays."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.core.messages import Heartbeat, HeartbeatAck, LifeOver, Release, seal
from monitoring.core.states import ResourceState as S
from tests.fuzz import strategies as fuzz
from tests.node.harness import KEY, NODE, AgentProcess, Broker, FakeService, spec, until

QUEUE = f"clusterweb.node.{NODE}"


def envelope(raw: object, **changes: Any) -> dict[str, Any]:
    """A message on the queue as Celery writes it, with `changes` of its headers."""
    body = [[raw], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "node.command", "id": "1", "root_id": "1", "retries": 0, **changes},
        "properties": {
            "correlation_id": "1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": f"node.{NODE}"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "1",
        },
    }


def with_body(body: object) -> dict[str, Any]:
    return envelope(None) | {"body": base64.b64encode(json.dumps(body).encode()).decode()}


def without(name: str, inner: str = "") -> dict[str, Any]:
    whole = envelope(None)
    del (whole[inner] if inner else whole)[name]
    return whole


NOTHING: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
OTHER_TASK = {"task": "celery.map", "args": [], "kwargs": {}, "options": {}}


def props(**changes: Any) -> dict[str, Any]:
    return {**envelope(None)["properties"], **changes}


ODD: tuple[Any, ...] = (
    [],
    without("properties"),
    without("delivery_tag", "properties"),
    without("delivery_info", "properties"),
    without("body"),
    without("headers"),
    envelope(None) | {"headers": []},
    envelope(None) | {"headers": None},
    envelope(None) | {"body": "no base64"},
    envelope(None) | {"content-encoding": "rot13"},
    envelope(None) | {"content-type": "application/x-python-serialize"},
    envelope(None) | {"properties": props(body_encoding="none such")},
    envelope(None) | {"properties": props(delivery_tag={"a": 1})},
    envelope(None) | {"properties": props(priority="high")},
    envelope(None, task="celery.map"),
    envelope(None, task="celery.backend_cleanup"),
    envelope(None, task={"a": 1}),
    envelope(None, task=None),
    envelope(None, eta="2999-01-01T00:00:00"),
    envelope(None, eta="never"),
    envelope(None, expires="never"),
    envelope(None, compression="application/x-gzip"),
    envelope(None, timelimit=[1, 1]),
    envelope(None, id=None),
    envelope(None, retries="x", root_id={"a": 1}),
    with_body("text"),
    with_body([[], {}, NOTHING]),
    with_body([[1, 2], {}, NOTHING]),
    with_body([[1], {"envelope": 1}, NOTHING]),
    with_body([[1], {}, NOTHING | {"callbacks": [OTHER_TASK]}]),
    with_body([[1], {}, NOTHING | {"chain": [OTHER_TASK]}]),
    with_body([[1], {}, NOTHING | {"chord": OTHER_TASK}]),
    envelope(None),
    envelope(seal(NODE, Release(1, 1, 99), "another key")),
    envelope(seal("NODE2", Release(1, 1, 99), KEY)),
)
GARBAGE: list[bytes] = [
    b"",
    b"\xff\xfe no text",
    b"no json",
    b"[" * 200_000,
    b"null",
    b"{}",
    *(json.dumps(item).encode() for item in ODD),
]


def refused(service: FakeService) -> int:
    """What the agent said last of the messages that it refused."""
    return max((m.refused for _, m in service.heard if isinstance(m, Heartbeat)), default=0)


def test_what_lies_on_the_queue_is_refused_and_counted_and_the_agent_goes_on(
    agent: AgentProcess, service: FakeService, node_broker: Broker, switch: Path
) -> None:
    client = redis.Redis.from_url(node_broker.url)
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    before = agent.running()[1]
    for item in GARBAGE:
        client.lpush(QUEUE, item)
    service.wait(lambda: refused(service) >= len(GARBAGE), 30, "all of it is refused")
    assert refused(service) == len(GARBAGE), agent.log()
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Job", switch), serial=2)
    service.wait_state(2, S.ONLINE)
    assert agent.running()[1] == before
    assert agent.process.poll() is None


def test_a_key_of_another_kind_in_place_of_the_queue_ends_nothing(
    agent: AgentProcess, service: FakeService, node_broker: Broker, switch: Path
) -> None:
    client = redis.Redis.from_url(node_broker.url)
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    before = agent.running()[1]
    client.set(QUEUE, "no list")
    until(lambda: "WRONGTYPE" in agent.log(), 10)
    assert agent.process.poll() is None
    client.delete(QUEUE)
    service.wait_joined()
    until(lambda: _answered(service, switch), 15, "the agent takes orders again")
    assert agent.running()[1] == before


def _answered(service: FakeService, switch: Path) -> bool:
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Job", switch), serial=2)
    return 2 in service.states


def test_nobody_controls_an_agent_by_celerys_remote_control(
    agent: AgentProcess, service: FakeService, node_broker: Broker
) -> None:
    stranger = Celery("stranger", broker=node_broker.url, set_as_current=False, fixups=[])
    stranger.conf.broker_transport_options = {"global_keyprefix": "clusterweb."}
    stranger.control.shutdown()
    assert stranger.control.ping(timeout=0.5) == []
    heard = len(service.heard)
    service.wait(lambda: len(service.heard) > heard + 5)
    assert agent.process.poll() is None


def test_no_message_that_is_signed_makes_an_agent_end(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    """Odd orders of the cluster service's own: circles, doubled ids, numbers out of place."""
    likely = {"incarnation": st.builds(lambda: service.incarnation), "resource": st.integers(1, 4)}

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(fuzz.downward(likely).filter(lambda m: not isinstance(m, LifeOver)))
    def send(message: Any) -> None:
        service.send(message)

    send()
    service.send(HeartbeatAck(service.incarnation, 2**40, 100, 1500, 1000))  # of a heartbeat never sent
    service.assign(spec(1001, "Test Job", switch), group=1001)
    service.wait_state(1001, S.ONLINE, 30)
    assert agent.process.poll() is None
