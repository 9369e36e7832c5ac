"""A node that may not run resources any more runs none: agent dead, stopped, or cut off."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from monitoring.core.messages import Heartbeat, LogEntry
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, Broker, FakeService, spec, until

Start = Callable[..., AgentProcess]


def resources_of(agent: AgentProcess) -> set[int]:
    return set(agent.running()) - {0}


def bring_online(service: FakeService, switch: Path) -> None:
    service.assign(
        spec(1, "Test Job", switch), spec(2, "Test Service", switch), spec(3, "Test Address", switch)
    )
    for resource in (1, 2, 3):
        service.wait_state(resource, S.ONLINE)


def test_what_a_killed_agent_has_left_runs_to_the_end_of_its_lease_and_not_longer(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.daemon").touch()
    bring_online(service, switch)
    until(lambda: len(agent.running()[1]) >= 2, 5, "the daemon runs")
    address = agent.home / "resources" / "3" / "address"
    assert address.exists()
    service.grant(3000)
    running = resources_of(agent)
    killed = time.monotonic()
    agent.kill()
    while time.monotonic() - killed < 2.0:  # the last heartbeat that was answered is less than a second old
        assert resources_of(agent) == running
        time.sleep(0.05)
    until(lambda: not agent.running(), 5, "no process is left")
    assert time.monotonic() - killed < 5, "the lease is three seconds long"
    until(lambda: not address.exists(), 5, "what is no process is swept away")


def test_an_agent_that_starts_after_the_lease_begins_a_new_life_with_nothing_running(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    agent.kill()
    until(lambda: agent.guard() is None, 5, "the guard has done its work")
    agent.start()
    service.wait(lambda: service.incarnation > first, 15)
    assert not resources_of(agent)


def test_leftovers_that_no_guard_has_ended_are_ended_before_the_first_heartbeat(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    guard = int((agent.home / "guard.lock").read_text())
    os.kill(guard, signal.SIGKILL)
    agent.kill()
    assert resources_of(agent) == {1, 2}
    agent.start()
    service.wait(lambda: service.incarnation > first, 15)
    assert not resources_of(agent)
    assert "an earlier life left" in agent.log()
    assert not (agent.home / "resources" / "3" / "address").exists()


def test_the_guard_ends_the_resources_of_a_stopped_agent_when_its_lease_is_over_and_not_before(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    stopped = time.monotonic()
    agent.signal(signal.SIGSTOP)
    until(lambda: not resources_of(agent), 5, "the guard has ended all")
    assert 1.2 < time.monotonic() - stopped < 2.6, "the lease is a second and a half long"
    assert agent.process.wait(5) == -signal.SIGKILL, "it holds locks and claims that others need"
    until(lambda: not (agent.home / "resources" / "3" / "address").exists(), 5)
    agent.start()
    service.wait(lambda: service.incarnation > first, 10, "the next agent")
    bring_online(service, switch)


def test_a_pause_shorter_than_the_lease_costs_nothing(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first, running = service.incarnation, agent.running()
    agent.signal(signal.SIGSTOP)
    time.sleep(0.5)
    agent.signal(signal.SIGCONT)
    time.sleep(1.0)
    assert service.incarnation == first
    assert agent.running() == running


def test_a_node_that_gets_no_answers_ends_all_at_the_end_of_its_lease_and_begins_a_new_life(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first, jobs = service.incarnation, agent.running()[1]
    service.answers = service.answers_http = False
    lost = time.monotonic()
    until(lambda: not resources_of(agent), 5)
    assert 1.2 < time.monotonic() - lost < 2.6
    service.wait(lambda: service.incarnation > first, 10)
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Service", switch))
    time.sleep(0.3)
    assert not resources_of(agent), "without a lease nothing starts"
    service.answers = True
    service.wait_state(1, S.ONLINE, 10)
    assert agent.running()[1] != jobs
    text = service.wait(lambda: [e for e in service.logs() if isinstance(e, LogEntry)])[0].text
    assert "had no contact for the length of its lease" in text


def test_an_agent_whose_loop_is_stuck_does_not_renew_and_is_ended_with_its_resources(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    (switch / "R1.blocks").touch()
    assert agent.process.wait(5) == -signal.SIGKILL
    until(lambda: not agent.running(), 3)


def test_a_guard_that_dies_is_replaced_and_the_new_one_knows_the_lease(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    lock = agent.home / "guard.lock"
    guard = int(lock.read_text())
    os.kill(guard, signal.SIGKILL)
    until(lambda: lock.read_text() not in ("", str(guard)), 5, "a new guard")
    assert resources_of(agent) == {1, 2}
    agent.signal(signal.SIGSTOP)
    until(lambda: not resources_of(agent), 5, "it ends all")


def test_a_lost_broker_costs_nothing_while_the_second_path_answers(
    own_broker: Broker, start_agent: Start, switch: Path
) -> None:
    service = FakeService(own_broker.url)
    agent = start_agent(own_broker.url, service.url)
    service.wait_joined()
    bring_online(service, switch)
    first, jobs = service.incarnation, agent.running()
    own_broker.stop()
    began = time.monotonic()
    service.wait(lambda: service.over_http >= 5, 5, "heartbeats by HTTP")
    os.kill(jobs[1][0], signal.SIGKILL)
    service.wait_state(1, S.FAILED, 3)
    time.sleep(max(0.0, began + 3.5 - time.monotonic()))
    assert service.incarnation == first
    assert resources_of(agent) == {2}
    own_broker.start()
    count = service.over_http
    service.wait(lambda: _broker_beats(service) > 3, 10, "the broker's path is used again")
    service.assign(spec(1, "Test Job", switch, attempt=2), spec(2, "Test Service", switch), serial=2)
    service.wait_state(1, S.ONLINE, 5)
    assert service.incarnation == first
    assert agent.running()[2] == jobs[2]
    assert service.over_http - count < 100
    service.close()


def _broker_beats(service: FakeService) -> int:
    return sum(isinstance(m, Heartbeat) for _, m in service.heard) - service.over_http


def test_without_a_second_path_a_lost_broker_costs_the_lease(
    own_broker: Broker, start_agent: Start, switch: Path
) -> None:
    service = FakeService(own_broker.url)
    agent = start_agent(own_broker.url)
    service.wait_joined()
    bring_online(service, switch)
    first = service.incarnation
    own_broker.stop()
    until(lambda: not resources_of(agent), 5)
    own_broker.start()
    service.wait(lambda: service.incarnation > first, 10, "contact again, in a new life")
    service.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_guard_ignores_what_ends_a_terminals_programs(
    agent: AgentProcess, service: FakeService, number: int
) -> None:
    guard = int((agent.home / "guard.lock").read_text())
    os.kill(guard, number)
    time.sleep(0.1)
    assert int((agent.home / "guard.lock").read_text()) == guard
    os.kill(guard, 0)
