"""Control groups find and end what wiped its marks: for the agent, its guard and the next agent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from monitoring.core.states import ResourceState as S
from monitoring.node import cgroups, marks
from monitoring.node.processes import Child, Processes, entered
from monitoring.node.record import Record
from tests.node.harness import AgentProcess, FakeService, spec, until
from tests.node.restarts import LEASE_MS

RUN_AWAY = """
import os, sys, time
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
os.execve("/bin/sh", ["/bin/sh", "-c", "sleep 1000; :"], {})
"""
"""A daemon that leaves its parent and its session, and has an empty environment."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    if not cgroups.choose(str(tmp_path)):
        pytest.skip("needs cgroup v2 and the right to make groups (root)")
    yield tmp_path
    assert marks.end_marked(str(tmp_path))
    assert cgroups.noted(str(tmp_path)) == "", "nothing of the groups is left"


@pytest.fixture
def processes(home: Path) -> Iterator[Processes]:
    loop = asyncio.new_event_loop()

    def ended(child: Child) -> None: ...

    yield Processes(home, loop, Record(None, "NODE1"), ended)
    loop.close()


@pytest.fixture
def runaway(tmp_path: Path) -> Path:
    path = tmp_path / "runaway.py"
    path.write_text(RUN_AWAY)
    return path


def start(processes: Processes, home: Path, *argv: str, resource: int = 7) -> Child:
    return processes.spawn(resource, argv, cwd=None, env=None, log=home / "output.log", watch=False)


