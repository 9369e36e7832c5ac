"""The entry points of a resource that has a monitor process of its own, as the agent calls them.

They are called as those of an instance in the agent (`calls.EntryPoints`). The process is
started when it is first needed. One that has ended, or was given up since it hangs, is replaced
when Terminate asks for it: by a process whose instance knows nothing of what was, and ends it by force.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from monitoring.node.calls import CURRENT, Call, in_thread
from monitoring.node.context import Host, NodeContext
from monitoring.node.processes import Child
from monitoring.node.separate.link import Link
from monitoring.node.separate.wire import Message, described, encode
from monitoring.resource_dlls.api import ResourceDLL, ResourceError

ANSWERS_WITHIN = 1.0
"""Seconds in which a process answers that runs a call and is to terminate; else another one terminates."""
TOKENS_KEPT = 64
TELLS = frozenset({"failed", "progress", "log", "show"})
NEEDS_MEMORY = frozenset({"looks_alive", "is_alive", "offline"})
"""Entry points that make sense only for the instance that came online."""


class Listener(Protocol):
    """Who hears that a monitor process is no more; called on the loop."""

    def monitor_ended(self, what: str) -> None:
        """`what` became of it: "ended with signal 11 (SIGSEGV)"."""


class SeparatePoints:
    """Of one resource. All methods are called on the loop."""

    def __init__(
        self,
        host: Host,
        context: NodeContext,
        dll_class: type[ResourceDLL],
        properties: Mapping[str, Any],
        listener: Listener,
    ) -> None:
        self.remembers = True
        """No process has ended since the instance was made."""
        self._host = host
        self._context = context
        self._class = dll_class
        self._properties = properties
        self._listener = listener
        self._link: Link | None = None
        self._last: Link | None = None
        """The process that was given up last, of which something may still run for a moment."""
        self._told: Message = {}
        """What the process knows of group, epoch and providers."""
        self._numbers = itertools.count(1)
        self._tokens: deque[tuple[int, Call]] = deque(maxlen=TOKENS_KEPT)
        """The newest operations, by the numbers under which the process may start something for them."""
        self._handles: dict[Child, int] = {}
        self._is_nothing = False
        """No instance could be made to open: there is nothing to terminate."""
        self._tasks: set[asyncio.Task[None]] = set()

    # As calls.EntryPoints

    async def call(self, name: str) -> Any:
        """Run one entry point and return whether its result is true; its exceptions pass through."""
        if not self.remembers and name in NEEDS_MEMORY:
            raise ResourceError("its monitor process has ended, and with it the instance that came online")
        try:
            return await self._call(name, beside=False)
        except Exception:
            self._is_nothing = name == "open" and self._last is not None and self._last.broken is not None
            raise

    async def call_beside(self, name: str) -> Any:
        """Run an entry point that may interrupt others (Terminate), in a new process where this one hangs."""
        if self._is_nothing:
            return None
        if self._link is not None and self.is_busy and not await self._answers(self._link):
            self.give_up("it did not answer")
        return await self._call(name, beside=True)

    @property
    def is_busy(self) -> bool:
        """A call runs, heard or not."""
        return self._link is not None and bool(self._link.unanswered)

    async def settle(self, seconds: float) -> None:
        """Give a call that was left running some time to return, then end the process with it."""
        if self._link is not None and (running := self._link.unanswered):
            _, hung = await asyncio.wait(running, timeout=seconds)
            if hung:
                self.give_up("a call that was interrupted did not return")

    def give_up(self, why: str) -> None:
        """A call hangs: end the process."""
        if self._link is not None:
            self._link.end(why, tell_where=True)

    async def end(self) -> None:
        """The instance is given up: end the process."""
        if self._link is not None:
            self._link.end()
        if self._last is not None:
            await self._last.cleared()

    # Calls

    async def _answers(self, link: Link) -> bool:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await link.ask({}, "ping")
        except (TimeoutError, ResourceError):
            return False
        return True

    async def _call(self, name: str, *, beside: bool) -> Any:
        link = await self._connected()
        message: Message = {"call": name, "beside": beside, "token": self._token()}
        if (context := self._describe_context()) != self._told:
            message["context"] = self._told = context
        try:
            return await link.ask(message, told=lambda number: {"cancel": number})
        finally:
            # What it started by itself is looked for when the resource goes down
            self._host.processes.expect_start(self._context.resource)

    async def _connected(self) -> Link:
        """The process, started where there is none."""
        if self._last is not None:
            await self._last.cleared()
        if self._link is None:
            context = self._context
            self._told = self._describe_context()
            encode(self._told)  # what is too long is known before anything is started
            self._link = Link(context.name, self._host.home, self._host.loop, self._serve, self._on_end)
            self._link.send({"load": self._describe_instance()})
        return self._link

    def _describe_instance(self) -> Message:
        return {
            "module": self._class.__module__,
            "class": self._class.__qualname__,
            "type": self._class.type_name,
            "resource": self._context.resource,
            "properties": dict(self._properties),
            "context": self._told,
        }

    def _describe_context(self) -> Message:
        context = self._context
        return {
            "name": context.name,
            "group": context.group,
            "group_id": context.group_id,
            "node": context.node,
            "epoch": context.epoch,
            "providers": [[p.name, p.type_name, dict(p.properties)] for p in context.providers],
            "state_dir": str(context.state_dir),
        }

    def _token(self) -> int | None:
        """The number of the operation that calls."""
        call = CURRENT.get()
        if call is None:
            return None
        known = next((token for token, other in self._tokens if other is call), None)
        if known is not None:
            return known
        token = next(self._numbers)
        self._tokens.append((token, call))
        return token

    def _on_end(self, link: Link, what: str) -> None:
        self._link, self._last = None, link
        self._handles.clear()
        for task in self._tasks:
            task.cancel()
        self._host.processes.expect_start(self._context.resource)
        if what:
            self.remembers = False
            self._listener.monitor_ended(what)

    # What the process asks for

    def _serve(self, link: Link, message: Message) -> None:
        if "tell" in message:
            if message["tell"] not in TELLS:
                raise ValueError(f"a monitor cannot tell {message['tell']!r}")
            getattr(self._context, message["tell"])(**message["args"])
            return
        self._begin(self._answer(link, message))

    def _begin(self, work: Any) -> None:
        task = self._host.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, link: Link, message: Message) -> None:
        """Do what a method of the context does, on behalf of the operation that it was called in."""
        CURRENT.set(self._operation(message["token"]))
        try:
            ask = _ASKS[message["ask"]]
            result = await in_thread(lambda: ask(self._context, message["args"]))
            answer: Message = {"result": self._named(link, result)}
        except Exception as error:
            answer = {"error": described(error)}
        try:
            link.send({"answer": message["number"], **answer})
        except ResourceError as error:
            link.send({"answer": message["number"], "error": described(error)})

    def _operation(self, token: int | None) -> Call | None:
        """The operation of a token; one that is long over may start nothing."""
        if token is None:
            return None
        call = next((call for known, call in self._tokens if known == token), None)
        if call is None:
            call = Call(starts=False)
            call.revoked = True
        return call

    def _named(self, link: Link, result: Any) -> Any:
        """Processes by handles, under which their end is told."""
        if isinstance(result, Child):
            return self._name(link, result)
        if isinstance(result, list) and result and isinstance(result[0], Child):
            return [self._name(link, child) for child in result]
        return result

    def _name(self, link: Link, child: Child) -> Message:
        handle = self._handles.get(child)
        if handle is None:
            handle = self._handles[child] = next(self._numbers)
            # After the answer that names it
            self._host.loop.call_soon(lambda: self._begin(self._tell_end(link, handle, child)))
        return {"handle": handle, "pid": child.pid}

    async def _tell_end(self, link: Link, handle: int, child: Child) -> None:
        returncode = await child.wait()
        self._handles.pop(child, None)
        link.send({"ended": handle, "returncode": returncode})


_ASKS: Mapping[str, Callable[[NodeContext, Message], Any]] = {
    "spawn": lambda context, args: context.spawn(
        args["argv"], cwd=args["cwd"], env=args["env"], watch=args["watch"]
    ),
    "spawn_service": lambda context, args: context.spawn_service(
        args["target"], args["kwargs"], watch=args["watch"]
    ),
    "watched": lambda context, args: list(context.watched()),
    "kill_all": lambda context, args: context.kill_all(args["grace"]),
    "pids": lambda context, args: list(context.pids()),
}
