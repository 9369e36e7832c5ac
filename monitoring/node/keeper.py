"""The agent's side of the guard: starts it, sends it each new end of the lease, replaces it if it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

from monitoring.node.guard import MESSAGE, NOTHING_HELD
from monitoring.node.processes import inherited, open_log

logger = logging.getLogger(__name__)

PATIENCE = 0.6
"""Part of the margin that the agent has, past its lease, to end its resources, before it is killed."""
RESTART_EVERY = 1.0
"""Seconds between two starts of a guard that keeps dying, at least."""


class GuardKeeper:
    """Keeps one guard running. All methods are called on the loop."""

    def __init__(self, home: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._home = home
        self._loop = loop
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._started_at = 0.0
        self._lease = NOTHING_HELD

    def start(self) -> None:
        """Start a guard; where the machine cannot now, try again and say so."""
        self._started_at = self._loop.time()
        try:
            self._start()
        except OSError as error:
            logger.error("the guard could not be started, it is tried again: %s", error)
            self._process = None
            self._loop.call_later(RESTART_EVERY, self.start)

    def _start(self) -> None:
        with open_log(self._home / "guard.log") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-m", "monitoring.node.guard", str(self._home), str(os.getpid())],
                env={**inherited(), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._died)
        self._tell()

    def renew(self, ends: float, margin: float) -> None:
        """The lease ends at `ends`, seconds of the boot clock; others may start `margin` seconds later."""
        self._lease = (int(ends * 1e9), int(margin * PATIENCE * 1e9))
        self._tell()

    def nothing_held(self) -> None:
        """The lease is over, and nothing runs any more."""
        self._lease = NOTHING_HELD
        self._tell()

    def _tell(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            os.write(self._process.stdin.fileno(), MESSAGE.pack(*self._lease))
        except BlockingIOError:
            logger.error("the guard does not read: it is replaced")
            self._process.kill()
        except BrokenPipeError:
            pass  # it has died, and will be replaced

    def _died(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        logger.error("the guard ended with %s: a new one is started", self._process.wait())
        self._process.stdin.close()
        self._process = None
        self._loop.call_at(max(self._loop.time(), self._started_at + RESTART_EVERY), self.start)
