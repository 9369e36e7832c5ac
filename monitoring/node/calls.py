"""Calls the entry points of one resource, so that a slow or hung one costs this resource only.

An `async` entry point runs on the monitor's loop; a plain one on a thread of the resource's
own, made when first needed. A thread that hangs is abandoned, and the next call gets a new one.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any

from monitoring.resource_dlls.api import ResourceDLL

Function = Callable[[], Any]


class Call:
    """An operation whose entry point is running. Once revoked, it may start nothing any more."""

    __slots__ = ("revoked", "starts")

    def __init__(self, starts: bool) -> None:
        self.starts = starts
        """It brings the resource up: what it starts needs the node's lease."""
        self.revoked = False


CURRENT: ContextVar[Call | None] = ContextVar("CURRENT", default=None)

_NOTHING = (ResourceDLL.open, ResourceDLL.adopt, ResourceDLL.close)


class EntryPoints:
    """The entry points of one instance of a DLL."""

    def __init__(self, dll: ResourceDLL, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._name = name
        self._functions = {n: _resolve(dll, n) for n in ENTRY_POINTS}
        self._thread: OwnThread | None = None

    async def call(self, name: str) -> Any:
        """Run one entry point and return its result; its exceptions pass through.

        Cancelling this cancels an `async` entry point; a plain one goes on unheard.
        """
        function, is_async = self._functions[name]
        if function is None:
            return None
        if is_async:
            return await _contained(function)
        if self._thread is None:
            self._thread = OwnThread(self._loop, self._name)
        result = await self._thread.run(function)
        return await result if inspect.isawaitable(result) else result

    async def call_beside(self, name: str) -> Any:
        """Run an entry point that may interrupt others (Terminate): a plain one gets a fresh thread."""
        function, is_async = self._functions[name]
        if function is None:
            return None
        result = _contained(function) if is_async else await in_thread(function)
        return await result if inspect.isawaitable(result) else result

    @property
    def is_busy(self) -> bool:
        """A plain call runs, heard or not."""
        return self._thread is not None and self._thread.is_busy

    async def settle(self, seconds: float) -> None:
        """Give a plain call that was left running some time to return, then abandon its thread."""
        if self._thread is not None and not await self._thread.idle_within(seconds):
            self.abandon()

    def abandon(self) -> None:
        """Let the thread end by itself whenever its call returns."""
        if self._thread is not None:
            self._thread.leave()
            self._thread = None


ENTRY_POINTS = ("open", "adopt", "online", "offline", "terminate", "looks_alive", "is_alive", "close")


def _resolve(dll: ResourceDLL, name: str) -> tuple[Function | None, bool]:
    """The function behind an entry point, and whether it is `async`; the base's defaults seen through."""
    defined = getattr(type(dll), name)
    if defined in _NOTHING:
        return None, False
    if defined is ResourceDLL.looks_alive:
        return _resolve(dll, "is_alive")
    if defined is ResourceDLL.offline:
        return _resolve(dll, "terminate")
    function = getattr(dll, name)
    return function, inspect.iscoroutinefunction(function)


class OwnThread:
    """A thread that runs the plain entry points of one resource, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._busy: asyncio.Future[Any] | None = None
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def run(self, function: Function) -> asyncio.Future[Any]:
        """Queue a call; the future is cancelled without effect on the call."""
        returned: asyncio.Future[Any] = self._loop.create_future()
        heard: asyncio.Future[Any] = self._loop.create_future()
        self._busy = returned
        context = copy_context()
        self._jobs.put(lambda: _perform(self._loop, context.run, function, (returned, heard)))
        return heard

    @property
    def is_busy(self) -> bool:
        return self._busy is not None and not self._busy.done()

    async def idle_within(self, seconds: float) -> bool:
        """Wait until no call runs any more; False where one still does."""
        if self._busy is None or not self.is_busy:
            return True
        done, _ = await asyncio.wait({self._busy}, timeout=seconds)
        return bool(done)

    def leave(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while job := self._jobs.get():
            job()


async def _contained(function: Function) -> Any:
    """An `async` entry point; one that calls sys.exit() ends itself, not the monitor."""
    try:
        return await function()
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__} in an entry point") from error


async def within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    """As `asyncio.wait_for`, but never waits for work that does not heed its cancellation."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(hear_out)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


def hear_out(task: asyncio.Future[Any]) -> None:
    """Take note of how abandoned work ended, so that asyncio does not complain that nobody did."""
    if not task.cancelled():
        task.exception()


async def in_thread(function: Function) -> Any:
    """Run a blocking function on a fresh thread: no pool that hung calls could fill."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[Any] = loop.create_future()
    context = copy_context()
    threading.Thread(
        target=_perform, args=(loop, context.run, function, (heard,)), name="call", daemon=True
    ).start()
    return await heard


def _perform(
    loop: asyncio.AbstractEventLoop,
    run: Callable[[Function], Any],
    function: Function,
    futures: tuple[asyncio.Future[Any], ...],
) -> None:
    result, error = None, None
    try:
        result = run(function)
    except BaseException as problem:
        error = problem
    try:
        loop.call_soon_threadsafe(_deliver, futures, result, error)
    except RuntimeError:
        pass  # the loop has ended, nobody waits


def _deliver(futures: tuple[asyncio.Future[Any], ...], result: Any, error: BaseException | None) -> None:
    *silent, heard = futures
    for future in silent:
        future.set_result(None)
    if heard.done():
        return
    if isinstance(error, (StopIteration, SystemExit, KeyboardInterrupt)):
        error = RuntimeError(f"{type(error).__name__} in an entry point")
    if error is not None:
        heard.set_exception(error)
    else:
        heard.set_result(result)
