"""What tests of an agent that starts again have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monitoring.core.messages import Report
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, FakeService, spec

Start = Callable[..., AgentProcess]
LEASE_MS = 10_000
"""Long enough for a new agent on a busy machine."""
SHORT_MS = 2500


def jobs(agent: AgentProcess) -> dict[int, list[int]]:
    """What runs for resources (the warm parent left out)."""
    return {resource: pids for resource, pids in agent.running().items() if resource}


def bring_online(service: FakeService, switch: Path) -> None:
    service.assign(
        spec(1, "Test Job", switch),
        spec(2, "Test Service", switch, requires=((1,),)),
        spec(3, "Test Address", switch),
    )
    for resource in (1, 2, 3):
        service.wait_state(resource, S.ONLINE)


def restart(agent: AgentProcess, service: FakeService) -> int:
    """Kill the agent and start another; returns how many messages were heard before."""
    agent.kill()
    before = len(service.heard)
    agent.start()
    return before


def shorten_lease(service: FakeService) -> None:
    """From now on the lease is short; the node knows it."""
    service.grant(SHORT_MS)


def rejoined(service: FakeService, before: int) -> Report:
    """The first full report after a restart."""

    def full() -> list[Report]:
        return [m for _, m in service.heard[before:] if isinstance(m, Report) and m.full and m.groups]

    report: Report = service.wait(full, 15, "a full report")[0]
    return report
