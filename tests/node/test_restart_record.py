"""What a new agent does not go on with: a record that does not count, a guard that does not speak."""

from __future__ import annotations

import json
import os
import signal
import time
import zlib
from pathlib import Path

import pytest

from tests.node.harness import AgentProcess, FakeService, until
from tests.node.restarts import (
    LEASE_MS,
    SHORT_MS,
    bring_online,
    jobs,
    rejoined,
    restart,
    shorten_lease,
)


@pytest.fixture
def service(service: FakeService) -> FakeService:
    service.lease_ms = LEASE_MS
    return service


@pytest.mark.parametrize("damage", ["flipped", "gone", "boot", "node"])
def test_a_record_that_does_not_count_ends_everything_and_a_new_life_begins(
    agent: AgentProcess, service: FakeService, switch: Path, damage: str
) -> None:
    bring_online(service, switch)
    first, running = service.incarnation, jobs(agent)
    agent.kill()
    record = agent.home / "record"
    data = record.read_bytes()
    if damage == "flipped":
        record.write_bytes(data.replace(b'"want_online":true', b'"want_online":trUe', 1))
    elif damage == "gone":
        record.unlink()
    else:
        header, _, rest = data.partition(b"\n")
        record.write_bytes(_of_another(damage, header) + b"\n" + rest)
    agent.start()
    service.wait(lambda: service.incarnation > first, 15)
    assert not set().union(*jobs(agent).values()) & set().union(*running.values())
    assert not (agent.home / "resources" / "3" / "address").exists()
    assert "what an earlier agent has left is ended: " in agent.log()
    bring_online(service, switch)


def _of_another(what: str, line: bytes) -> bytes:
    """The first line of a record, of another boot of the machine or of another node."""
    entry = json.loads(line.partition(b" ")[2])
    entry[what] = "another"
    text = json.dumps(entry).encode()
    return b"%08x %s" % (zlib.crc32(text), text)


def test_the_last_line_of_a_record_that_was_cut_off_was_never_acted_upon(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    running = jobs(agent)
    agent.kill()
    with (agent.home / "record").open("ab") as record:
        record.write(b'12345678 {"entry":"carr')
    before = len(service.heard)
    agent.start()
    rejoined(service, before)
    assert jobs(agent) == running


def test_a_guard_that_does_not_speak_is_replaced_and_everything_ended(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first, guard = service.incarnation, agent.guard()
    assert guard
    os.kill(guard, signal.SIGSTOP)
    agent.kill()
    agent.start()
    service.wait(lambda: service.incarnation > first, 15)
    assert not jobs(agent)
    until(lambda: agent.guard() not in (None, guard), 5)


def test_a_guard_that_is_taken_over_still_guards(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    guard = agent.guard()
    rejoined(service, restart(agent, service))
    assert agent.guard() == guard
    shorten_lease(service)
    stopped = time.monotonic()
    agent.signal(signal.SIGSTOP)
    until(lambda: not jobs(agent), SHORT_MS / 1000 + 5)
    assert time.monotonic() - stopped > SHORT_MS / 1000 - 1
    assert agent.process.wait(5) == -signal.SIGKILL


def test_a_guard_that_was_taken_over_is_replaced_if_it_dies(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    running = jobs(agent)
    rejoined(service, restart(agent, service))
    guard = agent.guard()
    assert guard
    os.kill(guard, signal.SIGKILL)
    until(lambda: agent.guard() not in (None, guard), 5)
    assert jobs(agent) == running
    rejoined(service, restart(agent, service))
    assert jobs(agent) == running
