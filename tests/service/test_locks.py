"""Several processes on one database: what one that freezes, dies or loses its session does to the others.

On PostgreSQL, nothing for as long as a lease; on SQLite, one that freezes stops them, as docs/operations.md
says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clusterweb.run.config import BASE_DIR
from tests.cluster import stores

LEASE = 3.0
PROGRAM = Path(__file__).with_name("process.py")


class Process:
    """One process of the product beside others."""

    def __init__(self, env: dict[str, str]) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            cwd=BASE_DIR,
            env={**env, "PYTHONPATH": str(BASE_DIR)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{line}\n")
        self._popen.stdin.flush()

    def heard(self) -> dict[str, Any]:
        assert self._popen.stdout is not None
        return dict(json.loads(self._popen.stdout.readline()))

    def ask(self, line: str) -> dict[str, Any]:
        self.tell(line)
        return self.heard()

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def end(self) -> None:
        self._popen.kill()
        self._popen.communicate()


def made(home: Path, url: str) -> dict[str, str]:
    """The environment of a database with a cluster and a node."""
    hidden = ("DJANGO_SETTINGS_MODULE", "CLUSTERWEB_REDIS_URL", "DATABASE_URL")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    nobody = "redis://127.0.0.1:1/0"
    env |= {"CLUSTERWEB_HOME": str(home), "CLUSTERWEB_REDIS_URL": nobody, "DATABASE_URL": url}
    for words in (("migrate", "-v0"), ("cluster", "init"), ("cluster", "add-node", "NODE1")):
        manage = [sys.executable, "manage.py", *words]
        subprocess.run(manage, cwd=BASE_DIR, env=env, check=True, capture_output=True)
    return env


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with stores.postgresql() as url:
        env = made(tmp_path_factory.mktemp("home"), url)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE monitoring_node SET state = 0, incarnation = 1")
        yield env


@contextmanager
def two(env: dict[str, str]) -> Iterator[tuple[Process, Process]]:
    with ExitStack() as stack:
        both = Process(env), Process(env)
        for process in both:
            stack.callback(process.end)
        for process in both:
            process.ask("lock")  # it is connected
        yield both


@pytest.fixture
def processes(env: dict[str, str]) -> Iterator[tuple[Process, Process]]:
    """Two processes on PostgreSQL that have a session each."""
    with two(env) as both:
        yield both


@pytest.mark.parametrize("what", ["lock", "beat"])
def test_one_that_freezes_with_the_lock_in_hand_stops_the_others_for_less_than_a_lease(
    processes: tuple[Process, Process], what: str
) -> None:
    frozen, other = processes
    assert frozen.ask("hold") == {"holds": True}
    frozen.send(signal.SIGSTOP)
    waited = other.ask(what)["seconds"]
    assert 0.5 < waited < LEASE * 2 / 3, "it waited for the lock, and got it in time"
    frozen.send(signal.SIGCONT)
    assert frozen.ask("commit")["undone"], "on waking it finds that nothing of what it did counts"
    assert frozen.ask("lock")["seconds"] < 1, "and goes on"


def test_one_that_is_killed_with_the_lock_in_hand_stops_nobody(processes: tuple[Process, Process]) -> None:
    killed, other = processes
    killed.ask("hold")
    killed.send(signal.SIGKILL)
    assert other.ask("lock")["seconds"] < 1


def test_an_intent_is_accepted_once_by_one_whose_session_was_ended(
    env: dict[str, str], processes: tuple[Process, Process]
) -> None:
    process = processes[0]
    session = process.ask("session")["pid"]
    with psycopg.connect(env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [session])
    assert process.ask("pause") == {"state": "done", "operations": 1}


def test_what_is_scheduled_is_run_once_by_two_workers_one_of_which_is_killed_on_the_way(
    env: dict[str, str], processes: tuple[Process, Process]
) -> None:
    killed, other = processes
    begun = ["Maintenance of the cluster", "accepted", "maintenance"]
    killed.ask("plan maintenance")
    assert killed.ask("run_held") == {"ran": 1}, "it has run it, and has not committed that yet"
    killed.send(signal.SIGKILL)
    assert other.ask("run") == {"runs": [begun], "operations": 1}
    other.ask("plan end-maintenance")
    with two(env) as both:
        for process in both:
            process.tell("run")  # both at once
        ended = ["End maintenance of the cluster", "accepted", "end-maintenance"]
        for process in both:
            process.heard()
        assert other.ask("run") == {"runs": [begun, ended], "operations": 2}


def test_on_sqlite_one_that_freezes_stops_the_others_until_it_is_killed_and_then_counts_for_nothing(
    tmp_path: Path,
) -> None:
    with two(made(tmp_path, "")) as (frozen, other):
        frozen.ask("hold")
        frozen.send(signal.SIGSTOP)
        other.tell("beat")
        time.sleep(LEASE)
        frozen.send(signal.SIGKILL)
        assert LEASE * 0.9 < other.heard()["seconds"] < LEASE * 2
        assert other.ask("reports") == {"reports": 0}
