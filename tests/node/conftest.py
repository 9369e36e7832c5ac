"""What the tests of the node start, and take down again whatever happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitoring.node import marks
from tests.node.harness import AgentProcess, Broker, FakeService


@pytest.fixture(scope="session")
def node_broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.stop()


@pytest.fixture
def own_broker() -> Iterator[Broker]:
    """A broker that the test may stop."""
    broker = Broker()
    yield broker
    broker.stop()


@pytest.fixture
def service(node_broker: Broker) -> Iterator[FakeService]:
    node_broker.clear()
    service = FakeService(node_broker.url)
    yield service
    service.close()


@pytest.fixture
def switch(tmp_path: Path) -> Path:
    folder = tmp_path / "switch"
    folder.mkdir()
    return folder


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[[str, str], AgentProcess]]:
    """Starts agents; at the end they are killed, with their guards and all that they run."""
    agents: list[AgentProcess] = []

    def start(broker_url: str, service_url: str = "") -> AgentProcess:
        agents.append(AgentProcess(tmp_path / "node", broker_url, service_url))
        return agents[-1]

    yield start
    for agent in agents:
        agent.end()
        if (guard := agent.guard()) is not None:
            os.kill(guard, signal.SIGKILL)
        assert marks.end_marked(str(agent.home))


@pytest.fixture
def agent(
    service: FakeService, node_broker: Broker, start_agent: Callable[..., AgentProcess]
) -> AgentProcess:
    """An agent that has joined, and is heard over both paths."""
    agent = start_agent(node_broker.url, service.url)
    service.wait_joined()
    return agent
