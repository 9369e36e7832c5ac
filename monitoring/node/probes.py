"""Polls one resource: LooksAlive and IsAlive, each at its own interval, as semantics 1.4 says.

The first IsAlive follows Online at once. From then on both are called at a phase of the
resource's own within their intervals, so that a node's probes are spread evenly, and stay so:
what was late once does not move what comes after it. All wait in the event loop's one heap of
timers: nothing is polled to find out that nothing is due.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from monitoring.core.messages import EntryPoint, ProbeSample, said
from monitoring.node.calls import CURRENT
from monitoring.node.slow import Slowness, may_be_slow, slow_after
from monitoring.node.times import Times
from monitoring.resource_dlls.api import ResourceError

logger = logging.getLogger(__name__)

HUNG = 1230
"""Event id: a call timed out."""
GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread evenly however many there are."""
TICK = 0.01
"""Seconds to a multiple of which sleep is rounded up: what is due next to each other is done at one go,
which takes a third less processor time than one by one."""
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

    def probe_slow(self, entry_point: EntryPoint, text: str) -> None:
        """A call takes much longer than usual; an empty text: not any more."""

    def denied(self, reason: str) -> None:
        """A failure signal that IsAlive did not confirm."""


class Tally:
    """Times and results of one entry point since the last sample."""

    __slots__ = ("calls", "failures", "last", "slowest", "slowness", "text", "times", "total")

    def __init__(self) -> None:
        self.last: bool | None = None
        self.text = ""
        self.times = Times()
        self.slowness = Slowness()
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
        self.times.add(seconds * 1000)
        changed = result is not self.last
        self.last, self.text = result, text
        return changed

    def take(self, resource: int, entry_point: EntryPoint) -> ProbeSample | None:
        """The sample, counting from zero again; None where nothing was called."""
        if not self.calls:
            return None
        times = self.times
        p50_ms, p99_ms = times.quantiles(0.5, 0.99)
        sample = ProbeSample(
            resource=resource,
            entry_point=entry_point,
            calls=self.calls,
            failures=self.failures,
            mean_ms=round(self.total / self.calls * 1000, 3),
            max_ms=round(self.slowest * 1000, 3),
            last_result=bool(self.last),
            last_text=said(self.text),
            window=times.calls,
            last_ms=round(times.last_ms, 3),
            p50_ms=round(p50_ms, 3),
            p99_ms=round(p99_ms, 3),
            slowest_ms=round(times.slowest_ms, 3),
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
        self._running: tuple[EntryPoint, float] | None = None
        """The call that runs, and since when."""
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
        if self._running is None:
            self.kill()

    def kill(self) -> None:
        """Stop, whatever runs."""
        self._stopped = True
        self._task.cancel()
        if self._watchdog is not None:
            self._watchdog.cancel()

    async def _run(self) -> None:
        # Whatever led to this is over: what a probe starts is allowed while the resource is up
        CURRENT.set(None)
        now = self._loop.time()
        next_is, next_looks = now, self._first(self._looks_alive_s, now)
        while not self._stopped:
            now = self._loop.time()
            if self._retimed:
                self._retimed = False
                next_is, next_looks = (
                    self._first(self._is_alive_s, now),
                    self._first(self._looks_alive_s, now),
                )
            asked = self._recheck or self._signal is not None
            due = min(next_is, next_looks)
            if due > now and not asked:
                await self._sleep_until(due)
                continue
            signal, self._signal, self._recheck = self._signal, None, False
            if not asked and next_looks <= now and next_is > now:
                said_yes = await self._probe(LOOKS_ALIVE, "looks_alive")
                next_looks = _next(next_looks, self._looks_alive_s, self._loop.time())
                if said_yes:
                    continue
            is_first = self.tallies[IS_ALIVE].last is None
            if await self._probe(IS_ALIVE, "is_alive") and signal is not None:
                self._resource.denied(signal)
            if is_first:
                next_is = self._first(self._is_alive_s, self._loop.time())
            elif next_is <= self._loop.time():
                next_is = _next(next_is, self._is_alive_s, self._loop.time())

    def _first(self, interval: float | None, now: float) -> float:
        """A time within the interval from now on, at a place of the resource's own; never for None."""
        return float("inf") if interval is None else now + interval * self._phase

    async def _sleep_until(self, due: float) -> None:
        self._sleep = self._loop.create_future()
        timer = self._loop.call_at(-(-due // TICK) * TICK, self._wake)
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
            self._running = (entry_point, self._loop.time())
            self._arm_watchdog(entry_point)
            try:
                result = bool(await self._call(name))
            except ResourceError as error:
                result, text, code = False, str(error), error.code
            except Exception as error:
                logger.exception("%s of a resource", entry_point)
                result, text = False, f"{type(error).__name__}: {error}"
            seconds = time.perf_counter() - started
            self._running = None
        if self._is_over():
            return True
        tally = self.tallies[entry_point]
        if tally.slowness.warns or may_be_slow(seconds, self._deadlock_s):
            shown = tally.slowness.returned(
                seconds, tally.times.usual_ms, self._deadlock_s, self._loop.time()
            )
            if shown is not None:
                self._resource.probe_slow(entry_point, shown)
        changed = tally.add(seconds, result, text)
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
        """One timer a resource, set again only when it has run out: calls cost next to nothing."""
        if self._watchdog is None:
            slow = slow_after(self.tallies[entry_point].times.usual_ms, self._deadlock_s)
            self._watchdog = self._loop.call_later(slow, self._look_for_hang)

    def _look_for_hang(self) -> None:
        """A call that runs for long is warned of, and looked at again when it has run twice as long."""
        self._watchdog = None
        if self._running is None or self._stopped:
            return
        entry_point, began = self._running
        tally, now = self.tallies[entry_point], self._loop.time()
        slow_at = began + slow_after(tally.times.usual_ms, self._deadlock_s)
        hung_at = began + self._deadlock_s
        if now < slow_at - 0.001:
            again = slow_at
        elif now < hung_at - 0.001:
            shown = tally.slowness.hangs(now - began, tally.times.usual_ms, now)
            self._resource.probe_slow(entry_point, shown)
            again = min(hung_at, 2 * now - began)
        else:
            self._failed(f"{entry_point} did not return within {self._deadlock_s:g} s", HUNG)
            if self._is_over():
                return
            again = now + self._deadlock_s  # for when it is no longer tolerated
        self._watchdog = self._loop.call_at(again, self._look_for_hang)


def _next(due: float, interval: float | None, now: float) -> float:
    """The next time on the grid of `due` plus multiples of `interval` that is not past; never for None."""
    if interval is None:
        return float("inf")
    return due + interval * (max(0.0, (now - due) // interval) + 1)
