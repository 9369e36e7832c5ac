"""A monitor process of its own: what hangs or crashes in it costs its own resource only."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from monitoring.core.messages import Assignment, LogEntry, ResourceSpec
from monitoring.core.states import ResourceState as S
from monitoring.node import marks
from tests.node.harness import AgentProcess, FakeService, spec, until
from tests.node.restarts import LEASE_MS, rejoined, restart

MENACE = "Test Menace"


@pytest.fixture
def service(service: FakeService) -> FakeService:
    service.lease_ms = 5000  # the machine may be busy
    return service


def separate(resource: int, switch: Path, type_name: str = MENACE, **changes: Any) -> ResourceSpec:
    """A resource with SeparateMonitor and short times."""
    short = {"separate_monitor": True, "is_alive_ms": 100, "deadlock_timeout_ms": 1000}
    return spec(resource, type_name, switch, **(short | changes))


SHARED: dict[str, Any] = {"separate_monitor": False}


def monitors(agent: AgentProcess) -> list[int]:
    """Process ids of separate monitors."""
    found = []
    for marked in marks.scan(str(agent.home)):
        argv = Path(f"/proc/{marked.pid}/cmdline")
        if (
            marked.resource == marks.NO_RESOURCE
            and argv.exists()
            and b"separate.process" in argv.read_bytes()
        ):
            found.append(marked.pid)
    return found


def pss_kb(pid: int) -> int:
    """Memory of a process, of what it shares its part."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def journal(switch: Path, resource: int) -> list[str]:
    lines = (switch / "journal").read_text().splitlines()
    return [line.split(" ", 2)[2] for line in lines if line.split(" ")[1] == f"R{resource}"]


def events(service: FakeService, resource: int, code: int) -> list[LogEntry]:
    return [entry for entry in service.logs() if entry.resource == resource and entry.code == code]


def test_its_entry_points_run_in_a_process_of_its_own_and_its_processes_are_the_agents(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch), separate(2, switch, "Test Async Menace"), spec(3, "Test Job", switch))
    for resource in (1, 2, 3):
        service.wait_state(resource, S.ONLINE)
    until(lambda: len(monitors(agent)) == 2)
    first, second = monitors(agent)
    assert agent.process.pid not in (first, second)
    (in_first,) = {int(line.split()[-1]) for line in journal(switch, 1)}
    assert in_first in (first, second)
    assert all(pss_kb(monitor) < 20_000 for monitor in monitors(agent))
    (pid,) = agent.running()[1]
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"MENACE=1" in environ
    assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == agent.process.pid
    os.kill(pid, signal.SIGKILL)
    assert service.wait_state(1, S.FAILED).cause == f"process {pid} ended with signal 9 (SIGKILL)"
    assert in_first in monitors(agent), "the monitor did nothing wrong"
    service.assign(
        separate(1, switch, want_online=False),
        separate(2, switch, "Test Async Menace", want_online=False),
        spec(3, "Test Job", switch),
        serial=2,
    )
    service.wait_state(2, S.OFFLINE)
    assert set(agent.running()) == {marks.NO_RESOURCE, 3}
    service.assign(spec(3, "Test Job", switch), serial=3)
    until(lambda: not monitors(agent), 5, "they end when the node gives their resources up")


CRASHES = {
    1: ("abort", "ended with signal 6 (SIGABRT)"),
    2: ("exit", "ended with exit code 7"),
    3: ("segfault", "ended with signal 11 (SIGSEGV)"),
}


