"""Polls one resource: LooksAlive and IsAlive, each at its own interval, as semantics 1.4 says.

The first IsAlive follows Online at once; LooksAlive starts at a phase of the resource's own,
so that a node's probes are spread evenly. All wait in the event loop's one heap of timers:
nothing is polled to find out that nothing is due.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from monitoring.core.messages import EntryPoint, ProbeSample, said
from monitoring.resource_dlls.api import ResourceError

logger = logging.getLogger(__name__)

HUNG = 1230
"""Event id: a call timed out."""
GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly however many there are."""
LOOKS_ALIVE: EntryPoint = "LooksAlive"
IS_ALIVE: EntryPoint = "IsAlive"


class Probed(Protocol):
    """The resource that is polled."""

    turn: asyncio.Lock
    """Held while an entry point runs."""

    def probe_failed(self, cause: str, code: int) -> None:
        """IsAlive said no, or never came back."""

    def tolerates(self, cause: str) -> bool:
        """Whether it is to be left alone though it fails; asked once each time that it begins to."""

    def probe_changed(self) -> None:
        """The result of IsAlive is another than before."""

    def denied(self, reason: str) -> None:
        """A failure signal that IsAlive did not confirm."""


class Tally:
    """Times and results of one entry point since the last sample."""

    __slots__ = ("calls", "failures", "last", "slowest", "text", "total")

    def __init__(self) -> None:
        self.last: bool | None = None
        self.text = ""
        self._reset()

    def _reset(self) -> None:
        self.calls = self.failures = 0
        self.total = self.slowest = 0.0

    def add(self, seconds: float, result: bool, text: str) -> bool:
        """Count one call; True where its result differs from the one before."""
        self.calls += 1
        self.failures += not result
        self.total += seconds
        if seconds > self.slowest:
            self.slowest = seconds
        changed = result is not self.last
        self.last, self.text = result, text
        return changed

    def take(self, resource: int, entry_point: EntryPoint) -> ProbeSample | None:
        """The sample, counting from zero again; None where nothing was called."""
        if not self.calls:
            return None
        sample = ProbeSample(
            resource=resource,
            entry_point=entry_point,
            calls=self.calls,
            failures=self.failures,
            mean_ms=round(self.total / self.calls * 1000, 3),
            max_ms=round(self.slowest * 1000, 3),
            last_result=bool(self.last),
            last_text=said(self.text),
        )
        self._reset()
        return sample


