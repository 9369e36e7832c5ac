"""One supervised process: its own session, its log, its restarts."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clusterweb.run.config import BASE_DIR, StartError
from clusterweb.run.home import Home

LOG_LIMIT = 5_000_000
"""Bytes of a log before it becomes NAME.log.1; one older file is kept."""
FIRST_DELAY = 1.0
AT_ONCE = 0.1
"""The first delay of what others wait for: a node's agent, which has to be back within its lease."""
LONGEST_DELAY = 30.0
STEADY = 10.0
"""Seconds that a process has to live before its next restart waits its first delay again."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """In the new process: a SIGTERM when the supervisor dies, so that nothing is left alone."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process that is started again whenever it ends, until it is stopped.

    `tell` gets one sentence about each death. The log is opened for appending and handed to
    the process itself, not piped: a supervisor that is stopped or gone blocks nobody.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        home: Home,
        tell: Callable[[str], None],
        first_delay: float = FIRST_DELAY,
    ) -> None:
        self.name = name
        self.restarts = 0
        self._argv = list(argv)
        self._env = dict(env)
        self._home = home
        self._tell = tell
        self._first_delay = first_delay
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def log(self) -> Path:
        return self._home.logs / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process else None

    async def start(self) -> None:
        try:
            await self._spawn()
        except OSError as error:
            raise StartError(f"{self.name}: cannot run {self._argv[0]}: {error.strerror}") from None
        self._watch = asyncio.create_task(self._keep_alive(), name=self.name)

    async def _spawn(self) -> None:
        self.cap_log()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                cwd=BASE_DIR,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # safe: the supervisor has one thread
            )
        self._home.note_process(self.name, self._process.pid, argv=self._argv, restarts=self.restarts)

    async def _keep_alive(self) -> None:
        delay = self._first_delay
        while True:
            started = time.monotonic()
            assert self._process is not None
            code = await self._process.wait()
            self._home.forget_process(self.name)
            if self._stopping:
                return
            lived = time.monotonic() - started
            is_new = lived > STEADY or not self.restarts
            delay = self._first_delay if is_new else min(2 * delay, LONGEST_DELAY)
            self._tell(f"{_how_it_ended(code)}; starts again in {delay:g} s (see {self.log})")
            await self._start_again(delay)

    async def _start_again(self, delay: float) -> None:
        """Start it again after `delay` seconds; a machine that cannot now is asked again."""
        while True:
            await asyncio.sleep(delay)
            self.restarts += 1
            try:
                await self._spawn()
                return
            except OSError as error:
                self._tell(f"cannot be started: {error.strerror}; tried again in {delay:g} s")

    async def stop(self, grace: float) -> None:
        """End it: SIGTERM, after `grace` seconds SIGKILL. Returns when it is gone."""
        self._stopping = True
        process, watch = self._process, self._watch
        if process is None or watch is None:
            return
        if process.returncode is None:
            self.send(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), grace)
            except TimeoutError:
                self._tell(f"did not stop within {grace:.0f} s: killed")
                self.send(signal.SIGKILL)
                await process.wait()
        watch.cancel()
        self._home.forget_process(self.name)

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def cap_log(self) -> None:
        """Begin the log anew where it is too long; the process goes on writing to the same file."""
        try:
            if self.log.stat().st_size > LOG_LIMIT:
                shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
                os.truncate(self.log, 0)
        except FileNotFoundError:
            pass

    def last_words(self) -> str:
        """The last line of the log that says something, for the one line of an error."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 4000))
                lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        except OSError:
            return ""
        return next((line for line in reversed(lines) if line), "")


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
