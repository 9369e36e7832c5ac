"""A real agent and a real systemd: a unit fails at once, is taken over, and ends with the lease."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.core.states import ResourceState as S
from monitoring.node import marks
from tests.node.harness import ROOT, AgentProcess, Broker, FakeService, spec, until
from tests.node.restarts import shorten_lease
from tests.resource_dlls.systemd import Systemd, missing

INSIDE = 'mount --bind "$0" /run && exec "$@"'
UNIT = "[Service]\nExecStart=/bin/sh -c 'echo serving; exec sleep 600'\nRestart=always\nRestartSec=10ms\n"


class AgentBeside(AgentProcess):
    """An agent to which /run is that of the test's systemd."""

    def __init__(self, systemd: Systemd, home: Path, broker_url: str) -> None:
        self._systemd = systemd
        super().__init__(home, broker_url)

    def start(self) -> None:
        self.home.mkdir(exist_ok=True, parents=True)
        program = [sys.executable, "-m", "monitoring.node"]
        run = str(self._systemd.folder / "run")
        with (self.home / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", INSIDE, run, *program],
                cwd=ROOT,
                env={**self.environ, "DBUS_SYSTEM_BUS_ADDRESS": self._systemd.bus},
                stderr=log,
                stdout=log,
            )


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    if said := missing():
        pytest.skip(said)
    booted = Systemd(tmp_path / "systemd")
    yield booted
    booted.stop()


@pytest.fixture
def beside(
    systemd: Systemd, service: FakeService, node_broker: Broker, tmp_path: Path
) -> Iterator[AgentBeside]:
    agent = AgentBeside(systemd, tmp_path / "node", node_broker.url)
    service.wait_joined()
    yield agent
    agent.end()
    if (guard := agent.guard()) is not None:
        os.kill(guard, 9)
    assert marks.end_marked(str(agent.home))


def main_pid(systemd: Systemd) -> str:
    return systemd.run("show", "--property=MainPID", "greeter.service")


def test_a_unit_fails_at_once_is_taken_over_and_ends_with_the_lease(
    beside: AgentBeside, systemd: Systemd, service: FakeService
) -> None:
    systemd.unit("greeter.service", UNIT)
    properties = {"ServiceName": "greeter"}
    service.grant(10_000)
    service.assign(spec(1, "Generic Service", properties=properties, is_alive_ms=60_000))
    service.wait_state(1, S.ONLINE)
    log = beside.home / "resources" / "1" / "output.log"
    until(lambda: "serving" in log.read_text(), 10, "its journal")

    began = time.monotonic()
    systemd.run("kill", "--signal=KILL", "greeter.service")
    service.wait(lambda: service.states[1].state is S.FAILED)
    assert time.monotonic() - began < 1
    assert "greeter.service is failed: signal 9 (SIGKILL)" in service.states[1].cause
    said = service.wait(lambda: [entry.output for entry in service.logs() if entry.output])
    assert "serving" in said[0]

    service.assign(spec(1, "Generic Service", properties=properties, attempt=2), serial=2)
    service.wait(lambda: service.states[1].state is S.ONLINE)
    pid = main_pid(systemd)
    beside.kill()
    heard = len(service.heard)
    beside.start()
    service.wait(lambda: len(service.heard) > heard + 10, 20, "messages of the next agent")
    assert service.states[1].state is S.ONLINE
    assert main_pid(systemd) == pid, "the same process"

    shorten_lease(service)
    beside.kill()
    until(lambda: systemd.run("is-active", "greeter.service") == "inactive", 15, "the guard has it stopped")
    assert not (systemd.folder / "run" / "systemd" / "system" / "greeter.service.d").exists()
