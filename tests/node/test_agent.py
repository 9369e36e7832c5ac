"""A real agent with a real broker: it converges on what it is assigned, and says what is."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from monitoring.core.messages import Assignment, FailResource, Heartbeat, Release, Report
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, FakeService, spec, until


def order(switch: Path) -> list[str]:
    return [" ".join(line.split()[1:]) for line in (switch / "journal").read_text().splitlines()]


def test_providers_come_online_first_and_go_offline_last(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    def tree(on: bool) -> list:
        return [
            spec(1, "Test Plain", switch, want_online=on),
            spec(2, "Test Plain", switch, want_online=on, requires=((1,),)),
            spec(3, "Test Plain", switch, want_online=on, requires=((1,), (2,))),
        ]

    service.assign(*tree(True))
    service.wait_state(3, S.ONLINE)
    service.assign(*tree(False), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert order(switch) == [*(f"R{n} online" for n in (1, 2, 3)), *(f"R{n} offline" for n in (3, 2, 1))]


def test_an_assignment_is_acknowledged_with_all_resources_and_a_repeated_one_again(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    resources = spec(1, "Test Plain", switch), spec(2, "Test Plain", switch, want_online=False)
    service.assign(*resources)
    service.wait_state(1, S.ONLINE)
    first = service.group_reports()[0]
    assert (first.epoch, first.serial, {r.resource for r in first.resources}) == (1, 1, {1, 2})
    before = len(service.group_reports())
    service.assign(*resources)
    service.wait(lambda: [g for g in service.group_reports()[before:] if len(g.resources) == 2])


def test_the_end_of_a_process_is_reported_at_once_with_its_signal(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch, is_alive_ms=60_000))
    service.wait_state(1, S.ONLINE)
    (pid,) = agent.running()[1]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    service.wait(lambda: service.states[1].state is S.FAILED)
    assert time.monotonic() - began < 0.5
    assert service.states[1].cause == f"process {pid} ended with signal 9 (SIGKILL)"
    service.wait_state(1, S.FAILED)


def test_a_failed_resource_is_retried_only_by_a_higher_attempt(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.fails").touch()
    service.assign(spec(1, "Test Job", switch))
    failed = service.wait_state(1, S.FAILED)
    assert (failed.cause, failed.code, failed.attempt) == ("Online: it was told to fail", 1039, 1)
    (switch / "R1.fails").unlink()
    service.assign(spec(1, "Test Job", switch), serial=2)
    service.wait(lambda: [g for g in service.group_reports() if g.serial == 2])
    assert service.states[1].state is S.FAILED
    service.assign(spec(1, "Test Job", switch, attempt=2), serial=3)
    assert service.wait_state(1, S.ONLINE).attempt == 2


def test_a_provider_that_fails_takes_dependents_offline_and_brings_them_back_with_it(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    def pair(attempt: int) -> list:
        return [
            spec(1, "Test Job", switch, attempt=attempt),
            spec(2, "Test Plain", switch, requires=((1,),)),
        ]

    service.assign(*pair(1))
    service.wait_state(2, S.ONLINE)
    os.kill(agent.running()[1][0], signal.SIGKILL)
    assert service.wait_state(2, S.OFFLINE).state is S.OFFLINE
    service.wait_state(1, S.FAILED)
    service.assign(*pair(2), serial=2)
    service.wait_state(2, S.ONLINE)
    assert "R2 offline" in order(switch)


def test_a_stale_epoch_is_refused_and_an_older_serial_changes_nothing(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Plain", switch), epoch=5, serial=2)
    service.wait_state(1, S.ONLINE)
    service.assign(spec(1, "Test Plain", switch, want_online=False), epoch=4, serial=9)
    refusal = service.wait(lambda: [g for g in service.group_reports() if g.refused])[0]
    assert (refusal.epoch, refusal.serial) == (5, 2)
    assert "epoch 4 is older than 5" in refusal.refused
    count = len(service.group_reports())
    service.assign(spec(1, "Test Plain", switch, want_online=False), epoch=5, serial=1)
    service.wait(lambda: len(service.group_reports()) > count)
    assert service.states[1].state is S.ONLINE


def test_a_type_that_the_node_lacks_fails_its_resource_by_name(
    agent: AgentProcess, service: FakeService
) -> None:
    service.assign(spec(1, "Quantum Disk"))
    failed = service.wait_state(1, S.FAILED)
    assert failed.cause == "Online: NODE1 has no resource DLL for Quantum Disk"


def test_commands_that_are_not_signed_or_meant_for_another_life_change_nothing(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    assignment = Assignment(service.incarnation, 1, "GROUP1", 1, 1, (spec(1, "Test Plain", switch),))
    service.send(assignment, key="a stranger's")
    service.send(Assignment(service.incarnation - 1, 1, "GROUP1", 1, 1, assignment.resources))
    service.assign(spec(2, "Test Plain", switch), group=2)
    service.wait_state(2, S.ONLINE)
    assert 1 not in service.states
    assert "refused a message (1 so far): 'mac:" in agent.log()


def test_a_released_group_is_ended_and_forgotten(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch), epoch=1)
    service.wait_state(1, S.ONLINE)
    service.send(Release(service.incarnation, 1, 2))
    service.wait_state(1, S.OFFLINE)
    assert 1 not in agent.running()
    service.assign(spec(1, "Test Job", switch), epoch=1, serial=2)
    service.wait(lambda: [g for g in service.group_reports() if "epoch 1 is older than 2" in g.refused])


def test_a_failure_for_a_test_is_simulated_once_an_operation(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    order = FailResource(service.incarnation, 1, 1, 1, 77, "alice wants to see it fail")
    service.send(order)
    assert service.wait_state(1, S.FAILED).cause == "alice wants to see it fail"
    service.assign(spec(1, "Test Job", switch, attempt=2), serial=2)
    service.wait_state(1, S.ONLINE)
    service.send(order)
    service.assign(spec(1, "Test Job", switch, attempt=2), serial=3)
    service.wait(lambda: [g for g in service.group_reports() if g.serial == 3])
    assert service.states[1].state is S.ONLINE


def test_a_resource_that_left_the_assignment_is_taken_down(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Job", switch))
    service.wait_state(2, S.ONLINE)
    service.assign(spec(1, "Test Job", switch), serial=2)
    service.wait_state(2, S.OFFLINE)
    assert set(agent.running()) - {0} == {1}


def test_changed_properties_take_effect_at_the_next_online(
    agent: AgentProcess, service: FakeService, switch: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    service.assign(spec(1, "Test Plain", switch))
    service.wait_state(1, S.ONLINE)
    service.assign(spec(1, "Test Plain", other, want_online=False), serial=2)
    service.wait_state(1, S.OFFLINE)
    service.assign(spec(1, "Test Plain", other), serial=3)
    service.wait_state(1, S.ONLINE)
    assert order(switch) == ["R1 online", "R1 offline"]
    assert order(other) == ["R1 online"]


def test_a_full_report_follows_where_the_service_asks_for_one(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Plain", switch))
    service.wait_state(1, S.ONLINE)
    service.resend = True
    full = service.wait(
        lambda: [m for _, m in service.heard if isinstance(m, Report) and m.full and m.groups]
    )[0]
    assert [(g.group, len(g.resources)) for g in full.groups] == [(1, 1)]


def test_an_agent_that_is_told_to_stop_takes_all_offline_in_order_and_says_that_it_leaves(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch), spec(2, "Test Job", switch, requires=((1,),)))
    service.wait_state(2, S.ONLINE)
    assert agent.stop() == 0
    last = service.wait(lambda: [m for _, m in service.heard if isinstance(m, Heartbeat) and m.leaving])[0]
    assert last.incarnation == service.incarnation
    assert order(switch)[-2:] == ["R2 offline", "R1 offline"]
    until(lambda: not agent.running(), 5, "nothing is left")


def test_a_second_agent_of_the_same_home_gives_up_with_one_line(agent: AgentProcess, tmp_path: Path) -> None:
    import subprocess
    import sys

    second = subprocess.run(
        [sys.executable, "-c", _SECOND], env=agent.environ, capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert second.stderr.startswith("clusterweb node: another agent runs with ")
    assert second.stderr.count("\n") == 1


_SECOND = """
import monitoring.node.agent as agent
agent.AGENT_WAIT = 0.2
from monitoring.node.__main__ import main
raise SystemExit(main())
"""
