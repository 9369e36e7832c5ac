"""Calls the entry points of one resource, so that a slow or hung one costs this resource only.

An `async` entry point runs on the monitor's loop; a plain one on a thread, one call after the
other (see `threads`). A call that hangs is abandoned with its thread, and the next gets another.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

from monitoring.node import threads
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
        self._plain: asyncio.Future[None] | None = None
        """Done once the plain call that was begun last has returned."""

    async def call(self, name: str) -> Any:
        """Run one entry point and return its result; its exceptions pass through.

        Cancelling this cancels an `async` entry point; a plain one goes on unheard.
        """
        function, is_async = self._functions[name]
        if function is None:
            return None
        if is_async:
            return await _contained(function)
        result = await self._on_a_thread(function)
        return await result if inspect.isawaitable(result) else result

    async def _on_a_thread(self, function: Function) -> Any:
        await self.finished()  # one that nobody hears any more
        self._plain = self._loop.create_future()
        heard: asyncio.Future[Any] = self._loop.create_future()
        try:
            _begin(self._loop, function, (self._plain, heard), self._name)
        except RuntimeError:  # there can be no more threads
            self._plain = None
            raise
        return await heard

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
        return self._plain is not None and not self._plain.done()

    async def finished(self) -> None:
        """Wait until no plain call runs."""
        while self._plain is not None and not self._plain.done():
            await asyncio.wait({self._plain})

    async def settle(self, seconds: float) -> None:
        """Give a plain call that was left running some time to return, then abandon it."""
        if self._plain is not None and self.is_busy:
            await asyncio.wait({self._plain}, timeout=seconds)
        self.abandon()

    def abandon(self) -> None:
        """Go on without a call that has not returned; its thread is free whenever it does."""
        self._plain = None

    def give_up(self, why: str) -> None:
        """A call hangs. Nothing can end a thread: `settle` goes on without it."""

    async def end(self) -> None:
        """The instance is given up."""
        self.abandon()

    remembers = True
    """The instance is still the one that was opened."""


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
    """Run a blocking function on a thread; others that hang keep none from it."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[Any] = loop.create_future()
    _begin(loop, function, (heard,), "call")
    return await heard


def _begin(
    loop: asyncio.AbstractEventLoop, function: Function, futures: tuple[asyncio.Future[Any], ...], name: str
) -> None:
    """Run a function on a thread, in a copy of the present context."""
    run = copy_context().run
    threads.shared.run(lambda: _perform(loop, run, function, futures), name)


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
        if not future.done():
            future.set_result(None)
    if heard.done():
        if inspect.iscoroutine(result):  # nobody waits for what a plain entry point went on to
            result.close()
        return
    if isinstance(error, (StopIteration, SystemExit, KeyboardInterrupt)):
        error = RuntimeError(f"{type(error).__name__} in an entry point")
    if error is not None:
        heard.set_exception(error)
    else:
        heard.set_result(result)
