"""Runs the system's programs (mount, fsck, exportfs, …), none of them for longer than wanted.

A program that hangs in the kernel cannot be killed at once: it is given up, not waited for.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from monitoring.resource_dlls.api import Context, ResourceError

ENVIRONMENT = {"LC_ALL": "C", "LANG": "C"}
SETTLE_S = 2.0
"""How long the monitor may take to tell the exit code of a program that has ended."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    code: int
    output: str

    def line_with(self, word: str) -> str:
        """The first line that has the word in it; empty where none has."""
        return next((line.strip() for line in self.output.splitlines() if word in line), "")

    @property
    def last_line(self) -> str:
        """What it said last, which is commonly why it failed."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip() and "dmesg(1)" not in line]
        return lines[-1] if lines else f"exit code {self.code}"


def path_of(program: str) -> str:
    """The full path of a program, in the folders of root's as well; ResourceError where it is missing."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise ResourceError(f"the program {program} is not installed on this node")
    return found


def run(
    argv: Sequence[str],
    seconds: float,
    given: str = "",
    waiting: Callable[[float], None] | None = None,
) -> Done:
    """Run a short program to its end; ResourceError where it takes longer than `seconds`.

    `given` is what it reads: what must not be seen in a list of processes. `waiting` is called
    every second with the seconds gone by.
    """
    process = subprocess.Popen(
        [path_of(argv[0]), *argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | ENVIRONMENT,
    )
    begun = time.monotonic()
    while True:
        left = begun + seconds - time.monotonic()
        try:
            output, _ = process.communicate(given, timeout=min(left, 1.0) if waiting else left)
            return Done(process.returncode, output)
        except subprocess.TimeoutExpired:
            if waiting is None or left <= 1.0:
                process.kill()
                raise ResourceError(f"`{' '.join(argv)}` did not return within {seconds:g} s") from None
        try:
            waiting(time.monotonic() - begun)
        except BaseException:
            process.kill()
            raise


def run_for(
    context: Context,
    argv: Sequence[str],
    seconds: float | None = None,
    waiting: Callable[[float], None] | None = None,
) -> Done:
    """Run a program that belongs to the resource: it ends with it, whoever takes it down.

    `waiting` is called every second with the seconds gone by. Past `seconds` it is ended.
    """
    output = context.state_dir / "program.out"
    context.state_dir.mkdir(parents=True, exist_ok=True)
    script = 'exec "$@" >"$0" 2>&1'
    process = context.spawn(
        ["/bin/sh", "-c", script, str(output), path_of(argv[0]), *argv[1:]], env=ENVIRONMENT, watch=False
    )
    begun = time.monotonic()
    while not _ended(process.pid, 1.0) and process.returncode is None:
        gone = time.monotonic() - begun
        if seconds is not None and gone > seconds:
            with suppress(ProcessLookupError):
                os.kill(process.pid, 9)
            raise ResourceError(f"`{' '.join(argv)}` did not return within {seconds:g} s")
        if waiting is not None:
            waiting(gone)
    deadline = time.monotonic() + SETTLE_S
    while process.returncode is None and time.monotonic() < deadline:
        time.sleep(0.002)
    code = process.returncode
    if code is None:
        raise ResourceError(f"`{' '.join(argv)}` ended, and nobody knows how")
    return Done(code, output.read_text(encoding="utf-8", errors="replace"))


def _ended(pid: int, seconds: float) -> bool:
    """Wait that long for the end of a process; True where it is over."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        return bool(waiting.poll(seconds * 1000))
    finally:
        os.close(fd)