def test_a_crash_in_isalive_fails_its_resource_alone_and_another_monitor_terminates_it(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(*(separate(n, switch) for n in (1, 2, 3, 4)))
    for resource in (1, 2, 3, 4):
        service.wait_state(resource, S.ONLINE)
    for resource, (evil, _) in CRASHES.items():
        (switch / f"R{resource}.isalive").write_text(evil)
    for resource, (_, how) in CRASHES.items():
        failed = service.wait_state(resource, S.FAILED)
        assert (failed.cause, failed.code) == (f"its monitor process {how}", 1146)
        (event,) = events(service, resource, 1146)
        assert (
            event.text == f"The monitor process of R{resource} (Test Menace) {how}; another takes its place"
        )
        before, after = (int(line.split()[-1]) for line in journal(switch, resource)[-2:])
        assert before != after
        assert resource not in agent.running()
        assert not (agent.home / "resources" / str(resource) / "address").exists()
    assert {r.state for r in service.reports_of(4)[1:]} <= {S.ONLINE_PENDING, S.ONLINE}
    assert agent.log().count("Fatal Python error") == 2, "the log tells where"
    service.assign(*(separate(n, switch, attempt=2) for n in (1, 2, 3, 4)), serial=2)
    for resource in (1, 2, 3):
        service.wait_state(resource, S.ONLINE)


def test_a_hang_costs_its_own_resource_alone_and_at_deadlocktimeout_the_monitor_is_replaced(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    hanging = {1: ("hang in C", MENACE), 2: ("hang", MENACE), 3: ("hang", "Test Async Menace")}
    every = [separate(n, switch, type_name) for n, (_, type_name) in hanging.items()]
    service.assign(*every, spec(4, "Test Job", switch, is_alive_ms=50))
    for resource in (1, 2, 3, 4):
        service.wait_state(resource, S.ONLINE)
    hung, beats, began = monitors(agent), len(service.heard), time.monotonic()
    for resource, (evil, _) in hanging.items():
        (switch / f"R{resource}.isalive").write_text(evil)
    for resource, (_, type_name) in hanging.items():
        failed = service.wait_state(resource, S.FAILED)
        assert (failed.cause, failed.code) == ("IsAlive did not return within 1 s", 1230)
        warned = [fact.text for r in service.reports_of(resource) for fact in r.facts or () if fact.level]
        assert warned[0].startswith("has not returned for")
        (event,) = events(service, resource, 1230)
        assert event.text == f"IsAlive did not return within 1 s ({type_name})"
        (replaced,) = events(service, resource, 1146)
        assert "was ended (IsAlive did not return within 1 s)" in replaced.text
        assert resource not in agent.running()
    assert time.monotonic() - began < 6
    assert len(service.heard) - beats >= 5, "the agent went on all the time"
    assert not set(hung) & set(monitors(agent))
    assert agent.log().count(" in evil") >= 3, "the log tells where they hung"
    assert {r.state for r in service.reports_of(4)[1:]} <= {S.ONLINE_PENDING, S.ONLINE}
    again = [separate(n, switch, type_name, attempt=2) for n, (_, type_name) in hanging.items()]
    service.assign(*again, spec(4, "Test Job", switch), serial=2)
    for resource in hanging:
        service.wait_state(resource, S.ONLINE)


def test_a_resource_whose_probe_hung_in_the_agent_gets_a_monitor_of_its_own(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch, **SHARED))
    service.wait_state(1, S.ONLINE)
    (switch / "R1.isalive").write_text("hang")
    service.wait_state(1, S.FAILED, 5)
    (event,) = events(service, 1, 1230)
    assert event.text.endswith("It gets a monitor process of its own, until the agent restarts")
    assert not monitors(agent)
    service.assign(separate(1, switch, attempt=2, **SHARED), serial=2)
    service.wait_state(1, S.ONLINE)
    service.wait(lambda: [f for r in service.reports_of(1) for f in r.facts or () if f.name == "Monitor"])
    assert str(monitors(agent)[0]) == journal(switch, 1)[-1].split()[-1]


def test_errors_facts_and_sys_exit_pass_as_from_an_instance_in_the_agent(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.online").write_text("raise")
    (switch / "R2.online").write_text("sys.exit")
    (switch / "R3.isalive").write_text("warn")
    service.assign(separate(1, switch), separate(2, switch), separate(3, switch))
    failed = service.wait_state(1, S.FAILED)
    assert (failed.cause, failed.code) == ("Online: it was told to", 1039)
    assert service.wait_state(2, S.FAILED).cause == "Online: RuntimeError: SystemExit in an entry point"
    fact = service.wait(lambda: [f for r in service.reports_of(3) for f in r.facts or ()])[0]
    assert (fact.name, fact.level, fact.share) == ("Space", 1, 0.9)
    assert not events(service, 2, 1146)


def test_a_crash_on_the_way_up_down_and_in_terminate_leaves_nothing_behind(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.online").write_text("abort")
    (switch / "R2.offline").write_text("abort")
    (switch / "R3.terminate").write_text("hang in C")
    fast: dict[str, Any] = {"pending_timeout_ms": 800}
    service.assign(*(separate(n, switch, **fast) for n in (1, 2, 3)))
    assert service.wait_state(1, S.FAILED).cause == "its monitor process ended with signal 6 (SIGABRT)"
    for n in (2, 3):
        service.wait_state(n, S.ONLINE)
    os.kill(agent.running()[3][0], signal.SIGKILL)  # Terminate hangs, and another one follows
    service.assign(
        separate(1, switch, **fast),
        separate(2, switch, want_online=False, **fast),
        separate(3, switch, **fast),
        serial=2,
    )
    offline = service.wait_state(2, S.OFFLINE)
    assert offline.cause == "Offline: its monitor process ended with signal 6 (SIGABRT)"
    service.wait_state(3, S.FAILED, 15)
    assert "Terminate did not return" in events(service, 3, 1146)[0].text
    assert set(agent.running()) == {marks.NO_RESOURCE}


def test_what_it_started_by_itself_ends_with_its_resource_and_its_forks_with_the_monitor(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch), separate(2, switch))
    for resource in (1, 2):
        service.wait_state(resource, S.ONLINE)
    (switch / "R1.isalive").write_text("leak")
    (switch / "R2.isalive").write_text("fork")
    until(lambda: len(agent.running()[1]) == 2, 5, "the leaked child carries the resource's mark")
    until(lambda: len(monitors(agent)) == 3, 5, "the fork is a monitor by its looks")
    (switch / "R2.isalive").write_text("abort")
    service.wait_state(2, S.FAILED)
    until(lambda: len(monitors(agent)) == 2)
    service.assign(separate(1, switch, want_online=False), separate(2, switch), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert set(agent.running()) == {marks.NO_RESOURCE}


def test_an_online_that_terminate_interrupted_starts_nothing_any_more(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.online").write_text("start soon")
    slow: dict[str, Any] = {"pending_timeout_ms": 30_000, "deadlock_timeout_ms": 30_000}
    service.assign(separate(1, switch, **slow))
    service.wait(lambda: [r for r in service.reports_of(1) if "interrupted" in r.progress])
    service.assign(separate(1, switch, want_online=False, **slow), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert any("was terminated: nothing is started for it any more" in line for line in journal(switch, 1))
    assert 1 not in agent.running()


def test_a_call_of_the_context_that_is_cancelled_leaves_the_monitor_as_it_was(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch, "Test Async Menace"))
    service.wait_state(1, S.ONLINE)
    (monitor,) = monitors(agent)
    (switch / "R1.slow-start").touch()
    os.kill(agent.running()[1][0], signal.SIGKILL)
    service.wait_state(1, S.FAILED)
    slow: dict[str, Any] = {"pending_timeout_ms": 30_000, "deadlock_timeout_ms": 30_000}
    service.assign(separate(1, switch, "Test Async Menace", attempt=2, **slow), serial=2)
    service.wait(lambda: service.states[1].state is S.ONLINE_PENDING)
    time.sleep(1.0)
    assert service.states[1].state is S.ONLINE_PENDING
    service.assign(separate(1, switch, "Test Async Menace", attempt=2, want_online=False, **slow), serial=3)
    service.wait_state(1, S.OFFLINE)
    (switch / "R1.slow-start").unlink()
    service.assign(separate(1, switch, "Test Async Menace", attempt=2, **slow), serial=4)
    service.wait_state(1, S.ONLINE)
    assert monitors(agent) == [monitor]
    assert not events(service, 1, 1146)


def test_a_probe_that_outlives_terminate_starts_nothing_any_more(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    every: dict[int, dict[str, Any]] = {1: SHARED, 2: {}}
    service.assign(*(separate(n, switch, **where) for n, where in every.items()))
    for n in every:
        service.wait_state(n, S.ONLINE)
        (switch / f"R{n}.terminate").write_text("nap")
        (switch / f"R{n}.isalive").write_text("raise")
    service.wait(lambda: all(service.states[n].state is S.FAILED for n in every))
    assert all(service.states[n].running for n in every)
    # The next Online follows from the end of a Terminate, which needs no lease
    service.assign(*(separate(n, switch, attempt=2, **where) for n, where in every.items()), serial=2)
    for n in every:
        service.wait_state(n, S.ONLINE)
        (switch / f"R{n}.terminated").unlink()
        (switch / f"R{n}.isalive").write_text("start later")
    for n in every:
        service.wait_state(n, S.FAILED)
    until(lambda: "was terminated: nothing is started" in journal(switch, 1)[-1], 5)
    assert not any("refused" in line for line in journal(switch, 2)), "it was ended before"
    assert not agent.running().keys() & {1, 2}


def test_a_crash_in_maintenance_is_told_and_judged_when_it_is_over(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch))
    service.wait_state(1, S.ONLINE)
    maintained = Assignment(service.incarnation, 1, "GROUP1", 1, 2, (separate(1, switch),), watch_only=True)
    service.send(maintained)
    service.wait(lambda: [g for g in service.group_reports() if g.serial == 2])
    running = agent.running()[1]
    (switch / "R1.isalive").write_text("abort")
    service.wait(lambda: [e for e in service.logs() if "SIGABRT). It is in maintenance" in e.text])
    time.sleep(0.3)  # IsAlive is asked again, and cannot say anything
    assert service.states[1].state is S.ONLINE
    assert agent.running()[1] == running
    service.assign(separate(1, switch), serial=3)
    assert service.wait_state(1, S.FAILED).cause.startswith("IsAlive: its monitor process has ended")
    assert 1 not in agent.running()


def test_a_new_agent_takes_over_by_a_new_monitor_and_the_old_one_ended_with_its_agent(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.grant(LEASE_MS)
    service.assign(separate(1, switch), separate(2, switch, "Test Async Menace", is_alive_ms=60_000))
    for resource in (1, 2):
        service.wait_state(resource, S.ONLINE)
    running = {resource: pids for resource, pids in agent.running().items() if resource}
    old = monitors(agent)
    assert len(old) == 2
    (switch / "R1.isalive").write_text("hang in C")  # it would not see that its agent is gone
    until(lambda: not (switch / "R1.isalive").exists())
    agent.kill()
    until(lambda: not monitors(agent), 2, "they end with their agent")
    assert {resource: pids for resource, pids in agent.running().items() if resource} == running
    before = len(service.heard)
    agent.start()
    rejoined(service, before)
    until(lambda: "adopt" in journal(switch, 1)[-2].split() or "adopt" in journal(switch, 1)[-1].split(), 10)
    until(lambda: len(monitors(agent)) == 2)
    assert not set(monitors(agent)) & set(old)
    assert {resource: pids for resource, pids in agent.running().items() if resource} == running
    assert all(r.state is S.ONLINE for r in service.reports_of(1)[-2:])


def test_a_crash_while_no_agent_was_there_to_see_fails_the_resource_at_adoption(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.grant(LEASE_MS)
    service.assign(separate(1, switch))
    service.wait_state(1, S.ONLINE)
    (switch / "R1.adopt").write_text("abort")
    rejoined(service, restart(agent, service))
    assert "ended with signal 6 (SIGABRT)" in service.wait_state(1, S.FAILED).cause
    assert 1 not in agent.running()


def test_a_lost_lease_ends_everything_even_while_a_monitor_hangs(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.grant(1500)
    service.assign(separate(1, switch, deadlock_timeout_ms=60_000), separate(2, switch))
    for resource in (1, 2):
        service.wait_state(resource, S.ONLINE)
    (switch / "R1.isalive").write_text("hang in C")
    until(lambda: not (switch / "R1.isalive").exists())
    service.answers = service.answers_http = False
    until(lambda: not agent.running().keys() - {marks.NO_RESOURCE}, 5, "the guard waits for nobody")
    until(lambda: not list((agent.home / "resources").glob("*/address")), 5)


def test_a_change_of_the_property_holds_from_the_next_online_on(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch, **SHARED))
    service.wait_state(1, S.ONLINE)
    service.assign(separate(1, switch), serial=2)
    service.wait(lambda: [g for g in service.group_reports() if g.serial == 2])
    assert not monitors(agent)
    service.assign(separate(1, switch, want_online=False), serial=3)
    service.wait_state(1, S.OFFLINE)
    service.assign(separate(1, switch), serial=4)
    service.wait_state(1, S.ONLINE)
    assert len(monitors(agent)) == 1
    service.assign(separate(1, switch, want_online=False, **SHARED), serial=5)
    service.wait_state(1, S.OFFLINE)
    service.assign(separate(1, switch, **SHARED), serial=6)
    service.wait_state(1, S.ONLINE)
    until(lambda: not monitors(agent))


def test_an_agent_that_stops_in_order_takes_it_offline_by_its_monitor(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(separate(1, switch))
    service.wait_state(1, S.ONLINE)
    assert agent.stop() == 0
    assert journal(switch, 1)[-1].startswith("offline in ")
    until(lambda: not agent.running(), 5)


def test_a_type_that_cannot_be_loaded_there_fails_online_and_leaves_nothing_to_terminate(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    # It is removed from the disk while the agent runs
    service.assign(separate(1, switch, "Test Vanished"))
    failed = service.wait_state(1, S.FAILED)
    assert failed.cause == "Online: RuntimeError: it was removed meanwhile"
    assert not events(service, 1, 1146)
