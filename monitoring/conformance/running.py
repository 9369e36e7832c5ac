"""Checks of the entry points, called one by one: their order, their repetition, their interruption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from monitoring.conformance import secrets
from monitoring.conformance.bench import Bench
from monitoring.conformance.direct import ADVICE, LABELS, Direct, Times
from monitoring.conformance.machine import Machine, left
from monitoring.conformance.report import Failure, NotApplicable

NOTHING_LEFT_WITHIN = 2.0
"""Seconds in which what has been ended vanishes from the kernel's tables."""
LOOK_EVERY = 0.02
ADVISED = {"is_alive": 0.05}
ADVISED_OTHERS = 0.3
"""Seconds that an entry point should take at most (semantics 1.4): advice, no limit."""
BLOCKED_TOO_LONG = 0.2
"""Seconds for which an `async` entry point may not stop the monitor's loop."""
MANY_MOMENTS = (0.0, 0.1, 0.35, 0.6, 0.9)
FEW_MOMENTS = (0.15, 0.7)
SLOW = 0.4
"""Seconds of an Online from which on it is repeated less often, and interrupted at few moments."""


@dataclass(slots=True)
class Workshop:
    """What the checks of one type share."""

    bench: Bench
    before: Machine
    """As the machine was before the resource was first online."""
    times: Times = field(default_factory=Times)
    warnings: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Command lines of its processes."""

    @asynccontextmanager
    async def instance(self) -> AsyncIterator[Direct]:
        made = Direct(self.bench, self.times)
        try:
            yield made
        finally:
            await made.clean_up()

    async def check_nothing_left(self, direct: Direct, after: str, advice: str) -> None:
        """Of processes, addresses, mounts, ports and files; what vanishes a moment later is fine."""
        deadline = self.bench.loop.time() + NOTHING_LEFT_WITHIN
        while True:
            pids = await direct.pids()
            found = left(self.before, await self.bench.look(), self.bench.subject.words())
            certain = [*(f"process {pid}" for pid in pids), *found.certain]
            if not certain and not found.doubtful:
                return
            if self.bench.loop.time() > deadline or (not certain and after):
                break
            await asyncio.sleep(LOOK_EVERY)
        if certain:
            raise Failure(f"after {after} there is still: {', '.join(certain)}", advice)
        self.warnings += [
            f"after {after} there is {each}, which was not there before; it may be another program's"
            for each in found.doubtful
        ]


NOTHING_RUNS = "nothing of the resource may be left: processes, addresses, mounts, ports, open files"


async def check_cycle(shop: Workshop) -> None:
    """Open leaves it offline; Online, LooksAlive, IsAlive, Offline, Close; all of it twice."""
    for life in (1, 2):
        async with shop.instance() as direct:
            await direct.open()
            await shop.check_nothing_left(direct, "Open", "open() leaves the real thing offline")
            await _up_and_down(shop, direct)
            if life == 1 and shop.times.best("online") < SLOW:  # the node keeps an instance that is offline
                await _up_and_down(shop, direct)
            await direct.call("close")
            await shop.check_nothing_left(direct, "Close", NOTHING_RUNS)


async def _up_and_down(shop: Workshop, direct: Direct) -> None:
    await direct.call("online")
    for probe in ("is_alive", "looks_alive", "is_alive"):
        if not await direct.call(probe):
            raise Failure(f"{LABELS[probe]} said no just after Online", ADVICE[probe])
    shop.seen |= await secrets.command_lines(await direct.pids())
    await direct.call("offline")
    await shop.check_nothing_left(direct, "Offline", f"offline() waits until it is down: {NOTHING_RUNS}")


async def check_offline_twice(shop: Workshop) -> None:
    """Offline of what is offline already, and Terminate after it, change nothing."""
    async with shop.instance() as direct:
        await direct.open()
        await direct.call("online")
        await direct.call("offline")
        await direct.call("offline")
        await direct.terminate()
        await direct.terminate()
        await shop.check_nothing_left(direct, "Offline and Terminate", NOTHING_RUNS)


async def check_terminate_at_rest(shop: Workshop) -> None:
    """Terminate without Open, after Open, and while it is online."""
    async with shop.instance() as direct:
        await direct.terminate()
    async with shop.instance() as direct:
        await direct.open()
        await direct.terminate()
        await direct.call("online")
        await direct.terminate()
        await shop.check_nothing_left(
            direct, "Terminate", f"terminate() waits for the end of what it ends: {NOTHING_RUNS}"
        )
        await direct.terminate()


async def check_terminate_during_online(shop: Workshop) -> None:
    """Terminate at several moments of Online; then it can be brought online again."""
    seconds = shop.times.best("online")
    async with shop.instance() as direct:
        await direct.open()
        for moment in MANY_MOMENTS if seconds < SLOW else FEW_MOMENTS:
            await direct.interrupted("online", moment * seconds)
            await shop.check_nothing_left(
                direct,
                f"Terminate {moment * seconds * 1000:.0f} ms into Online",
                "an online() that is interrupted starts nothing after terminate(): where it holds something"
                " of its own, count the calls of terminate() and let go where one came in between",
            )
        await direct.call("online")
        if not await direct.call("is_alive"):
            raise Failure("after interrupted Onlines, IsAlive says no to a whole one", ADVICE["is_alive"])


async def check_terminate_during_offline(shop: Workshop) -> None:
    """Terminate in the middle of Offline."""
    seconds = shop.times.best("offline")
    async with shop.instance() as direct:
        await direct.open()
        for moment in (0.0, 0.5) if shop.times.best("online") < SLOW else (0.3,):
            await direct.call("online")
            await direct.interrupted("offline", moment * seconds)
            await shop.check_nothing_left(
                direct,
                "Terminate in the middle of Offline",
                f"terminate() finishes it by force: {NOTHING_RUNS}",
            )


async def check_terminate_during_is_alive(shop: Workshop) -> None:
    """Terminate in the middle of IsAlive."""
    async with shop.instance() as direct:
        await direct.open()
        await direct.call("online")
        await direct.interrupted("is_alive", 0.3 * shop.times.best("is_alive"))
        await shop.check_nothing_left(direct, "Terminate in the middle of IsAlive", NOTHING_RUNS)


async def check_times(shop: Workshop) -> None:
    """Entry points that take longer than is advised are warned of."""
    if not shop.times.calls:
        raise NotApplicable("nothing was called")
    for name in LABELS:
        advised = ADVISED.get(name, ADVISED_OTHERS)
        if name in ("online", "offline", "terminate") or name not in shop.times.calls:
            continue  # they are Pending until they return
        if (seconds := shop.times.best(name)) > advised:
            shop.warnings.append(
                f"{LABELS[name]} takes {seconds * 1000:.0f} ms; advised are {advised * 1000:.0f} ms"
            )


async def check_loop(shop: Workshop) -> None:
    """An `async` entry point never keeps the monitor's loop from turning."""
    if not shop.times.blocked:
        raise NotApplicable("it has no async entry point")
    for name, measured in shop.times.blocked.items():
        blocked = min(measured)
        if blocked > BLOCKED_TOO_LONG:
            raise Failure(
                f"{LABELS[name]} stops the monitor's loop for {blocked * 1000:.0f} ms,"
                " and with it all probes of the node",
                "make it a plain method, which gets a thread of its own, or await what takes long",
            )