def _program(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def run_away(processes: Processes, home: Path, runaway: Path, resource: int = 7) -> list[int]:
    """Start the daemon; the pids of what is left of it once its parents are gone."""
    start(processes, home, sys.executable, "-S", str(runaway), resource=resource)

    def alone() -> list[int]:
        left = [pid for of, pid in cgroups.members(cgroups.noted(str(home))) if of == resource]
        return left if sorted(map(_program, left)) == ["sh", "sleep"] else []

    found: list[int] = until(alone, 10, "the shell and its sleep")
    return found


def test_a_daemon_that_wiped_its_environment_is_found_and_ended(
    processes: Processes, home: Path, runaway: Path
) -> None:
    pids = run_away(processes, home, runaway)
    assert all(os.readlink(f"/proc/{pid}/exe") for pid in pids)
    assert b"CLUSTERWEB" not in Path(f"/proc/{pids[0]}/environ").read_bytes()
    assert processes.pids(7) == sorted(pids)
    assert processes.kill(7)
    assert is_gone(pids)
    assert cgroups.resources(cgroups.noted(str(home))) == [], "its empty group is removed"


def test_what_others_run_is_left_alone(processes: Processes, home: Path, runaway: Path) -> None:
    run_away(processes, home, runaway, resource=7)
    others = run_away(processes, home, runaway, resource=8)
    assert processes.kill(7)
    assert processes.pids(8) == sorted(others)
    assert marks.end_marked(str(home), spared=(8,))
    assert processes.pids(8) == sorted(others)


def test_a_group_that_forks_faster_than_it_is_looked_at_is_ended(processes: Processes, home: Path) -> None:
    start(processes, home, "sh", "-c", "while :; do (env -i setsid sleep 0.3 &) ; sleep 0.001; done")
    until(lambda: len(processes.pids(7)) > 5, 10)
    assert processes.kill(7)
    assert processes.pids(7) == []


def test_groups_that_a_resource_made_of_its_own_end_with_it(processes: Processes, home: Path) -> None:
    script = 'own=/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)'
    script += '; [ -d "$own" ] || own=/sys/fs/cgroup/unified$(sed -n "s/^0:://p" /proc/self/cgroup)'
    script += '; mkdir "$own/inner"; echo 0 > "$own/inner/cgroup.procs"; exec env -i sleep 1000'
    child = start(processes, home, "sh", "-c", script)
    inner = Path(cgroups.noted(str(home)), "r-7", "inner", "cgroup.procs")
    until(lambda: inner.exists() and inner.read_text().split() == [str(child.pid)], 5)
    assert processes.pids(7) == [child.pid]
    assert processes.kill(7)
    assert cgroups.resources(cgroups.noted(str(home))) == []


def test_sigterm_comes_first_for_daemons_too(processes: Processes, home: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"trap 'echo bye > {said}; exit' TERM; echo > {tmp_path}/up; while :; do sleep 0.05; done"
    start(processes, home, "sh", "-c", f'env -i setsid sh -c "{script}" & sleep 0.1')
    until(lambda: (tmp_path / "up").exists(), 5)
    until(lambda: len(processes.pids(7)) <= 2, 5)
    assert processes.kill(7, grace=5.0)
    assert said.read_text() == "bye\n"


def test_an_agent_that_may_make_no_groups_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "MOUNTS", (str(tmp_path),))
    loop = asyncio.new_event_loop()
    processes = Processes(tmp_path, loop, Record(None, "NODE1"), lambda child: None)
    child = start(processes, tmp_path, "sleep", "1000")
    assert processes.pids(7) == [child.pid]
    assert processes.kill(7)
    assert not (tmp_path / cgroups.NOTE).exists()
    loop.close()


def test_a_program_that_is_not_there_is_told_as_ever(
    processes: Processes, home: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for argv, error in (
        (["no-such-program"], FileNotFoundError),
        ([f"{tmp_path}/none"], FileNotFoundError),
        ([str(plain)], PermissionError),
    ):
        with pytest.raises(error, match=argv[0]):
            start(processes, home, *argv)
        with pytest.raises(error):
            subprocess.run(argv, check=False)


def test_words_reach_the_program_as_they_are(tmp_path: Path) -> None:
    entry = tmp_path / "cgroup.procs"
    words = ["printf", "[%s]", "a b", "$HOME", "'", "", "-x", "\n"]
    argv = entered(str(entry), words, {"PATH": os.environ["PATH"]}, None)
    assert argv[0] == "/bin/sh"
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b"[a b][$HOME]['][][-x][\n]"
    assert entry.read_text() == "0\n", "it entered before it became the program"


def bring_online(service: FakeService, runaway: Path) -> None:
    command = f"sh -c '{sys.executable} -S {runaway}; exec sleep 1000'"
    properties = {"CommandLine": command, "CurrentDirectory": "/", "GracePeriod": 0}
    service.assign(spec(1, "Generic Application", properties=properties))
    service.wait_state(1, S.ONLINE)


def escaped(agent: AgentProcess) -> list[int]:
    """What runs, and has no mark, once all of it is there."""

    def found() -> list[int]:
        pids = agent.running().get(1, [])
        return [pid for pid in pids if _is_unmarked(pid)] if len(pids) == 3 else []

    pids: list[int] = until(found, 10, "the sleep of the command, and the two of the daemon")
    assert len(pids) == 2
    return pids


def _is_unmarked(pid: int) -> bool:
    try:
        return marks.OWNER.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def is_gone(pids: list[int]) -> bool:
    """Dead, though its parent may not have noticed."""
    return not any(marks.ticks(pid) for pid in pids)


def test_an_agent_ends_a_daemon_without_marks_when_its_resource_fails(
    agent: AgentProcess, service: FakeService, runaway: Path, home: Path
) -> None:
    bring_online(service, runaway)
    pids = escaped(agent)
    (marked,) = set(agent.running()[1]) - set(pids)
    os.kill(marked, signal.SIGKILL)
    service.wait_state(1, S.FAILED)
    assert is_gone(pids)
    until(lambda: cgroups.noted(str(agent.home)) == "", 5, "empty groups are removed")


def test_services_are_in_their_control_group_too(
    agent: AgentProcess, service: FakeService, switch: Path, home: Path
) -> None:
    service.assign(spec(2, "Test Service", switch))
    service.wait_state(2, S.ONLINE)
    (pid,) = agent.running()[2]
    until(lambda: (2, pid) in cgroups.members(cgroups.noted(str(agent.home))), 5)
    service.assign(spec(2, "Test Service", switch, want_online=False), serial=2)
    service.wait_state(2, S.OFFLINE)
    until(lambda: cgroups.noted(str(agent.home)) == "", 5)


def test_the_guard_ends_a_daemon_without_marks_when_the_lease_is_over(
    agent: AgentProcess, service: FakeService, runaway: Path, home: Path
) -> None:
    bring_online(service, runaway)
    pids = escaped(agent)
    agent.kill()
    until(lambda: is_gone(pids), 10, "the lease is a second and a half")
    until(lambda: agent.guard() is None, 5)
    assert cgroups.noted(str(agent.home)) == ""


def test_the_next_agent_goes_on_with_a_daemon_without_marks_and_ends_it(
    agent: AgentProcess, service: FakeService, runaway: Path, home: Path
) -> None:
    service.grant(LEASE_MS)
    bring_online(service, runaway)
    pids = escaped(agent)
    agent.kill()
    before = len(service.heard)
    agent.start()
    service.wait(lambda: len(service.heard) > before + 5, 15, "heartbeats of the new agent")
    service.wait_state(1, S.ONLINE)
    assert not is_gone(pids)
    properties = {"CommandLine": "true", "CurrentDirectory": "/", "GracePeriod": 0}
    service.assign(spec(1, "Generic Application", properties=properties, want_online=False), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert is_gone(pids)


def test_an_agent_that_begins_anew_ends_a_daemon_without_marks_that_no_guard_ended(
    agent: AgentProcess,
    service: FakeService,
    runaway: Path,
    home: Path,
    start_agent: Callable[..., AgentProcess],
) -> None:
    bring_online(service, runaway)
    pids = escaped(agent)
    guard = agent.guard()
    assert guard is not None
    os.kill(guard, signal.SIGKILL)
    agent.kill()
    before = len(service.heard)
    agent.start()
    service.wait(lambda: len(service.heard) > before, 15, "the first heartbeat of the new life")
    assert is_gone(pids), "before anybody hears of the new life"
