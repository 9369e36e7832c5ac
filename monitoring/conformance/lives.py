"""Checks of what outlives a call: the end of a process, and the end of the agent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from monitoring.conformance.bench import JUST_NOW, POLL_MS, RECORD, SUBJECT, Bench
from monitoring.conformance.direct import ADVICE
from monitoring.conformance.machine import Machine, left, look
from monitoring.conformance.nursery import Nursery
from monitoring.conformance.report import Failure, NotApplicable
from monitoring.conformance.running import LOOK_EVERY, NOTHING_RUNS, Workshop
from monitoring.conformance.subject import Subject
from monitoring.core.states import ResourceState
from monitoring.node import marks, record
from monitoring.node.calls import in_thread
from monitoring.node.record import Life
from monitoring.node.sweep import SweepNotes
from monitoring.resource_dlls.api import ResourceDLL

NOTICED_BY_WATCH = 1.0
NOTICED_BY_PROBE = POLL_MS / 1000 + 5.0
"""Seconds until IsAlive has to have noticed: its interval, and what it takes itself."""
TAKEN_OVER_WITHIN = 10.0
CLEAN_LOOKS = 100
RESTARTED = "has to be restarted with it"
"""What the monitor says of a type where Adopt was False; what depends on one is restarted too."""
SWEEP = "sweep() takes back what is no process: write down in state_dir what there is, before it is made"


async def check_killed(shop: Workshop) -> None:
    """A process that is killed fails the resource: at once where it is watched, else by IsAlive."""
    bench = shop.bench
    await bench.online()
    try:
        pids = await in_thread(bench.serving)
        if not pids:
            raise NotApplicable("no process runs while it is online")
        is_watched = bool(bench.processes.watched(SUBJECT))
        limit = NOTICED_BY_WATCH if is_watched else NOTICED_BY_PROBE
        for pid in pids[:1] if is_watched else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not await bench.until(lambda: bench.state().state is ResourceState.FAILED, limit):
            raise Failure(
                f"its processes were killed, and {limit:g} s later it is still {bench.state().state.label}",
                "start the process that serves by spawn(), which watches it, or let is_alive() ask it",
            )
        if not await bench.is_down() or await in_thread(bench.pids):
            raise Failure("after its failure something of it still runs", ADVICE["terminate"])
    finally:
        bench.want(online=False)
        await bench.is_down()


@dataclass(slots=True)
class Lives:
    """What the checks of agents that are killed share."""

    subject: Subject
    nursery: Nursery
    home: Path
    """Of the node whose agents these are; new for each check."""
    before: Machine
    """As the machine was before any of them."""
    warnings: list[str] = field(default_factory=list)

    @property
    def types(self) -> Mapping[str, type[ResourceDLL]]:
        return {part.dll.type_name: part.dll for part in self.subject.parts}

    def pids(self, started_before: float = inf) -> tuple[int, ...]:
        """What runs of the resource, and was started before a moment (clock ticks). Blocking."""
        found = [m for m in marks.scan(str(self.home)) if m.resource == SUBJECT]
        return tuple(sorted(m.pid for m in found if m.started < started_before))

    async def check_clean(self, after: str) -> None:
        """Nothing is left of the resource, nor of what it depends on."""
        for _ in range(CLEAN_LOOKS):
            pids = await in_thread(lambda: marks.scan(str(self.home)))
            found = left(self.before, await in_thread(lambda: look(self.home)), self.subject.words())
            if not pids and not found.certain:
                return
            await asyncio.sleep(LOOK_EVERY)
        what = ", ".join([*(f"process {marked.pid}" for marked in pids), *found.certain])
        raise Failure(f"after {after} there is still: {what}", NOTHING_RUNS if pids else SWEEP)


async def check_adopt(lives: Lives) -> None:
    """The agent is killed, and another takes over what runs, or ends it and brings it online again."""
    dll = lives.subject.dll
    agent = await in_thread(lambda: lives.nursery.start(lives.home, lives.subject))
    runs = await in_thread(lambda: lives.pids(started_before=agent.since - JUST_NOW))
    await in_thread(lambda: lives.nursery.kill(agent))
    life = record.read(lives.home / RECORD)
    runs = tuple(life.processes.get(SUBJECT, ())) or runs
    bench = await _second_agent(lives, life)
    try:
        bench.monitor.go_on()
        await _await_is_alive(bench)
        now = await in_thread(lives.pids)
        restarted = [text for text in bench.said if RESTARTED in text]
        if any(f"type {dll.type_name} {RESTARTED}" in text for text in restarted) and _can_adopt(dll):
            lives.warnings.append("adopt() said False: a restart of the agent restarts the resource")
        if not restarted and runs and not set(runs) & set(now):
            raise Failure(
                f"adopt() returned True, and of its processes {list(runs)} none runs any more",
                "adopt() takes over what runs: context.watched() names it",
            )
        bench.said.clear()
        await bench.offline()
    finally:
        await bench.end()
    await lives.check_clean("a new agent took it offline")
    if not _can_adopt(dll):
        raise NotApplicable(
            "it has no adopt(): a restarted agent takes it offline and online again, which worked"
        )


def _can_adopt(dll: type[ResourceDLL]) -> bool:
    return dll.adopt is not ResourceDLL.adopt


async def _second_agent(lives: Lives, life: Life) -> Bench:
    """What a new agent of the node does before it takes anything over (monitoring.node.inheritance)."""
    held = life.held()
    await in_thread(lambda: marks.end_marked(str(lives.home), spared=held, limit=5.0))
    await in_thread(lambda: SweepNotes(lives.home).sweep_all(lives.types, keep=held))
    bench = Bench(lives.home, lives.subject, life)
    bench.monitor.restore(life)
    return bench


async def _await_is_alive(bench: Bench) -> None:
    """Until it is online and IsAlive has said yes, under the new agent."""

    def settled() -> bool:
        report = bench.state()
        is_up = report.state is ResourceState.ONLINE and report.checked_ms_ago is not None
        return is_up or report.state is ResourceState.FAILED

    limit = TAKEN_OVER_WITHIN + 2 * bench.subject.dll.pending_timeout_ms / 1000
    await bench.until(settled, min(limit, 120.0))
    report = bench.state()
    if report.state is not ResourceState.ONLINE:
        raise Failure(
            f"under a new agent it is {report.state.label}: {report.cause or 'nothing was reported'}",
            "adopt() finds what runs without what the old process knew, and takes back what ended with it",
        )


async def check_sweep(lives: Lives) -> None:
    """The agent is killed, and what it left is ended by others: nothing stays, and it can come again."""
    agent = await in_thread(lambda: lives.nursery.start(lives.home, lives.subject))
    await in_thread(lambda: lives.nursery.kill(agent))
    problems = await in_thread(lambda: _end_as_guard(lives))
    if problems:
        raise Failure(
            problems[0], "sweep() is called without an instance, and returns where there is nothing"
        )
    await lives.check_clean("the agent was killed and all was swept")
    bench = Bench(lives.home, lives.subject)
    try:
        await bench.start()
        await bench.online()
    finally:
        await bench.end()


def _end_as_guard(lives: Lives) -> list[str]:
    """What the guard does once the lease is over."""
    marks.end_marked(str(lives.home))
    marks.end_marked(str(lives.home))
    return SweepNotes(lives.home).sweep_all(lives.types)
