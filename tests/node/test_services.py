"""Services forked from the warm parent: cheap, watched, and found by whoever has to end them."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from monitoring.core.states import ResourceState as S
from monitoring.node import marks
from tests.node.harness import AgentProcess, FakeService, spec, until


def private_kb(pid: int) -> int:
    """Memory that the process shares with nobody, its parent included."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))


def test_a_forked_service_carries_the_mark_of_its_own_resource(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(5, "Test Service", switch))
    service.wait_state(5, S.ONLINE)
    until((switch / "R5.served").exists)
    (pid,) = agent.running()[5]
    assert int((switch / "R5.served").read_text()) == pid
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert f"{marks.RESOURCE}={5:020d}".encode() in environ
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/comm").read_text() == "echo:serve\n"


def test_a_service_holds_no_socket_of_the_agent(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(5, "Test Service", switch))
    service.wait_state(5, S.ONLINE)
    until((switch / "R5.served").exists)
    (pid,) = agent.running()[5]
    targets = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [t for t in targets if t.startswith("socket:")]
    assert len(targets) == 3


def test_the_end_of_a_service_is_told_with_its_exit_code(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(5, "Test Service", switch))
    service.wait_state(5, S.ONLINE)
    (pid,) = agent.running()[5]
    os.kill(pid, signal.SIGTERM)
    assert service.wait_state(5, S.FAILED).cause == f"process {pid} ended with signal 15 (SIGTERM)"


def test_services_outlive_their_parent_and_a_new_parent_starts_with_the_next(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(5, "Test Service", switch))
    service.wait_state(5, S.ONLINE)
    (parent,) = agent.running()[0]
    os.kill(parent, signal.SIGKILL)
    until(lambda: parent not in agent.running().get(0, []))
    service.assign(spec(5, "Test Service", switch), spec(6, "Test Service", switch), serial=2)
    service.wait_state(6, S.ONLINE)
    assert service.states[5].state is S.ONLINE
    (orphan,) = agent.running()[5]
    os.kill(orphan, signal.SIGKILL)
    assert service.wait_state(5, S.FAILED).cause == f"process {orphan} ended"


def test_a_parent_that_does_not_answer_costs_the_one_that_asks_and_is_replaced(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (parent,) = until(lambda: agent.running().get(0), 5)
    os.kill(parent, signal.SIGSTOP)
    service.lease_ms = 5000
    service.assign(spec(5, "Test Service", switch))
    assert (
        service.wait_state(5, S.FAILED, 5).cause
        == "Online: tests.node.echo:serve was not started within 0.5 s"
    )
    service.assign(spec(5, "Test Service", switch, attempt=2), serial=2)
    service.wait_state(5, S.ONLINE, 5)
    assert parent not in agent.running()[0]


def test_twenty_services_take_little_memory(agent: AgentProcess, service: FakeService, switch: Path) -> None:
    count = 20
    service.assign(*(spec(n, "Test Service", switch) for n in range(1, count + 1)))
    for n in range(1, count + 1):
        service.wait_state(n, S.ONLINE)
    until(lambda: len(list(switch.glob("*.served"))) == count)
    total = sum(private_kb(pid) for n, pids in agent.running().items() if n for pid in pids)
    assert total / count < 3000, f"{total / count:.0f} kB a service"
