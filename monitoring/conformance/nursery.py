"""Agents of the suite that can be killed: processes that bring a resource online and stay.

All are forked from one process, which has the libraries loaded (`agents`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitoring.conformance.report import Failure
from monitoring.conformance.subject import Subject
from monitoring.node import marks


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that runs."""

    pid: int
    since: int
    """When its resource was online, in clock ticks after boot."""


class Nursery:
    """Starts agents, and kills them as a crash would. Used from one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._pids: set[int] = set()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitoring.conformance.agents"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path},  # the plugin is found as it is here
                start_new_session=True,
            )
        return self._process

    def start(self, home: Path, subject: Subject) -> Agent:
        """An agent whose resource is online; Failure where it is not. Blocking."""
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"home": str(home), "subject": subject.as_message()}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise Failure(
                "a second process could not load the type",
                "importing its module has to work in every process",
            )
        answer = json.loads(line)
        if answer["problem"]:
            raise Failure(
                f"in a process of its own it does not come online: {answer['problem']}",
                "keep nothing in the process that a new one has not",
            )
        self._pids.add(answer["pid"])
        return Agent(answer["pid"], answer["since"])

    def kill(self, agent: Agent) -> None:
        """SIGKILL, and it is gone. Blocking."""
        self._kill(agent.pid)

    def _kill(self, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        try:
            marks.end([pidfd], 0.0, 5.0)
        finally:
            os.close(pidfd)
        self._pids.discard(pid)

    def close(self) -> None:
        for pid in tuple(self._pids):
            with suppress(ProcessLookupError):
                self._kill(pid)
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None
