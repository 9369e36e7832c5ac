"""Built-in types under SeparateMonitor: they need not know of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitoring.core.messages import ResourceSpec
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, Broker, FakeService, spec, until
from tests.node.restarts import LEASE_MS, rejoined, restart
from tests.node.test_separate import monitors
from tests.resource_dlls.context import free_address
from tests.resource_dlls.ocf_agents import use_root, write_agent


def built_in(tmp_path: Path, **changes: Any) -> tuple[ResourceSpec, ...]:
    """An address, a disk and an application that stands on both, each with a monitor of its own."""
    (tmp_path / "disk").mkdir(exist_ok=True)
    script = tmp_path / "script"
    if not script.exists():  # a program that runs cannot be written
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o755)
    address = {"Address": (tmp_path / "address").read_text(), "SubnetMask": "255.0.0.0"}
    command = {
        "CommandLine": "sh -c 'echo $CLUSTERWEB_ADDRESS $CLUSTERWEB_DISK; exec sleep 1000'",
        "CurrentDirectory": "/",
    }
    every = (
        (1, "IP Address", address, ()),
        (2, "Physical Disk", {"Path": str(tmp_path / "disk")}, ()),
        (3, "Generic Application", command, ((1,), (2,))),
        (4, "Generic Script", {"ScriptFilePath": str(script)}, ((3,),)),
    )
    short: dict[str, Any] = {
        "separate_monitor": True,
        "deadlock_timeout_ms": 10_000,
        "pending_timeout_ms": 10_000,
    }
    return tuple(
        spec(number, name, None, properties=properties, requires=requires, **(short | changes))
        for number, name, properties, requires in every
    )


def test_an_ocf_agent_is_found_by_a_monitor_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    node_broker: Broker,
    service: FakeService,
    start_agent: Callable[[str, str], AgentProcess],
) -> None:
    write_agent(tmp_path / "ocf", "Checked")
    use_root(monkeypatch, tmp_path / "ocf", tmp_path / "cache")
    (folder := tmp_path / "folder").mkdir()
    agent = start_agent(node_broker.url, service.url)
    service.wait_joined()
    values = {"folder": str(folder), "password": "", "CheckLevel": 0, "MonitorTimeout": 10}
    service.assign(spec(1, "ocf:test:Checked", properties=values, separate_monitor=True))
    service.wait_state(1, S.ONLINE, 20)
    assert len(monitors(agent)) == 1
    (folder / "monitor.code").write_text("7")
    assert "exit code 7" in service.wait_state(1, S.FAILED).cause


def test_they_come_online_are_taken_over_and_go_offline_in_order(
    agent: AgentProcess, service: FakeService, tmp_path: Path
) -> None:
    service.grant(LEASE_MS)
    (tmp_path / "address").write_text(free_address())
    service.assign(*built_in(tmp_path))
    for resource in (1, 2, 3, 4):
        service.wait_state(resource, S.ONLINE, 20)
    assert len(monitors(agent)) == 4
    said = agent.home / "resources" / "3" / "output.log"
    assert said.read_text().split() == [(tmp_path / "address").read_text(), str(tmp_path / "disk")]
    (application,) = agent.running()[3]
    rejoined(service, restart(agent, service))
    until(lambda: len(monitors(agent)) == 4, 20)

    def all_checked() -> bool:
        newest = [next(iter(service.reports_of(n)[::-1])) for n in (1, 2, 3, 4)]
        service.resend = True
        return all(report.checked_ms_ago is not None for report in newest)

    until(all_checked, 20, "IsAlive of what was taken over")
    assert agent.running()[3] == [application]
    os.kill(application, signal.SIGKILL)
    service.wait_state(3, S.FAILED)
    service.assign(*built_in(tmp_path, attempt=2), serial=2)
    service.wait_state(4, S.ONLINE, 20)
    service.assign(*built_in(tmp_path, attempt=2, want_online=False), serial=3)
    for resource in (1, 2, 3, 4):
        service.wait_state(resource, S.OFFLINE, 20)
    assert not agent.running().keys() - {0}
    assert not [e for e in service.logs()[1:] if e.level], "nothing was out of the ordinary"
