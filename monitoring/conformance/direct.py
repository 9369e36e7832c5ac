"""An instance whose entry points a check calls, one at a time or one into the other.

The calls go the node's own way: plain ones on a thread, `async` ones on the loop, silence is
bounded by PendingTimeout, Terminate interrupts as it does there.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from dataclasses import dataclass, field
from typing import Any

from monitoring.conformance import bench as benches
from monitoring.conformance.bench import Bench
from monitoring.conformance.report import Failure
from monitoring.core.messages import Fact
from monitoring.node.calls import CURRENT, Call, in_thread, within
from monitoring.node.context import NodeContext
from monitoring.node.instance import Instance, Points
from monitoring.node.limits import Limiter, explain
from monitoring.node.resource import STRAY_LIMIT, TERMINATE_LIMIT

STRAYS_LIMIT = 5.0
"""Seconds that a call which heeds no end is waited for, to see what it leaves."""
BEAT = 0.005
"""Seconds between two looks at whether the loop still turns."""
STARTS = ("open", "adopt", "online")


@dataclass(slots=True)
class Times:
    """How long calls took, in seconds, by entry point."""

    calls: dict[str, list[float]] = field(default_factory=dict)
    blocked: dict[str, list[float]] = field(default_factory=dict)
    """The longest time in one call of an `async` entry point in which the loop did not turn."""

    def add(self, name: str, seconds: float, blocked: float | None) -> None:
        self.calls.setdefault(name, []).append(seconds)
        if blocked is not None:
            self.blocked.setdefault(name, []).append(blocked)

    def best(self, name: str) -> float:
        """The shortest: what the machine was busy with otherwise is left out."""
        return min(self.calls.get(name, [0.0]))


class Direct:
    """One instance of the type under test."""

    def __init__(self, bench: Bench, times: Times) -> None:
        self._bench = bench
        self._times = times
        self._limiter = Limiter(bench.loop)
        self.signals: list[str] = []
        self.facts: dict[str, Fact] = {}
        self.context = NodeContext(bench.host, benches.DIRECT, bench.subject.dll.type_name, self)
        self.context.group_id, self.context.group = benches.GROUP_ID, benches.GROUP
        self.context.epoch = benches.EPOCH
        self.context.providers = bench.as_providers()
        self._instance = Instance(bench.host, self.context, bench.loop, self)
        self._limit = min(bench.subject.dll.pending_timeout_ms, bench.subject.dll.deadlock_timeout_ms) / 1000

    # What the instance says (context.Listener)

    def signalled(self, reason: str) -> None:
        self.signals.append(reason)
        self._bench.said.append(reason)

    def progressed(self, text: str) -> None:
        self._bench.said.append(text)
        self._limiter.progressed()

    def show(self, fact: Fact) -> None:
        self._bench.said.append(f"{fact.name}: {fact.text}")
        self.facts[fact.name] = fact
        if not fact.text:
            del self.facts[fact.name]

    def monitor_ended(self, what: str) -> None:
        self._bench.said.append(what)

    # Calls

    async def open(self) -> None:
        points = self._made()
        await self._timed("open", self._limiter.run(self._call(points, "open"), Call(True), self._limit))
        self._instance.is_open = True
        self._bench.host.sweeps.add(benches.DIRECT, self._bench.subject.dll)

    def _made(self) -> Points:
        if self._instance.points is None:
            part = self._bench.subject.resource
            self._instance.make(part.dll.type_name, part.properties)
        assert self._instance.points is not None
        return self._instance.points

    async def call(self, name: str) -> Any:
        """Run one entry point; Failure with what it raised."""
        call = Call(starts=name in STARTS)
        self.context.open_for_starts = self.context.open_for_starts or call.starts
        return await self._timed(
            name, self._limiter.run(self._call(self._made(), name, call), call, self._limit)
        )

    @staticmethod
    async def _call(points: Points, name: str, call: Call | None = None) -> Any:
        CURRENT.set(call or Call(starts=True))
        return await points.call(name)

    async def terminate(self) -> None:
        """As the monitor terminates what is at rest."""
        await self.context.close_for_starts()
        await self._timed("terminate", self._ask_to_terminate())

    async def _ask_to_terminate(self) -> None:
        CURRENT.set(Call(starts=False))
        await within(min(self._limit, TERMINATE_LIMIT), self._made().call_beside("terminate"))

    async def _timed(self, name: str, work: Any) -> Any:
        is_async = inspect.iscoroutinefunction(getattr(self._bench.subject.dll, name))
        beat = self._bench.loop.create_task(_beat())
        await asyncio.sleep(0)  # it beats
        began = time.perf_counter()
        try:
            result = await asyncio.ensure_future(work)
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:
            text, _ = explain(self._bench.subject.dll.type_name, LABELS[name], error, self._limit)
            self._bench.said.append(text)
            raise Failure(text, ADVICE[name]) from error
        finally:
            seconds = time.perf_counter() - began
            beat.cancel()
            await asyncio.wait({beat})
            blocked = beat.result() if not beat.cancelled() else 0.0
        self._times.add(name, seconds, blocked if is_async else None)
        return result

    async def interrupted(self, name: str, after: float) -> bool:
        """Begin an entry point and terminate it `after` some seconds, as the monitor does; False where
        it had returned by then."""
        call = Call(starts=name in STARTS)
        points = self._made()
        self.context.open_for_starts = True
        work = self._bench.loop.create_task(
            self._limiter.run(self._call(points, name, call), call, self._limit)
        )
        await asyncio.wait({work}, timeout=after)
        was_running = not work.done()
        work.cancel()
        self._limiter.revoke()
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()
        await self.context.close_for_starts()
        interrupts = points.is_busy
        await self._timed("terminate", self._ask_to_terminate())
        await self._limiter.settle(STRAY_LIMIT)
        began = self._bench.loop.time()
        await points.settle(STRAY_LIMIT)
        is_stray = self._bench.loop.time() - began >= STRAY_LIMIT
        if interrupts:
            await self._timed("terminate", self._ask_to_terminate())
        if is_stray:  # the node goes on without it; what it does later counts all the same
            await asyncio.sleep(min(self._times.best(name), STRAYS_LIMIT))
        return was_running

    async def close(self) -> None:
        await self._instance.close()
        self._bench.host.sweeps.strike(benches.DIRECT)

    async def pids(self) -> list[int]:
        found: list[int] = await in_thread(lambda: self._bench.pids(benches.DIRECT))
        return found

    async def clean_up(self) -> None:
        """Whatever the check found: nothing is left for the next."""
        try:
            if self._instance.points is not None:
                await self.context.close_for_starts()
                await self._ask_to_terminate()
        except Exception as error:
            self._bench.said.append(str(error))
        await in_thread(lambda: self._bench.processes.kill(benches.DIRECT))
        await self._bench.until(lambda: True, 0)
        await self.close()


async def _beat() -> float:
    """The longest time in which the loop did not turn; ends when it is cancelled."""
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            longest, last = max(longest, now - last - BEAT), now
    except asyncio.CancelledError:
        return max(longest, time.perf_counter() - last - BEAT)


LABELS = {
    "open": "Open",
    "adopt": "Adopt",
    "online": "Online",
    "offline": "Offline",
    "terminate": "Terminate",
    "looks_alive": "LooksAlive",
    "is_alive": "IsAlive",
    "close": "Close",
}
ADVICE = {
    "open": "open() prepares only, and works whatever an earlier life has left",
    "adopt": "adopt() returns False where it cannot take over, and raises where the resource has failed",
    "online": "look at the text, and at the properties that the suite was given;"
    " long work calls context.progress()",
    "offline": "offline() returns without an error also where there is nothing to stop any more",
    "terminate": "terminate() works at every moment: before online(), in the middle of it, and twice;"
    " ask of each thing whether it is there",
    "looks_alive": "looks_alive() returns True while it serves",
    "is_alive": "is_alive() returns True while it serves, from the moment at which online() has returned",
    "close": "close() only frees what open() took",
}
