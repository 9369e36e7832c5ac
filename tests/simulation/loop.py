"""The event loop of a simulated agent: asyncio's own tasks and futures, on simulated time.

Every agent has a loop, and every machine a boot clock that begins somewhere and runs a little
fast or slow. A frozen loop (SIGSTOP) lets everything wait; a dead one forgets everything.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVarTuple, Unpack

Arguments = TypeVarTuple("Arguments")
TICK = 1e-6
"""Seconds that a timer may be late: rounding between two clocks must not make it early."""

Later = Callable[[float, Callable[[], None]], None]
"""Call something when the world's clock shows that time."""


@dataclass(frozen=True, slots=True)
class BootClock:
    """A machine's boot clock, as a function of the world's time."""

    world: Callable[[], float]
    start: float
    rate: float

    def now(self) -> float:
        return self.start + self.world() * self.rate

    def in_world(self, at: float) -> float:
        """The world's time at which this clock shows `at`."""
        return (at - self.start) / self.rate


class AgentLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as the agent uses."""

    def __init__(self, clock: BootClock, later: Later) -> None:
        self.clock = clock
        self.is_frozen = False
        self.is_dead = False
        self._later = later
        self._ready: deque[asyncio.Handle] = deque()
        self._inside = False
        self._stalled: list[Callable[[], None]] = []
        self._error: BaseException | None = None

    def enter(self, call: Callable[[], object]) -> None:
        """Run `call` on this loop now, and everything that it makes ready."""
        if self.is_dead:
            return
        if self.is_frozen:
            self._stalled.append(lambda: self.enter(call))
            return
        self._inside = True
        events._set_running_loop(self)
        try:
            call()
            while self._ready and not self.is_dead:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            events._set_running_loop(None)
            self._inside = False
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def thaw(self) -> None:
        """SIGCONT: everything that waited happens, in its order."""
        self.is_frozen = False
        stalled, self._stalled = self._stalled, []
        for call in stalled:
            call()

    def die(self) -> None:
        """SIGKILL."""
        self.is_dead = True
        self._ready.clear()
        self._stalled.clear()

    # What asyncio asks of a loop

    def time(self) -> float:
        return self.clock.now()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._inside

    def is_closed(self) -> bool:
        return self.is_dead

    def call_soon(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.is_dead:
            self._ready.append(handle)
            if not self._inside:
                self._later(self.clock.world(), lambda: self.enter(lambda: None))
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.is_dead:
            at = max(self.clock.in_world(when), self.clock.world()) + TICK
            self._later(at, lambda: None if handle.cancelled() else self.enter(lambda: _run(handle)))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coro, loop=self, **more)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught ends the simulation, unless a dead agent left it."""
        if not self.is_dead and context.get("exception") is not None:
            self._error = context["exception"]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A timer that was cancelled is passed over when its time comes."""


def _run(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()
