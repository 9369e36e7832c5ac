"""OCF agents under a real node agent: its orders, its probes, its end, and the guard after it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitoring.core.messages import ResourceSpec
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, Broker, FakeService, spec, until
from tests.resource_dlls.ocf_agents import use_real_root, use_root, write_agent

StartAgent = Callable[[str, str], AgentProcess]


@pytest.fixture
def start(node_broker: Broker, service: FakeService, start_agent: StartAgent) -> Callable[[], AgentProcess]:
    """Starts an agent in the environment that the test has made."""

    def started() -> AgentProcess:
        agent = start_agent(node_broker.url, service.url)
        service.wait_joined()
        return agent

    return started


def dummy(**properties: object):
    values = {"fake": "dummy", "CheckLevel": 0, "MonitorTimeout": 10, **properties}
    return spec(1, "ocf:heartbeat:Dummy", properties=values, pending_timeout_ms=20_000)


def test_dummy_comes_online_fails_is_restarted_and_goes_offline(
    monkeypatch: pytest.MonkeyPatch, start: Callable[[], AgentProcess], service: FakeService
) -> None:
    use_real_root(monkeypatch)
    agent = start()
    service.assign(dummy())
    service.wait_state(1, S.ONLINE)
    (state,) = agent.home.glob("resources/ocf/*/Dummy-R1.state")
    state.unlink()
    failed = service.wait_state(1, S.FAILED)
    assert failed.cause == "IsAlive: monitor: it does not run (exit code 7): No process state file found"
    again = dummy()
    service.assign(spec(1, again.type, properties=again.properties, attempt=2), serial=2)
    service.wait_state(1, S.ONLINE)
    assert state.exists()
    service.assign(spec(1, again.type, properties=again.properties, attempt=2, want_online=False), serial=3)
    service.wait_state(1, S.OFFLINE)
    assert not state.exists()
    assert "No process state file found" in (agent.home / "resources" / "1" / "output.log").read_text()


def test_what_is_no_process_is_taken_back_after_the_agents_death(
    monkeypatch: pytest.MonkeyPatch, start: Callable[[], AgentProcess], service: FakeService
) -> None:
    use_real_root(monkeypatch)
    agent = start()
    service.assign(dummy())
    service.wait_state(1, S.ONLINE)
    (state,) = agent.home.glob("resources/ocf/*/Dummy-R1.state")
    agent.signal(signal.SIGKILL)
    until(lambda: not state.exists(), 15, "the guard has stopped it")
    until(lambda: not list((agent.home / "sweep").iterdir()), 5, "nothing is left to sweep")


def test_what_is_no_process_is_taken_back_when_the_lease_is_lost(
    monkeypatch: pytest.MonkeyPatch, start: Callable[[], AgentProcess], service: FakeService
) -> None:
    use_real_root(monkeypatch)
    agent = start()
    service.assign(dummy())
    service.wait_state(1, S.ONLINE)
    (state,) = agent.home.glob("resources/ocf/*/Dummy-R1.state")
    service.answers = service.answers_http = False
    until(lambda: not state.exists(), 15, "it is stopped once the lease is over")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the test's own agent: its faults and the calls that it saw."""
    write_agent(tmp_path / "ocf", "Checked")
    use_root(monkeypatch, tmp_path / "ocf", tmp_path / "cache")
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def checked(folder: Path, **changes: Any) -> ResourceSpec:
    values = {"folder": str(folder), "password": "", "CheckLevel": 0, "MonitorTimeout": 10}
    return spec(1, "ocf:test:Checked", properties=values, **{"pending_timeout_ms": 20_000, **changes})


def test_a_restarted_agent_goes_on_with_what_runs(
    folder: Path, start: Callable[[], AgentProcess], service: FakeService
) -> None:
    service.lease_ms = 10_000  # long enough for a new agent on a busy machine
    agent = start()
    service.assign(checked(folder))
    service.wait_state(1, S.ONLINE)
    agent.kill()
    sequence = service.states[1].sequence
    before = (folder / "calls").read_text()
    agent.start()
    service.wait(lambda: service.states[1].sequence > sequence, 15, "the new agent reports it")
    service.wait(lambda: (folder / "calls").read_text().count("\n") > before.count("\n") + 1, 10)
    assert service.states[1].state is S.ONLINE
    after = (folder / "calls").read_text().removeprefix(before)
    assert {line.split()[0] for line in after.splitlines()} == {"monitor"}
    service.assign(checked(folder, want_online=False), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert not (folder / "running").exists()


def test_a_start_that_hangs_is_ended_after_pending_timeout_and_says_what_it_said_last(
    folder: Path, start: Callable[[], AgentProcess], service: FakeService
) -> None:
    (folder / "start.hang").touch()
    agent = start()
    service.assign(checked(folder, pending_timeout_ms=2000))
    failed = service.wait_state(1, S.FAILED)
    assert "reported nothing for 2 s" in failed.cause
    assert (folder / "calls").read_text().splitlines()[-1].startswith("stop")
    assert agent.running().get(1) is None
    said = [entry.text for entry in service.logs()]
    assert any("start is waiting for Godot" in text for text in said)
