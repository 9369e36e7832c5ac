"""The agent's side of the warm parent: starts it, asks it for services, hears how they ended."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from monitoring.node import marks
from monitoring.node.processes import Child, Processes, inherited, open_log
from monitoring.node.warm import MESSAGE_LIMIT

ANSWER_LIMIT = 15.0
"""Seconds for a fork, including the import of modules that were not preloaded."""


class ServiceError(RuntimeError):
    """A service could not be started; the text says why."""


class Services:
    """Forks Python services from the warm parent, which is started once, and again where it has died."""

    def __init__(
        self, home: Path, processes: Processes, loop: asyncio.AbstractEventLoop, preload: Sequence[str]
    ) -> None:
        self._home = home
        self._processes = processes
        self._loop = loop
        self._preload = preload
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._parent: subprocess.Popen[bytes] | None = None
        self._answers: dict[int, Future[tuple[int, int]]] = {}
        self._forked: dict[int, Child] = {}
        self._ended_early: dict[int, int] = {}
        self._last_id = 0

    @property
    def preloads_anything(self) -> bool:
        return bool(self._preload)

    def start(self) -> None:
        """Start the warm parent ahead of the first service."""
        with self._lock:
            self._connect()

    def spawn(
        self,
        resource: int,
        target: str,
        kwargs: Mapping[str, Any],
        *,
        log: Path,
        watch: bool,
    ) -> Child:
        """Fork a service and return its process. From any thread; blocks for the fork, a few milliseconds."""
        open_log(log).close()
        self._processes.expect_start(resource)
        answer: Future[tuple[int, int]] = Future()
        with self._lock:
            connection = self._connect()
            self._last_id += 1
            number = self._last_id
            self._answers[number] = answer
            request = {
                "id": number,
                "resource": resource,
                "target": target,
                "kwargs": dict(kwargs),
                "log": str(log),
            }
            try:
                connection.send(json.dumps(request).encode())
            except OSError as error:
                del self._answers[number]
                raise ServiceError(f"the warm parent does not take {target}: {error}") from error
        try:
            pid, pidfd = answer.result(ANSWER_LIMIT)
        except TimeoutError:
            raise ServiceError(f"{target} was not started within {ANSWER_LIMIT:g} s") from None
        child = self._processes.adopt(resource, pid, pidfd, watch)
        with self._lock:
            early = self._ended_early.pop(pid, None)
            if early is None:
                self._forked[pid] = child
        if early is not None:
            self._loop.call_soon_threadsafe(self._processes.told, child, early)
        return child

    def _connect(self) -> socket.socket:
        """The socket to a living parent. Holds the lock."""
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, open_log(self._home / "warm.log") as log:
                self._parent = subprocess.Popen(
                    [sys.executable, "-m", "monitoring.node.warm", *self._preload],
                    env={**inherited(), **marks.environment(str(self._home), marks.NO_RESOURCE)},
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._socket = ours
            threading.Thread(target=self._listen, args=(ours,), name="warm", daemon=True).start()
        return self._socket

    def _listen(self, connection: socket.socket) -> None:
        """On a thread of its own: answers and ends, until the parent hangs up."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(connection, MESSAGE_LIMIT, 1)
            except OSError:
                break
            if not data:
                break
            self._heard(json.loads(data), fds)
        self._lost(connection)

    def _heard(self, message: dict[str, Any], fds: list[int]) -> None:
        if "returncode" in message:
            with self._lock:
                child = self._forked.pop(message["pid"], None)
                if child is None:
                    self._ended_early[message["pid"]] = message["returncode"]
            if child is not None:
                self._loop.call_soon_threadsafe(self._processes.told, child, message["returncode"])
            return
        with self._lock:
            answer = self._answers.pop(message["id"], None)
        if answer is None:
            for fd in fds:
                os.close(fd)
        elif "error" in message:
            answer.set_exception(ServiceError(message["error"]))
        else:
            answer.set_result((message["pid"], fds[0]))

    def _lost(self, connection: socket.socket) -> None:
        """The parent is gone: its services live on, the next request starts a new one."""
        with self._lock:
            connection.close()
            if self._socket is connection:
                self._socket = None
            waiting, self._answers = list(self._answers.values()), {}
            self._forked.clear()
            self._ended_early.clear()
            parent = self._parent
        for answer in waiting:
            answer.set_exception(ServiceError("the warm parent ended"))
        if parent is not None:
            parent.wait()

    def stop(self) -> None:
        """Let the parent go; services that still run are not touched."""
        with self._lock:
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
