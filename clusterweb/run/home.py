"""The home: one folder with all state of a cluster, used by one supervisor at a time."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

from clusterweb.run.config import StartError


class Home:
    """The folders and small files of a home. Made by the first start, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.pids = path / "run"
        self.nodes = path / "nodes"
        self.names = path / "names"
        self.broker_url = path / "broker-url"
        self._lock: int | None = None

    def acquire(self) -> None:
        """Make the folders and take the lock, or raise StartError.

        The kernel drops the lock with the process that held it: a lock file that a dead
        supervisor left behind stands in nobody's way.
        """
        try:
            for folder in (self.path, self.logs, self.pids, self.nodes):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"CLUSTERWEB_HOME: cannot use {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(lock, 20).decode().strip()
            os.close(lock)
            raise StartError(
                f"ClusterWeb runs in {self.path} already (process {pid}); "
                "another copy needs a CLUSTERWEB_HOME and a CLUSTERWEB_PORT of its own"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock

    def secret(self, name: str) -> str:
        """A random secret that is kept in the home, made at its first use."""
        path = self.path / name
        if not path.exists():
            self.write(path, secrets.token_urlsafe(32))
        return path.read_text()

    def write(self, path: Path, text: str) -> None:
        """Put `text` into a private file, whole or not at all."""
        fresh = path.with_name(f"{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        fresh.replace(path)

    def note_process(self, name: str, pid: int, **facts: Any) -> None:
        """Record a running process, for operators, tests and the next start."""
        self.write(self.pids / f"{name}.pid", json.dumps({"pid": pid, **facts}) + "\n")

    def forget_process(self, name: str) -> None:
        (self.pids / f"{name}.pid").unlink(missing_ok=True)

    def local_nodes(self) -> list[str]:
        """Names of the nodes whose agents run on this machine: each has a folder with its key."""
        return sorted(key.parent.name for key in self.nodes.glob("*/key"))
