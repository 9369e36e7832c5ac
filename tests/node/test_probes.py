"""When LooksAlive and IsAlive are called, and what follows from their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

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

    def denied(self, reason: str) -> None:
        self.denials.append(reason)


def watch(
    act: Callable[[Resource, Prober], Awaitable[None]], looks: float | None = 0.02, alive: float = 10.0
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
            deadlock_s=0.2,
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
