"""When LooksAlive and IsAlive are called, and what follows from their answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from monitoring.core.messages import EntryPoint
from monitoring.node.probes import IS_ALIVE, LOOKS_ALIVE, Prober
from monitoring.resource_dlls.api import ResourceError


class Resource:
    """A resource whose answers the test sets."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.looks = True
        self.alive: bool | Exception = True
        self.calls: list[str] = []
        self.failures: list[tuple[str, int]] = []
        self.changes = 0
        self.in_maintenance = False
        self.tolerated = 0
        self.denials: list[str] = []
        self.slow: list[tuple[str, str]] = []

    async def call(self, name: str) -> bool:
        self.calls.append(name)
        if name == "looks_alive":
            return self.looks
        if isinstance(self.alive, Exception):
            raise self.alive
        return self.alive

    def probe_failed(self, cause: str, code: int) -> None:
        self.failures.append((cause, code))

    def tolerates(self, cause: str) -> bool:
        self.tolerated += self.in_maintenance
        return self.in_maintenance

    def probe_changed(self) -> None:
        self.changes += 1

    def probe_slow(self, entry_point: EntryPoint, text: str) -> None:
        self.slow.append((entry_point, text))

    def denied(self, reason: str) -> None:
        self.denials.append(reason)


def watch(
    act: Callable[[Resource, Prober], Awaitable[None]],
    looks: float | None = 0.02,
    alive: float = 10.0,
    deadlock: float = 0.2,
) -> tuple[Resource, Prober]:
    async def run() -> tuple[Resource, Prober]:
        resource = Resource()
        prober = Prober(
            resource,
            resource.call,
            asyncio.get_running_loop(),
            phase_of=1,
            looks_alive_s=looks,
            is_alive_s=alive,
            deadlock_s=deadlock,
        )
        await act(resource, prober)
        prober.kill()
        return resource, prober

    return asyncio.run(run())


def test_isalive_is_called_at_once_and_looksalive_at_its_own_interval() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        await asyncio.sleep(0.21)

    resource, _ = watch(act)
    assert resource.calls[0] == "is_alive"
    assert resource.calls.count("is_alive") == 1
    assert 5 <= resource.calls.count("looks_alive") <= 11


def test_looksalive_that_says_no_leads_to_isalive_and_never_fails_a_resource_alone() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        resource.looks = False
        await asyncio.sleep(0.15)

    resource, prober = watch(act)
    assert resource.failures == []
    after_no = [b for a, b in zip(resource.calls, resource.calls[1:], strict=False) if a == "looks_alive"]
    assert after_no
    assert set(after_no) == {"is_alive"}
    assert prober.tallies[LOOKS_ALIVE].last is False
    assert prober.tallies[IS_ALIVE].last is True


def test_a_resource_that_watches_by_events_gets_no_looksalive() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        await asyncio.sleep(0.1)

    resource, _ = watch(act, looks=None, alive=0.02)
    assert set(resource.calls) == {"is_alive"}
    assert len(resource.calls) >= 3


def test_isalive_that_says_no_fails_the_resource_once_with_its_reason_and_event_id() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        resource.alive = ResourceError("no greeting on port 25", 1077)
        await asyncio.sleep(0.1)

    resource, _ = watch(act, alive=0.02)
    assert resource.failures == [("IsAlive: no greeting on port 25", 1077)]


def test_a_failure_signal_asks_isalive_at_once_and_is_denied_where_it_says_true() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        await asyncio.sleep(0.03)
        prober.check_now("a connection was reset")
        await asyncio.sleep(0.03)

    resource, _ = watch(act, looks=None)
    assert resource.calls == ["is_alive", "is_alive"]
    assert resource.denials == ["a connection was reset"]
    assert resource.failures == []


def test_a_probe_that_never_returns_fails_the_resource_at_the_deadlock_timeout() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        async def hang(name: str) -> bool:
            await asyncio.sleep(100)
            return True

        prober._call = hang
        await asyncio.sleep(0.4)

    resource, _ = watch(act)
    assert resource.failures == [("IsAlive did not return within 0.2 s", 1230)]


def test_a_sample_says_how_many_calls_there_were_and_counts_from_zero_again() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        await asyncio.sleep(0.1)

    resource, prober = watch(act, looks=None, alive=0.01)
    sample = prober.tallies[IS_ALIVE].take(7, IS_ALIVE)
    assert sample is not None
    assert sample.calls == len(resource.calls)
    assert sample.max_ms >= sample.mean_ms >= 0
    assert prober.tallies[IS_ALIVE].take(7, IS_ALIVE) is None
    assert resource.changes == 1


def test_a_probe_that_hangs_is_warned_of_while_it_hangs_by_its_own_name() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        async def hang_later(name: str) -> bool:
            resource.calls.append(name)
            if name == "is_alive" and len(resource.calls) > 1:
                await asyncio.sleep(100)
            return name == "is_alive"  # LooksAlive, which ran before it, leads to it

        prober._call = hang_later
        while not resource.slow:
            await asyncio.sleep(0.01)
        assert resource.failures == []

    resource, _ = watch(act, deadlock=1.0)
    ((entry_point, text),) = resource.slow
    assert entry_point == "IsAlive"
    assert text.startswith("has not returned for ")


def test_a_call_that_took_half_of_deadlocktimeout_warns_and_does_not_fail() -> None:
    async def act(resource: Resource, prober: Prober) -> None:
        async def slow(name: str) -> bool:
            await asyncio.sleep(0.52)
            return True

        prober._call = slow
        while not resource.slow or not resource.slow[-1][1].startswith("took"):
            await asyncio.sleep(0.01)

    resource, _ = watch(act, looks=None, deadlock=1.0)
    assert resource.failures == []
    assert resource.slow[-1][1].endswith(" of the 1 s that it may take")


def spread(times: list[float], interval: float) -> float:
    """The largest part of the interval in which nothing is called."""
    places = sorted(time % interval for time in times)
    return max(b - a for a, b in zip(places, [*places[1:], places[0] + interval], strict=True)) / interval


def test_what_comes_online_together_is_polled_evenly_spread_from_then_on() -> None:
    interval, count = 0.4, 100
    called: list[tuple[float, str]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def call(name: str) -> bool:
            called.append((loop.time(), name))
            return True

        probers = [
            Prober(
                Resource(),
                call,
                loop,
                phase_of=number,
                looks_alive_s=interval,
                is_alive_s=interval,
                deadlock_s=10.0,
            )
            for number in range(1, count + 1)
        ]
        await asyncio.sleep(interval)
        time.sleep(3 * interval)  # an agent that was stopped for a while: all are due at once
        await asyncio.sleep(interval / 2)
        called.clear()
        for prober in probers:
            prober.recheck()
        await asyncio.sleep(interval / 4)
        called.clear()
        await asyncio.sleep(interval)
        for prober in probers:
            prober.kill()

    asyncio.run(run())
    for name in ("looks_alive", "is_alive"):
        times = [at for at, what in called if what == name]
        assert len(times) >= count * 0.9
        assert spread(times, interval) < 0.15