class Prober:
    """The polling of one resource while it is online."""

    def __init__(
        self,
        resource: Probed,
        call: Callable[[str], Awaitable[object]],
        loop: asyncio.AbstractEventLoop,
        *,
        phase_of: int,
        looks_alive_s: float | None,
        is_alive_s: float,
        deadlock_s: float,
    ) -> None:
        self._resource = resource
        self._call = call
        self._loop = loop
        self._phase = phase_of * GOLDEN % 1
        self._looks_alive_s = looks_alive_s
        self._is_alive_s = is_alive_s
        self._deadlock_s = deadlock_s
        self._sleep: asyncio.Future[None] | None = None
        self._signal: str | None = None
        self._retimed = False
        self._recheck = False
        self._tolerated = False
        self._stopped = False
        self._called_at: float | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self.tallies: dict[EntryPoint, Tally] = {LOOKS_ALIVE: Tally(), IS_ALIVE: Tally()}
        self.true_at: float | None = None
        """Loop time of the last IsAlive that said true."""
        self._task = loop.create_task(self._run())

    def retime(self, looks_alive_s: float | None, is_alive_s: float, deadlock_s: float) -> None:
        """Poll at other intervals from now on; nothing where they are the same."""
        if (looks_alive_s, is_alive_s, deadlock_s) != (
            self._looks_alive_s,
            self._is_alive_s,
            self._deadlock_s,
        ):
            self._looks_alive_s, self._is_alive_s, self._deadlock_s = looks_alive_s, is_alive_s, deadlock_s
            self._retimed = True
            self._wake()

    def check_now(self, reason: str) -> None:
        """An asynchronous failure signal: ask IsAlive at once."""
        self._signal = reason
        self._wake()

    def recheck(self) -> None:
        """Ask IsAlive at once, and judge anew what was tolerated."""
        self._recheck, self._tolerated = True, False
        self._wake()

    def stop(self) -> None:
        """Begin no more calls. One that runs holds the resource's turn until it returns."""
        self._stopped = True
        if self._called_at is None:
            self.kill()

    def kill(self) -> None:
        """Stop, whatever runs."""
        self._stopped = True
        self._task.cancel()
        if self._watchdog is not None:
            self._watchdog.cancel()

    async def _run(self) -> None:
        now = self._loop.time()
        next_is = now
        next_looks = self._first_looks(now)
        while not self._stopped:
            now = self._loop.time()
            if self._retimed:
                self._retimed = False
                next_is, next_looks = min(next_is, now + self._is_alive_s), self._first_looks(now)
            if self._recheck:
                self._recheck, next_is = False, now
            due = min(next_is, next_looks)
            if due > now and self._signal is None:
                await self._sleep_until(due)
                continue
            signal, self._signal = self._signal, None
            if signal is None and next_looks <= now and next_is > now:
                next_looks = _next(next_looks, self._looks_alive_s or float("inf"), now)
                if await self._probe(LOOKS_ALIVE, "looks_alive"):
                    continue
            next_is = self._loop.time() + self._first_or_interval()
            if await self._probe(IS_ALIVE, "is_alive") and signal is not None:
                self._resource.denied(signal)

    def _first_looks(self, now: float) -> float:
        """When LooksAlive is polled first: within its interval, at a place of the resource's own."""
        return float("inf") if self._looks_alive_s is None else now + self._looks_alive_s * self._phase

    def _first_or_interval(self) -> float:
        """Seconds to the next IsAlive; after the first one, a part of the interval, to spread them."""
        if self.tallies[IS_ALIVE].last is None:
            return self._is_alive_s * (0.5 + self._phase / 2)
        return self._is_alive_s

    async def _sleep_until(self, due: float) -> None:
        self._sleep = self._loop.create_future()
        timer = self._loop.call_at(due, self._wake)
        try:
            await self._sleep
        finally:
            timer.cancel()
            self._sleep = None

    def _wake(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    async def _probe(self, entry_point: EntryPoint, name: str) -> bool:
        """One call. False from IsAlive fails the resource; False from LooksAlive leads to IsAlive."""
        code, text = 0, ""
        async with self._resource.turn:
            if self._is_over():
                return True
            started = time.perf_counter()
            self._called_at = self._loop.time()
            self._arm_watchdog(entry_point)
            try:
                result = bool(await self._call(name))
            except ResourceError as error:
                result, text, code = False, str(error), error.code
            except Exception as error:
                logger.exception("%s of a resource", entry_point)
                result, text = False, f"{type(error).__name__}: {error}"
            seconds = time.perf_counter() - started
            self._called_at = None
        if self._is_over():
            return True
        changed = self.tallies[entry_point].add(seconds, result, text)
        if entry_point == IS_ALIVE:
            self._heard_is_alive(result, changed, text, code)
        return result

    def _is_over(self) -> bool:
        return self._stopped

    def _heard_is_alive(self, result: bool, changed: bool, text: str, code: int) -> None:
        if result:
            self.true_at = self._loop.time()
        if changed:
            self._resource.probe_changed()
        if result:
            self._tolerated = False
        else:
            self._failed(f"IsAlive: {text}" if text else "IsAlive said no", code)

    def _failed(self, cause: str, code: int) -> None:
        self._tolerated = self._tolerated or self._resource.tolerates(cause)
        if not self._tolerated:
            self._stopped = True
            self._resource.probe_failed(cause, code)

    def _arm_watchdog(self, entry_point: EntryPoint) -> None:
        """One timer a resource, set again only when it has run out: calls cost nothing."""
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._deadlock_s, self._look_for_hang, entry_point)

    def _look_for_hang(self, entry_point: EntryPoint) -> None:
        self._watchdog = None
        if self._called_at is None or self._stopped:
            return
        hung_at = self._called_at + self._deadlock_s
        if self._loop.time() < hung_at - 0.001:
            self._watchdog = self._loop.call_at(hung_at, self._look_for_hang, entry_point)
            return
        self._failed(f"{entry_point} did not return within {self._deadlock_s:g} s", HUNG)
        if not self._stopped:  # looked at again, for when it is no longer tolerated
            self._watchdog = self._loop.call_later(self._deadlock_s, self._look_for_hang, entry_point)


def _next(due: float, interval: float, now: float) -> float:
    """The next time on the grid of `due` plus multiples of `interval` that is not past."""
    due += interval
    return due if due > now else now + interval
