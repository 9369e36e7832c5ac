"""A group in maintenance: its resources are watched, and whatever happens to them they are left alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from monitoring.core.messages import Assignment, Report
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, FakeService, spec


def assign(service: FakeService, switch: Path, serial: int, *, watch_only: bool) -> None:
    specs = (spec(1, "Test Job", switch),)
    service.send(Assignment(service.incarnation, 1, "GROUP1", 1, serial, specs, watch_only=watch_only))
    service.wait(lambda: [g for g in service.group_reports() if g.serial == serial])


def test_a_service_that_ends_in_maintenance_is_told_of_and_judged_when_it_is_over(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    assign(service, switch, 2, watch_only=True)
    os.kill(agent.running()[1][0], signal.SIGKILL)
    service.wait(lambda: [e for e in service.logs() if "maintenance: nothing is done" in e.text])
    assert service.states[1].state is S.ONLINE
    assign(service, switch, 3, watch_only=False)
    assert service.wait_state(1, S.FAILED).cause.startswith("IsAlive")


def test_an_agent_that_stops_takes_offline_what_is_in_maintenance(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    assign(service, switch, 2, watch_only=True)
    assert agent.stop() == 0
    assert not agent.running().get(1)


def test_an_agent_that_restarts_leaves_what_is_in_maintenance_as_it_is(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.grant(60_000)  # a machine that is busy starts an agent in its own time
    specs = (spec(1, "Test Job", switch), spec(2, "Test Plain", switch), spec(3, "Test Job", switch))
    service.assign(*specs)
    for resource in (1, 2, 3):
        service.wait_state(resource, S.ONLINE)
    service.send(Assignment(service.incarnation, 1, "GROUP1", 1, 2, specs, watch_only=True))
    service.wait(lambda: [g for g in service.group_reports() if g.serial == 2])
    running = agent.running()
    agent.kill()
    os.kill(running[3][0], signal.SIGKILL)
    before = len(service.heard)
    agent.start()
    service.wait(lambda: [m for _, m in service.heard[before:] if isinstance(m, Report) and m.full], 15)
    service.wait(lambda: [e for e in service.logs() if "while the agent was away. It is in" in e.text])
    assert agent.running()[1] == running[1]
    assert {service.states[n].state for n in (1, 2, 3)} == {S.ONLINE}
    service.send(Assignment(service.incarnation, 1, "GROUP1", 1, 3, specs))
    service.wait(lambda: "R3 online" in (switch / "journal").read_text().partition("R3 terminate")[2])
    service.wait(lambda: "R2 online" in (switch / "journal").read_text().partition("R2 terminate")[2])
    assert agent.running()[1] == running[1]
