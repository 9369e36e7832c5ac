"""One copy of the product in real processes, started as an operator starts it.

Knows processes only, so that benchmarks can use it before they set Django up.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clusterweb.run import leftovers
from clusterweb.run.config import BASE_DIR
from monitoring.node import marks

START_WITHIN = 120.0
STOP_WITHIN = 90.0
LOOK_EVERY = 0.05


def wait_until(condition: Callable[[], Any], timeout: float, what: str, every: float = LOOK_EVERY) -> Any:
    """Return the first true value of `condition`; AssertionError saying `what` did not happen in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(every)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Installation:
    """A home and a port, and the processes that serve them."""

    def __init__(self, home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.home = home
        self.python = sys.executable
        """The interpreter of the environment that it is installed in."""
        self.settings = dict(settings)
        """Further environment variables that its operator has set."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output: list[str] = []
        self.passwords: dict[str, str] = {}
        """The first passwords by user, as the first start printed them."""
        self._supervisor: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    # Life

    @property
    def env(self) -> dict[str, str]:
        hidden = ("DJANGO_SETTINGS_MODULE", "CLUSTERWEB_REDIS_URL", "DATABASE_URL")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        own = {"CLUSTERWEB_HOME": str(self.home), "CLUSTERWEB_PORT": str(self.port)}
        return {**kept, **own, **self.settings}

    def start(self) -> float:
        """Start it and wait until all groups have come up. Returns the seconds that took."""
        began = time.monotonic()
        self.output.clear()
        self._supervisor = subprocess.Popen(
            [self.python, "-m", "clusterweb.run"],
            cwd=BASE_DIR,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._supervisor,), daemon=True)
        self._reader.start()
        wait_until(self._is_up, START_WITHIN, f"the cluster starts:\n{''.join(self.output)}")
        return time.monotonic() - began

    def _read(self, supervisor: subprocess.Popen[str]) -> None:
        assert supervisor.stdout is not None
        for line in supervisor.stdout:
            self.output.append(line)
            words = line.split()
            if len(words) == 4 and words[2] == "password":
                self.passwords[words[1]] = words[3]

    def _is_up(self) -> bool:
        assert self._supervisor is not None
        if self._supervisor.poll() is not None:
            raise AssertionError(f"the supervisor ended:\n{''.join(self.output)}")
        return any("Ctrl-C stops everything" in line for line in self.output)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does; returns the exit code."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            return 0
        self._supervisor.send_signal(number)
        code = self._supervisor.wait(STOP_WITHIN)
        if self._reader:
            self._reader.join(5)
        return code

    def left_running(self) -> dict[int, str]:
        """Processes that belong to this home (pid: command)."""
        return leftovers.find(self.home)

    # Processes

    def pid(self, name: str) -> int:
        """Process id of `web`, `service`, `broker` or `agent-NODE1`."""
        noted = json.loads((self.home / "run" / f"{name}.pid").read_text())
        return int(noted["pid"])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_restarted(self, name: str, old: int, timeout: float = 20.0) -> int:
        """Wait until the supervisor has started `name` anew; returns its process id."""

        def new_pid() -> int:
            try:
                pid = self.pid(name)
            except FileNotFoundError:
                return 0
            return pid if pid != old else 0

        return int(wait_until(new_pid, timeout, f"{name} is started again"))

    def node_processes(self, node: str) -> dict[int, int]:
        """What runs for a node's resources (pid: resource id), the agent's own helpers left out."""
        found = marks.scan(str(self.home / "nodes" / node))
        return {each.pid: each.resource for each in found if each.resource != marks.NO_RESOURCE}

    @contextmanager
    def kept_down(self, node: str) -> Iterator[int]:
        """A node's agent killed, and none that can take its place within the block."""
        old = self.kill(f"agent-{node}")
        with (self.home / "nodes" / node / "agent.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # each agent that the supervisor starts waits for it
            yield old

    @contextmanager
    def stopped(self, name: str) -> Iterator[int]:
        """A process frozen by SIGSTOP within the block, where nobody ends it meanwhile."""
        pid = self.kill(name, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
