"""Processes are found by their marks, whatever they did to hide."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.node import marks
from tests.node.harness import until


@pytest.fixture
def home(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    assert marks.end_marked(str(tmp_path))


def start(home: str, resource: int, script: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, **marks.environment(home, resource)}
    return subprocess.Popen(["sh", "-c", script], env=environ, start_new_session=True)


def test_a_daemon_whose_parent_is_gone_is_found_and_ended(home: str) -> None:
    start(home, 7, "(setsid sleep 1000 &)").wait()
    found = until(lambda: marks.scan(home), 5)
    assert {m.resource for m in found} == {7}
    assert marks.end_marked(home)
    assert marks.scan(home) == []


def test_a_child_without_the_mark_is_found_through_its_parent(home: str) -> None:
    start(home, 7, "env -i sleep 1000 & wait")
    until(lambda: len(marks.scan(home)) == 2, 5, "the shell, and the sleep with an empty environment")


def test_another_home_whose_name_begins_the_same_is_not_touched(home: str) -> None:
    start(home + "-2", 7, "exec sleep 1000")
    until(lambda: marks.scan(home + "-2"), 5)
    assert marks.scan(home) == []
    assert marks.end_marked(home + "-2")


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(home: str) -> None:
    process = start(home, 7, "trap '' TERM; sleep 1000 & wait; wait")
    until(lambda: len(marks.scan(home)) == 2, 5)
    fds = [fd for m in marks.scan(home) if (fd := m.open()) is not None]
    assert marks.end(fds, 0.2, 5.0)
    assert process.wait() == -9
    for fd in fds:
        os.close(fd)


def test_a_process_is_found_the_moment_it_has_started(home: str) -> None:
    for _ in range(200):
        process = start(home, 7, "exec sleep 1000")
        assert [m.pid for m in marks.scan(home)] == [process.pid]
        process.kill()
        process.wait()


def test_a_process_that_wiped_its_environment_is_found_by_its_note(home: str) -> None:
    process = start(home, 7, "exec env -i sleep 1000")
    until(lambda: marks.scan(home) == [], 5, "without a note it would be lost")
    note = marks.note(home, process.pid, marks.ticks(process.pid), 7)
    assert [(m.pid, m.resource) for m in marks.scan(home)] == [(process.pid, 7)]
    assert marks.end_marked(home)
    assert process.wait() == -9
    assert os.path.exists(note)
    marks.strike_dead(home)
    assert not os.path.exists(note)


def test_a_note_of_an_earlier_process_of_the_same_number_means_nobody(home: str) -> None:
    process = start("elsewhere", 7, "exec sleep 1000")
    marks.note(home, process.pid, marks.ticks(process.pid) - 1, 7)
    assert marks.scan(home) == []
    process.kill()
    process.wait()
