"""Running a foreign program for a bounded time, so that nothing of it stays.

It gets a bare environment, for that of the cluster service holds passwords; what it prints is
kept up to a limit. When its time is over it is killed with all its descendants, which are found
by a mark in their environment whatever session they moved to.
"""

from __future__ import annotations

import os
import re
import secrets as random_bytes
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KEPT = 65_536
"""Bytes of a program's output that are kept."""
WORDS = 300
MARK = "CLUSTERWEB_FENCE_ACT"
HIDDEN = "•••"
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ )?((ERROR|WARNING|CRITICAL|INFO):(root:)? ?)?")
"""What Python's logging puts before a line."""
_NOISE = re.compile(r"^Please use '-h' for usage|DeprecationWarning|^(from|import) ")
"""Lines that tell an operator nothing: hints at the agent's own help, warnings about its code."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `output` is what it printed, without secrets."""

    code: int
    output: str
    errors: str
    timed_out: bool = False

    @property
    def last_words(self) -> str:
        """The last lines that it printed, errors first, without what only its log needs; shortened."""
        lines = [_STAMP.sub("", line).strip() for line in (self.errors or self.output).splitlines()]
        said = [line for line in lines if line and not _NOISE.search(line)]
        return " ".join(said[-3:])[-WORDS:]


def run(argv: Sequence[str], given: str, seconds: float, secrets: Sequence[str] = ()) -> Ended:
    """Run `argv` with `given` on its standard input, for `seconds` at most. OSError counts as a failure."""
    mark = random_bytes.token_hex(16)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": _home(), MARK: mark}
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=errors,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return Ended(127, "", str(error))
        timed_out = False
        try:
            process.communicate(given.encode(), timeout=max(0.1, seconds))
        except subprocess.TimeoutExpired:
            timed_out = True
        except BrokenPipeError:  # it did not read all; its exit code tells
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, seconds))
            timed_out = process.poll() is None
        end_all(process, mark)
        texts = []
        for stream in (said, errors):
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - KEPT))
            texts.append(_without(secrets, stream.read().decode(errors="replace")))
    return Ended(process.returncode, texts[0], texts[1], timed_out)


def _home() -> str:
    """The home of the account, where its ssh settings are."""
    return os.environ.get("HOME", "/")


def _without(secrets: Sequence[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def end_all(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill the program, its session, and whatever of it has gone to another one."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(100):  # until they are gone; a child that was just being forked is seen the next time
        found = marked(mark)
        if not found:
            break
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def marked(mark: str) -> list[int]:
    """Processes that carry the mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  (thousands of entries)
        if entry.isdigit():
            with suppress(OSError):
                if wanted in Path(f"/proc/{entry}/environ").read_bytes():
                    found.append(int(entry))
    return found
