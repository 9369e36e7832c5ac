"""An agent that starts again within its lease finds what runs, and goes on with it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from monitoring.core.messages import FailResource, Heartbeat, LifeOver, Release, Report
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, Broker, FakeService, spec, until
from tests.node.restarts import (
    LEASE_MS,
    SHORT_MS,
    Start,
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


def test_the_same_processes_serve_after_a_restart_within_the_lease_in_the_same_life(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first, running = service.incarnation, jobs(agent)
    sequences = {r: service.states[r].sequence for r in (1, 2, 3)}
    agent.kill()
    before = len(service.heard)
    assert jobs(agent) == running
    agent.start()
    report = rejoined(service, before)
    states = {r.resource: r for g in report.groups for r in g.resources}
    assert {r: s.state for r, s in states.items()} == dict.fromkeys((1, 2, 3), S.ONLINE)
    assert all(states[r].sequence > sequences[r] for r in states)
    assert all(s.running for s in states.values())
    shorten_lease(service)
    time.sleep(SHORT_MS / 1000 + 0.5)  # it is renewed
    assert jobs(agent) == running
    assert (agent.home / "resources" / "3" / "address").exists()
    incarnations = {m.incarnation for _, m in service.heard if isinstance(m, Heartbeat)}
    assert incarnations == {first}
    reports = [m for _, m in service.heard[before:] if isinstance(m, Report)]
    told = {r.state for m in reports for g in m.groups for r in g.resources}
    assert told == {S.ONLINE}, "nobody saw it go down"
    assert [e.text for e in service.logs()] == [
        "The agent of NODE1 was started again, and goes on with what runs."
    ]


def test_nothing_is_left_of_what_served_the_old_agent_alone(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    (parent,) = agent.running()[0]
    os.kill(parent, signal.SIGSTOP)  # it would not see that its agent is gone
    rejoined(service, restart(agent, service))
    assert parent not in agent.running().get(0, [])
    service.assign(spec(4, "Test Service", switch), group=2)
    service.wait_state(4, S.ONLINE, 20)


def test_what_was_given_up_before_the_restart_is_ended(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    (switch / "R1.hangs-offline").touch()
    service.assign(spec(3, "Test Address", switch), serial=2)
    service.wait(lambda: service.states[1].state is S.OFFLINE_PENDING)
    report = rejoined(service, restart(agent, service))
    assert not jobs(agent)
    assert {r.resource: r.state for g in report.groups for r in g.resources} == {3: S.ONLINE}


def test_numbers_only_grow_over_a_restart(agent: AgentProcess, service: FakeService, switch: Path) -> None:
    bring_online(service, switch)
    agent.kill()
    time.sleep(0.3)  # what it had sent is heard
    before = len(service.heard)
    agent.start()
    rejoined(service, before)
    old, new = ([m for _, m in part] for part in (service.heard[:before], service.heard[before:]))
    for kind in (Heartbeat, Report):
        earlier, later = ([m.number for m in part if isinstance(m, kind)] for part in (old, new))
        assert max(earlier) < min(later)
    newest = max(m.number for m in old if isinstance(m, Report))
    assert all(m.reports > newest for m in new if isinstance(m, Heartbeat))


def test_the_heartbeat_comes_first_and_the_first_report_is_full(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    before = restart(agent, service)
    rejoined(service, before)
    messages = [m for _, m in service.heard[before:]]
    assert isinstance(messages[0], Heartbeat)
    assert next(m for m in messages if isinstance(m, Report)).full


def test_nothing_is_taken_over_before_the_cluster_service_has_answered(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    running = jobs(agent)
    agent.kill()
    service.answers = service.answers_http = False
    before = len(service.heard)
    agent.start()
    service.wait(lambda: len(service.heard) > before, 10, "a heartbeat")
    time.sleep(0.3)
    assert "R1 adopt" not in (switch / "journal").read_text()
    assert jobs(agent) == running
    service.answers = service.answers_http = True
    rejoined(service, before)
    assert "R1 adopt" in (switch / "journal").read_text()
    assert jobs(agent) == running


def test_what_was_found_is_ended_with_its_lease_where_no_answer_comes(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    shorten_lease(service)
    killed = time.monotonic()
    agent.kill()
    service.answers = service.answers_http = False
    agent.start()
    until(lambda: not jobs(agent), SHORT_MS / 1000 + 5)
    assert time.monotonic() - killed > SHORT_MS / 1000 - 1
    until(lambda: not (agent.home / "resources" / "3" / "address").exists(), 2)
    service.answers = service.answers_http = True
    service.wait(lambda: service.incarnation > first, 10)


def test_an_order_to_stop_that_came_while_the_agent_was_away_is_carried_out_in_order(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    agent.kill()
    service.assign(
        spec(1, "Test Job", switch, want_online=False),
        spec(2, "Test Service", switch, requires=((1,),), want_online=False),
        spec(3, "Test Address", switch),
        serial=2,
    )
    agent.start()
    service.wait_state(1, S.OFFLINE, 15)
    service.wait_state(2, S.OFFLINE)
    assert service.states[3].state is S.ONLINE
    assert service.incarnation == first
    assert set(jobs(agent)) == set()
    journal = (switch / "journal").read_text()
    assert "R1 offline" in journal and "R1 terminate" not in journal, "it was taken over, then stopped"


def test_a_group_that_is_released_while_the_agent_was_away_is_ended(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    agent.kill()
    service.send(Release(service.incarnation, 1, 2))
    agent.start()
    until(lambda: not jobs(agent), LEASE_MS / 1000 - 1)
    until(lambda: not (agent.home / "resources" / "3" / "address").exists())
    assert "the group belongs to another node" in agent.log()


def test_a_life_that_was_given_up_meanwhile_ends_with_all_that_was_found(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    agent.kill()
    service.answers = service.answers_http = False
    service.send(LifeOver(first))
    agent.start()
    until(lambda: not jobs(agent), LEASE_MS / 1000 - 1)
    service.answers = service.answers_http = True
    service.wait(lambda: service.incarnation > first, 10)


def test_a_service_that_ended_while_nobody_watched_has_failed(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    running = jobs(agent)
    agent.kill()
    (pid,) = running[2]
    os.kill(pid, signal.SIGKILL)
    agent.start()
    failed = service.wait_state(2, S.FAILED, 15)
    assert failed.cause == f"process {pid} ended while the agent was away"
    assert failed.attempt == 1
    assert jobs(agent) == {1: running[1]}
    service.assign(
        spec(1, "Test Job", switch),
        spec(2, "Test Service", switch, requires=((1,),), attempt=2),
        spec(3, "Test Address", switch),
        serial=2,
    )
    service.wait_state(2, S.ONLINE)


def test_the_end_of_a_process_that_was_taken_over_is_noticed_at_once(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    rejoined(service, restart(agent, service))
    (pid,) = jobs(agent)[1]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    service.wait(lambda: service.states[1].state is S.FAILED)
    assert time.monotonic() - began < 1.0
    assert service.states[1].cause.startswith(f"process {pid} ended")


def test_a_failed_resource_stays_failed_over_a_restart(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.fails").touch()
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Job", switch))
    service.wait_state(1, S.FAILED)
    service.wait_state(2, S.ONLINE)
    (switch / "R1.fails").unlink()
    report = rejoined(service, restart(agent, service))
    found = {r.resource: r for g in report.groups for r in g.resources}
    assert (found[1].state, found[1].attempt) == (S.FAILED, 1)
    assert found[1].cause == "Online: it was told to fail"
    time.sleep(0.3)
    assert set(jobs(agent)) == {2}


def test_a_resource_that_was_on_its_way_up_is_ended_and_brought_online_anew(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.hangs-online").touch()
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Job", switch))
    service.wait(lambda: 1 in service.states and service.states[1].state is S.ONLINE_PENDING)
    service.wait_state(2, S.ONLINE)
    first, other = service.incarnation, jobs(agent)[2]
    agent.kill()
    (switch / "R1.hangs-online").unlink()
    agent.start()
    service.wait_state(1, S.ONLINE, 15)
    assert service.incarnation == first
    assert jobs(agent)[2] == other
    words = [line.split(" ", 1)[1] for line in (switch / "journal").read_text().splitlines() if "R1" in line]
    assert words == ["R1 online", "R1 terminate", "R1 online"]


def test_a_resource_that_was_on_its_way_down_is_taken_down(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    (switch / "R1.hangs-offline").touch()
    service.assign(spec(1, "Test Job", switch, want_online=False), serial=2)
    service.wait(lambda: service.states[1].state is S.OFFLINE_PENDING)
    restart(agent, service)
    service.wait_state(1, S.OFFLINE, 15)
    assert not jobs(agent)


def test_a_type_that_cannot_take_over_is_restarted_after_what_depends_on_it_and_that_is_no_failure(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Plain", switch), spec(2, "Test Job", switch, requires=((1,),)))
    service.wait_state(2, S.ONLINE)
    before = restart(agent, service)
    rejoined(service, before)
    service.wait(lambda: [e for e in service.logs() if "has to be restarted with it" in e.text], 5)
    service.wait(lambda: "R2 online" in (switch / "journal").read_text().partition("R1 terminate")[2], 5)
    service.wait_state(2, S.ONLINE)
    words = [line.split(" ", 1)[1] for line in (switch / "journal").read_text().splitlines()]
    assert words[2:] == ["R2 adopt", "R2 offline", "R1 terminate", "R1 online", "R2 online"]
    assert not [r for n in (1, 2) for r in service.reports_of(n) if r.state is S.FAILED]


def test_a_take_over_that_hangs_costs_its_own_resource_only(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch, pending_timeout_ms=1000), spec(2, "Test Job", switch))
    for resource in (1, 2):
        service.wait_state(resource, S.ONLINE)
    running = jobs(agent)
    (switch / "R1.hangs-adopt").touch()
    rejoined(service, restart(agent, service))
    assert service.wait_state(1, S.FAILED, 15).cause == "Adopt reported nothing for 1 s"
    assert jobs(agent) == {2: running[2]}
    service.assign(spec(1, "Test Job", switch, attempt=2), spec(2, "Test Job", switch), serial=2)
    service.wait_state(1, S.ONLINE)


def test_an_agent_that_is_stopped_before_it_was_answered_takes_what_it_found_offline_in_order(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    agent.kill()
    service.answers = service.answers_http = False
    before = len(service.heard)
    agent.start()
    service.wait(lambda: len(service.heard) > before, 10, "a heartbeat")
    time.sleep(0.5)  # its worker handles signals
    assert agent.stop() == 0
    assert not jobs(agent)
    words = [line.split(" ", 1)[1] for line in (switch / "journal").read_text().splitlines()]
    assert words == ["R1 online", "R1 adopt", "R1 offline"]
    until(lambda: agent.guard() is None, 5, "the guard has left")


def test_an_agent_may_be_killed_twice_quickly(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first, running = service.incarnation, jobs(agent)
    agent.kill()
    agent.start()
    time.sleep(0.25)  # while it loads, or takes over
    rejoined(service, restart(agent, service))
    rejoined(service, restart(agent, service))
    shorten_lease(service)
    time.sleep(SHORT_MS / 1000 + 0.5)
    assert jobs(agent) == running
    assert service.incarnation == first


def test_operations_and_epochs_are_remembered(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch), epoch=3)
    service.wait_state(1, S.ONLINE)
    order = FailResource(service.incarnation, 1, 1, 3, 77, "alice wants to see it fail")
    service.send(order)
    service.wait_state(1, S.FAILED)
    service.assign(spec(1, "Test Job", switch, attempt=2), epoch=3, serial=2)
    service.wait_state(1, S.ONLINE)
    rejoined(service, restart(agent, service))
    service.send(order)
    service.assign(spec(1, "Test Job", switch, want_online=False), epoch=2, serial=9)
    service.wait(lambda: [g for g in service.group_reports() if "epoch 2 is older than 3" in g.refused])
    assert service.states[1].state is S.ONLINE


def test_an_agent_makes_way_for_another_without_stopping_anything(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first, running = service.incarnation, jobs(agent)
    agent.signal(signal.SIGUSR1)
    assert agent.process.wait(10) == 0
    before = len(service.heard)
    agent.start()
    rejoined(service, before)
    assert jobs(agent) == running
    assert service.incarnation == first
    assert "R1 offline" not in (switch / "journal").read_text()


def test_an_agent_that_was_told_to_stop_leaves_nothing_to_go_on_with(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    bring_online(service, switch)
    first = service.incarnation
    assert agent.stop() == 0
    assert not (agent.home / "record").exists()
    until(lambda: agent.guard() is None, 3, "the guard has left")
    agent.start()
    service.wait(lambda: service.incarnation > first, 15)


def test_a_restart_without_the_broker_goes_on_over_the_second_path(
    own_broker: Broker, start_agent: Start, switch: Path
) -> None:
    service = FakeService(own_broker.url, lease_ms=LEASE_MS)
    agent = start_agent(own_broker.url, service.url)
    service.wait_joined()
    bring_online(service, switch)
    first, running = service.incarnation, jobs(agent)
    own_broker.stop()
    before = restart(agent, service)
    rejoined(service, before)
    assert jobs(agent) == running
    assert service.incarnation == first
    service.close()
