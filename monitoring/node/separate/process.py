"""The program of a separate monitor: it runs the entry points of one resource, as the agent asks.

    python -m monitoring.node.separate.process NAME

Standard input is a socket to the agent (see `wire`). The process ends with its agent, whatever
it is doing: its end of the socket is read on a thread of its own, and the kernel kills it. It carries the
mark of what serves the agent itself, so that the guard and the next agent find it, and what
ends the processes of the resource does not. What the DLL starts by itself carries the resource's.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import importlib
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from monitoring.node import marks
from monitoring.node.calls import EntryPoints, in_thread
from monitoring.node.separate.proxy import TOKEN, ProxyContext
from monitoring.node.separate.wire import LIMIT, TELL_WHERE, Message, decode, described, encode
from monitoring.resource_dlls.api import ResourceDLL

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1


def main() -> None:
    faulthandler.enable()
    faulthandler.register(TELL_WHERE, all_threads=True)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unmoved)  # it ends with its agent; SIG_IGN would be inherited
    logging.basicConfig(format=f"%(asctime)s monitor of {sys.argv[1]}: %(message)s")
    agent = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    server = Server(agent, loop)
    loop.call_soon(server.load, decode(agent.recv(LIMIT))["load"])  # before all that is heard from here on
    threading.Thread(target=server.listen, name="agent", daemon=True).start()
    loop.run_forever()


def _unmoved(number: int, frame: FrameType | None) -> None:
    pass


def find(module: str, name: str, type_name: str) -> type[ResourceDLL]:
    """The class of a type: where the agent has it from, else what its family finds, else among all."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, ResourceDLL) and found.type_name == type_name:
        return found
    family = sys.modules.get(module.rpartition(".")[0])
    for known, _, make in getattr(family, "find_types", tuple)():
        if known == type_name:
            made: type[ResourceDLL] = make()
            return made
    from monitoring.resource_dlls import registry  # it loads every type

    return registry.get(type_name)


class Server:
    """Runs entry points, on the loop and on threads."""

    def __init__(self, agent: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._agent = agent
        self._loop = loop
        self._context = ProxyContext(self.send)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """From any thread."""
        data = encode(message)
        with self._sending, suppress(BrokenPipeError, ConnectionResetError):  # `listen` will see it
            self._agent.send(data)

    def load(self, told: Message) -> None:
        """Make the instance; the agent hears why where that cannot be done."""
        os.environ.update(marks.environment(os.environ[marks.OWNER], told["resource"]))
        self._context.update(told["context"])
        try:
            dll_class = find(told["module"], told["class"], told["type"])
            self._dll = dll_class(self._context, told["properties"])
            self._points = EntryPoints(self._dll, self._loop, self._context.name)
        except BaseException as error:
            logger.exception("%s cannot be loaded", told["type"])
            self.send({"broken": described(error)})
            os._exit(1)
        with suppress(OSError):
            name = f"mon:{self._context.name}".encode()[:15]
            fd = os.open("/proc/self/comm", os.O_WRONLY)
            os.write(fd, name)
            os.close(fd)

    def listen(self) -> None:
        """On a thread of its own, until the agent is gone: then nothing may go on here."""
        while True:
            try:
                data = self._agent.recv(LIMIT)
            except OSError:
                data = b""
            if not data:
                os._exit(0)
            message = decode(data)
            if "answer" in message:
                self._context.answered(message)
            else:
                self._loop.call_soon_threadsafe(self._take, message)

    def _take(self, message: Message) -> None:
        if "call" in message:
            if "context" in message:
                self._context.update(message["context"])
            task = self._loop.create_task(self._run(message))
            self._running[message["id"]] = task
            task.add_done_callback(partial(self._done, message["id"]))
        elif "cancel" in message:
            if message["cancel"] in self._running:
                self._running[message["cancel"]].cancel()
        elif "ended" in message:
            self._context.ended(message["ended"], message["returncode"])
        elif "ping" in message:
            self.send({"pong": message["ping"]})

    async def _run(self, message: Message) -> None:
        """Run one entry point. The answer is sent once nothing of it runs any more."""
        TOKEN.set(message["token"])
        answer: Message
        try:
            answer = {"result": bool(await self._call(message["call"], message["beside"]))}
        except asyncio.CancelledError:
            if not message["beside"]:
                await self._points.finished()
            raise
        except Exception as error:
            answer = {"error": described(error)}
            if answer["error"]["kind"] not in ("ResourceError", "PropertyError"):
                logger.error("%s", message["call"], exc_info=error)
        self.send({"id": message["id"], **answer})

    def _done(self, number: int, task: asyncio.Task[None]) -> None:
        del self._running[number]
        if task.cancelled():
            self.send({"id": number, "error": {"kind": "CancelledError", "text": "nobody waits for it"}})

    async def _call(self, name: str, beside: bool) -> Any:
        if name == "sweep":
            return await in_thread(lambda: type(self._dll).sweep(self._context.state_dir))
        return await (self._points.call_beside(name) if beside else self._points.call(name))


if __name__ == "__main__":
    main()
