"""Files that several nodes read and write on shared storage: whole or not at all.

Locks are flock(2), which NFS (version 4) carries to the server and which the kernel drops
when the holder dies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

_BUSY = (errno.EAGAIN, errno.EACCES)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that every reader, and a power cut, finds the old text or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def try_lock(path: Path, mode: int = fcntl.LOCK_EX) -> int | None:
    """A descriptor that holds the lock, or None where another has it. Give it back by `unlock`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _BUSY:
            return None
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Give a lock back at once: a process being forked this moment may hold a copy of the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, mode: int = fcntl.LOCK_EX, timeout: float = 5.0) -> Iterator[None]:
    """Hold the lock; TimeoutError after `timeout` seconds of waiting for its holder."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while (descriptor := try_lock(path, mode)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is locked by another for more than {timeout:g} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    try:
        yield
    finally:
        unlock(descriptor)
