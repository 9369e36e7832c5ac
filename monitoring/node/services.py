"""The agent's side of the warm parent: starts it, asks it for services, hears how they ended."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
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

logger = logging.getLogger(__name__)

ANSWER_LIMIT = 15.0
"""Seconds for a fork, including the import of modules that were not preloaded."""
ANSWER_LIMIT_ON_LOOP = 0.5
"""The same where the monitor's loop waits, and with it all other resources."""


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
        self._ready = threading.Event()

    def start(self) -> None:
        """Start the warm parent ahead of the first service, where there is something to load."""
        if self._preload:
            with self._lock:
                self._connect()

    @property
    def is_ready(self) -> bool:
        """The warm parent has loaded its libraries."""
        return self._ready.is_set()

    def await_ready(self, seconds: float) -> None:
        """Wait until what `start` began is done."""
        if self._preload and not self._ready.wait(seconds):
            logger.warning("the warm parent is not ready after %g s", seconds)

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
        limit = ANSWER_LIMIT_ON_LOOP if _on_a_loop() else ANSWER_LIMIT
        try:
            pid, pidfd = answer.result(limit)
        except TimeoutError:
            self._give_up(number)
            raise ServiceError(f"{target} was not started within {limit:g} s") from None
        child = self._processes.take(resource, pid, pidfd, watch)
        with self._lock:
            early = self._ended_early.pop(pid, None)
            if early is None:
                self._forked[pid] = child
        if early is not None:
            self._loop.call_soon_threadsafe(self._processes.told, child, early)
        return child

    def close(self) -> None:
        """Nothing is started any more: the parent leaves, and no other takes its place."""
        with self._lock:
            self._preload = ()
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

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
        if "ready" in message:
            self._ready.set()
            return
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
            for fd in fds:  # it came too late, for somebody who has given up
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
        elif "error" in message:
            answer.set_exception(ServiceError(message["error"]))
        else:
            answer.set_result((message["pid"], fds[0]))

    def _lost(self, connection: socket.socket) -> None:
        """The parent is gone: its services live on. A new one is made ready for the next."""
        with self._lock:
            connection.close()
            self._socket = None
            was_ready = self._ready.is_set()
            self._ready.clear()
            waiting, self._answers = list(self._answers.values()), {}
            self._forked.clear()
            self._ended_early.clear()
            parent, self._parent = self._parent, None
        if parent is not None:
            parent.wait()
        for answer in waiting:
            answer.set_exception(ServiceError("the warm parent ended"))
        if was_ready:
            self.start()

    def _give_up(self, number: int) -> None:
        """Nobody waits for the answer any more. A parent that is not loading is stuck: it is replaced."""
        with self._lock:
            self._answers.pop(number, None)
            if self._parent is not None and self._ready.is_set():
                self._parent.kill()


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
