"""The agent's end of a separate monitor: one process, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from monitoring.node import marks
from monitoring.node.calls import hear_out, in_thread, within
from monitoring.node.processes import inherited
from monitoring.node.separate.wire import LIMIT, TELL_WHERE, Message, decode, encode, raised
from monitoring.resource_dlls.api import ResourceError

logger = logging.getLogger(__name__)

AT_ONCE = 50
"""Messages that are read before others have their turn on the loop."""
TELLING = 0.05
"""Seconds that a process which hangs has to write down where."""
KILLED_WITHIN = 2.0
"""Seconds that its end is waited for after SIGKILL; what takes longer hangs in the kernel."""


class Link:
    """One process. All methods are called on the loop."""

    def __init__(
        self,
        name: str,
        home: Path,
        loop: asyncio.AbstractEventLoop,
        serve: Callable[[Link, Message], None],
        on_end: Callable[[Link, str], None],
    ) -> None:
        self._home = str(home)
        self._loop = loop
        self._serve = serve
        self._on_end = on_end
        self.broken: Exception | None = None
        """Why no instance of the type could be made."""
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._clearing: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket: socket.socket | None = ours
        with theirs:
            # On the loop's own thread: the kernel ends the process with the thread that started it
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitoring.node.separate.process", name],
                env={**inherited(), **marks.environment(self._home, marks.NO_RESOURCE)},
                stdin=theirs.fileno(),
                start_new_session=True,
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(ours, self._readable)
        loop.add_reader(self._pidfd, self._over)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_up(self) -> bool:
        """It was not given up, and has not ended."""
        return self._socket is not None

    @property
    def unanswered(self) -> set[asyncio.Future[Any]]:
        """Calls that run, heard or not."""
        return {future for future in self._calls.values() if not future.done()}

    # What is said

    def send(self, message: Message) -> None:
        """ResourceError for what is too long; nothing where it is gone."""
        self._send(encode(message))

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(data)
        except BlockingIOError:
            self.end("it did not read what the agent says")
        except OSError as error:
            logger.info("monitor %d: %s", self.pid, error)  # `_over` comes next

    async def ask(
        self, message: Message, key: str = "id", told: Callable[[int], Message] | None = None
    ) -> Any:
        """Send a message under a number, and wait for the answer; its errors are raised."""
        if self._socket is None:
            raise ResourceError("its monitor process has ended")
        self._last += 1
        number = self._last
        future = self._loop.create_future()
        future.add_done_callback(hear_out)
        data = encode({**message, key: number})
        self._calls[number] = future
        self._send(data)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if told is not None and not future.done():
                self.send(told(number))
            raise

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(LIMIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:  # `_over` comes next, unless it has closed its end by itself
                self._loop.remove_reader(self._socket)
                self._loop.call_later(KILLED_WITHIN, self.end, "it closed its connection to the agent")
                return
            try:
                self._heard(decode(data))
            except Exception:
                logger.exception("monitor %d", self.pid)
                self.end("it said what no monitor says")

    def _heard(self, message: Message) -> None:
        number = message.get("id", message.get("pong"))
        if "broken" in message:
            self.broken = raised(message["broken"])
            self.end()
        elif number is None:
            self._serve(self, message)
        elif (future := self._calls.pop(number, None)) is not None and not future.done():
            if "error" in message:
                future.set_exception(raised(message["error"]))
            else:
                future.set_result(message.get("result"))

    # Its end

    def end(self, why: str = "", *, tell_where: bool = False) -> None:
        """End it now. `why` is told to who holds it; without, it was to end. `tell_where`: it hangs,
        and writes to the node's log at which place."""
        if self._socket is None:
            return
        unheard = self._hang_up(f"was ended ({why})" if why else "")
        self._clearing = self._loop.create_task(self._clear(unheard, tell_where))

    def _over(self) -> None:
        """It has ended, by itself or not."""
        self._loop.remove_reader(self._pidfd)
        returncode = self._process.wait()
        os.close(self._pidfd)
        self._pidfd = -1
        self._gone.set()
        if self._socket is not None:
            unheard = self._hang_up(f"ended {_how(returncode)}")
            self._clearing = self._loop.create_task(self._clear(unheard, tell_where=False))

    def _hang_up(self, what: str) -> socket.socket:
        """Nothing is heard of it any more, and what was asked stays without an answer."""
        assert self._socket is not None
        self._loop.remove_reader(self._socket)
        unheard, self._socket = self._socket, None
        self._on_end(self, what)
        waiting, self._calls = self.unanswered, {}
        for future in waiting:
            future.set_exception(self.broken or ResourceError(f"its monitor process {what or 'has ended'}"))
        return unheard

    async def cleared(self) -> None:
        """Wait until nothing of it runs, forks of it included."""
        if self._clearing is not None:
            await asyncio.shield(self._clearing)

    async def _clear(self, unheard: socket.socket, tell_where: bool) -> None:
        if tell_where:  # before it sees that nobody hears it, and leaves
            self._signal(TELL_WHERE)
            with suppress(TimeoutError):
                await within(TELLING, self._gone.wait())
        self._signal(signal.SIGKILL)
        unheard.close()
        with suppress(TimeoutError):
            await within(KILLED_WITHIN, self._gone.wait())
        await in_thread(lambda: marks.end_session(self._home, self.pid, KILLED_WITHIN))

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"with exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "unknown"
    return f"with signal {-returncode} ({name})"
