"""The folder of the agent's state: one agent a home, and a number that grows with each of its lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

POLL = 0.05
APART = 10**12
"""Distance of two lives where the wall clock was set back: a life counts on from its own number,
by no more than one a microsecond."""


class HomeBusyError(RuntimeError):
    """Another agent, or the guard of an earlier one, holds the home."""


class Home:
    """The node's home. The lock is held until the process ends, and by no child of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def lock(self, seconds: float) -> None:
        """Become the one agent of this home; HomeBusyError where another stays for `seconds`."""
        if _locked(self.path / "agent.lock", seconds) is None:
            raise HomeBusyError(f"another agent runs with {self.path}; it holds {self.path / 'agent.lock'}")

    def await_old_guard(self, seconds: float) -> None:
        """Wait until the guard of an earlier agent has done its work; HomeBusyError where it does not end."""
        lock = _locked(self.path / "guard.lock", seconds)
        if lock is None:
            raise HomeBusyError(
                f"the guard of an earlier agent holds {self.path / 'guard.lock'} and does not end"
            )
        os.close(lock)

    def next_incarnation(self) -> int:
        """A number greater than in any life before; written down before it is returned."""
        path = self.path / "incarnation"
        try:
            earlier = int(path.read_text())
        except (FileNotFoundError, ValueError):
            earlier = 0
        number = max(earlier + APART, time.time_ns())
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            file.write(str(number))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        return number


def _locked(path: Path, seconds: float) -> int | None:
    """An open file with an exclusive lock, None where it cannot be had in time."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                return None
            time.sleep(POLL)
