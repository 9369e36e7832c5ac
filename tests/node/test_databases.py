"""Database servers under a real agent: one in the agent itself, one under a separate monitor."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from monitoring.core.messages import Fact, ResourceSpec
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, FakeService, spec
from tests.node.restarts import LEASE_MS, rejoined, restart
from tests.resource_dlls.context import free_address
from tests.resource_dlls.databases import make_database

POSTGRESQL, REDIS = 3, 4


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that the servers' accounts may enter."""
    made = Path(tempfile.mkdtemp(prefix="clusterweb-disk-"))
    made.chmod(0o755)
    make_database(made / "postgresql")
    yield made
    shutil.rmtree(made, ignore_errors=True)


def resources(disk: Path, address: str, **changes: Any) -> tuple[ResourceSpec, ...]:
    quick = {"Options": "-c fsync=off -c shared_buffers=16MB"}
    limits: dict[str, Any] = {"pending_timeout_ms": 20_000, "deadlock_timeout_ms": 20_000, **changes}
    on_both: dict[str, Any] = {"requires": ((1,), (2,))}
    return (
        spec(1, "IP Address", properties={"Address": address, "SubnetMask": "255.0.0.0"}, **limits),
        spec(2, "Physical Disk", properties={"Path": str(disk)}, **limits),
        spec(3, "PostgreSQL Server", properties=quick, separate_monitor=True, **on_both, **limits),
        spec(4, "Redis Server", properties={"Password": "word"}, **on_both, **limits),
    )


def facts_of(service: FakeService, resource: int) -> dict[str, Fact]:
    return {fact.name: fact for report in service.reports_of(resource) for fact in report.facts or ()}


def test_database_servers_are_taken_over_fail_when_they_are_killed_and_stop(
    agent: AgentProcess, service: FakeService, disk: Path
) -> None:
    service.grant(LEASE_MS)
    address = free_address()
    service.assign(*resources(disk, address))
    for server in (POSTGRESQL, REDIS):
        service.wait_state(server, S.ONLINE, 20)
    for server, name in ((POSTGRESQL, "PostgreSQL 1"), (REDIS, "")):
        facts = service.wait(partial(facts_of, service, server))
        assert facts["Version"].text.startswith(name)
        assert not any(fact.level for fact in facts.values())

    before = {server: set(agent.running()[server]) for server in (POSTGRESQL, REDIS)}
    first = {server: min(pids) for server, pids in before.items()}
    rejoined(service, restart(agent, service))
    service.wait(lambda: all(service.states[n].state is S.ONLINE for n in first), 20, "they go on")
    assert all(first[server] in agent.running()[server] for server in first)

    for server in first:
        os.kill(first[server], signal.SIGKILL)
        failed = service.wait_state(server, S.FAILED, 10)
        assert failed.cause == f"process {first[server]} ended"
    service.assign(*resources(disk, address, attempt=2), serial=2)
    for server in first:
        service.wait_state(server, S.ONLINE, 20)
    service.assign(*resources(disk, address, attempt=2, want_online=False), serial=3)
    for number in (4, 3, 2, 1):
        service.wait_state(number, S.OFFLINE, 20)
    assert not agent.running().keys() - {0}
