"""Plain entry points share threads: as many as run at the same time, and none waits for one that hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import cast

import pytest

from monitoring.node import threads
from monitoring.node.calls import EntryPoints
from monitoring.node.threads import Threads
from monitoring.resource_dlls.api import Context, ResourceDLL
from tests.node.harness import until


class Blocks(ResourceDLL):
    """Runs what the test gives it."""

    type_name = "Blocks"

    def __init__(self, job: Callable[[], object]) -> None:
        super().__init__(cast(Context, None), {})
        self.job = job

    def online(self) -> None: ...

    def terminate(self) -> None: ...

    def is_alive(self) -> object:
        return self.job()


def points_of(job: Callable[[], object]) -> EntryPoints:
    """Of a resource whose IsAlive is the job. On a loop."""
    return EntryPoints(Blocks(job), asyncio.get_running_loop(), "R1")


def ask_all(*jobs: Callable[[], object]) -> list[object]:
    """One IsAlive of a resource for each job, all at once."""

    async def ask() -> list[object]:
        return list(await asyncio.gather(*(points_of(job).call("is_alive") for job in jobs)))

    return asyncio.run(ask())


def test_two_thousand_resources_share_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "shared", Threads(idle_seconds=0.1))
    before = threading.active_count()
    used: set[int] = set()

    async def probe_all() -> None:
        every = [points_of(lambda: used.add(threading.get_ident())) for _ in range(2000)]
        for points in every:
            await points.call("is_alive")

    asyncio.run(probe_all())
    assert len(used) < 10
    until(lambda: threading.active_count() == before, 5, "threads that are not needed end")


def test_no_call_waits_for_another_however_many_hang() -> None:
    release = threading.Event()
    hung = [lambda: release.wait(10)] * 30

    def last() -> str:
        release.set()
        return "through"

    began = time.monotonic()
    assert ask_all(*hung, last)[-1] == "through"
    assert time.monotonic() - began < 5


def test_calls_of_one_resource_never_overlap_though_nobody_hears_the_first() -> None:
    running: list[int] = []
    most: list[int] = []

    def job() -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()

    async def ask() -> None:
        points = points_of(job)
        unheard = asyncio.ensure_future(points.call("is_alive"))
        await asyncio.sleep(0.01)
        unheard.cancel()
        await asyncio.sleep(0)
        assert points.is_busy
        await points.call("is_alive")
        assert not points.is_busy

    asyncio.run(ask())
    assert most == [1, 1]


def test_a_call_that_was_abandoned_delays_no_later_one() -> None:
    release = threading.Event()
    jobs = [lambda: release.wait(10), lambda: "next"]

    async def ask() -> object:
        points = points_of(lambda: jobs.pop(0)())
        hung = asyncio.ensure_future(points.call("is_alive"))
        await asyncio.sleep(0.01)
        await points.settle(0.02)
        answer = await points.call("is_alive")
        release.set()
        await hung
        return answer

    assert asyncio.run(ask()) == "next"
