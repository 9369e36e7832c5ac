"""A node of the suite's own: the real resource monitor, with no cluster around it.

What a type is tested on is what runs it in a cluster: processes, marks, the warm parent, threads
of the entry points, probes, the record. The cluster service's part, to say what is wanted, is
the suite's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from monitoring.conformance.machine import Machine, look
from monitoring.conformance.report import Failure
from monitoring.conformance.subject import InputError, Part, Subject
from monitoring.core.messages import Assignment, ResourceReport, ResourceSpec
from monitoring.core.states import ResourceState
from monitoring.node import marks
from monitoring.node.calls import in_thread
from monitoring.node.context import Host
from monitoring.node.monitor import Monitor
from monitoring.node.outbox import Outbox
from monitoring.node.processes import Processes
from monitoring.node.record import Life, Record
from monitoring.node.services import Services
from monitoring.node.sweep import SweepNotes
from monitoring.resource_dlls.api import Provider

NODE = "NODE1"
GROUP = "CONFORMANCE"
GROUP_ID, EPOCH = 1, 1
SUBJECT = 1
"""Id of the resource under test where the monitor runs it; what it depends on has those that follow."""
DIRECT = 1000
"""Its id where a check calls the entry points."""
POLL_MS = 500
"""Interval of both probes where the monitor runs it."""
PROBE_TAKES = 0.7
"""Seconds after which what a probe had started is gone."""
LOOK_EVERY = 0.005
PROVIDERS_LIMIT = 60.0
"""Seconds that what it depends on has to come online."""
TAKE_DOWN_LIMIT = 60.0
RECORD = "record"
JUST_NOW = 3
"""Clock ticks: what was started that shortly before it was known to be online may be a probe's."""


class Bench:
    """One node. Made and used on the running event loop."""

    def __init__(self, home: Path, subject: Subject, life: Life | None = None) -> None:
        """`life`: what an earlier agent has left, to go on with (`record.read`)."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home = home
        self.subject = subject
        self.said: list[str] = []
        """All that was told the operator."""
        self.loop = asyncio.get_running_loop()
        self._serial = 1000 if life else 0
        self._attempt = 1
        self._wanted = False
        self.online_at = 0
        """When the resource under test was last known to be online, in clock ticks after boot."""
        self.record = Record(home / RECORD, NODE)
        if life is None:
            self.record.begin(1, time.clock_gettime(time.CLOCK_BOOTTIME))
        else:
            self.record.go_on(life)
        self._outbox = Outbox(1, lambda changes: self.monitor.compose(changes))
        self.processes = Processes(
            home, self.loop, self.record, lambda child: self.monitor.process_ended(child)
        )
        warm = () if life else tuple(dict.fromkeys(m for p in subject.parts for m in p.dll.warm_modules))
        self._services = Services(home, self.processes, self.loop, warm)
        self.host = Host(
            node=NODE,
            home=home,
            loop=self.loop,
            types={part.dll.type_name: part.dll for part in subject.parts},
            processes=self.processes,
            services=self._services,
            sweeps=SweepNotes(home),
            may_start=lambda: True,
            record=self.record,
            log=self._log,
        )
        self.monitor = Monitor(self.host, self._outbox, lambda: None)
        self._services.start()

    def _log(self, resource: int | None, level: int, text: str, code: int, output: str = "") -> None:
        self.said += [text, output] if output else [text]

    def as_providers(self) -> tuple[Provider, ...]:
        return tuple(part.as_provider() for part in self.subject.providers)

    # What the cluster service would say

    def want(self, online: bool) -> None:
        """The resource under test, beside what it depends on, which always is."""
        self._serial += 1
        if online and not self._wanted:
            self._attempt += 1
        self._wanted = online
        providers = [
            self._spec(SUBJECT + n, part, range(SUBJECT + 1, SUBJECT + n), True)
            for n, part in enumerate(self.subject.providers, 1)
        ]
        needs = range(SUBJECT + 1, SUBJECT + 1 + len(providers))
        specs = (*providers, self._spec(SUBJECT, self.subject.resource, needs, online))
        self.monitor.assign(Assignment(1, GROUP_ID, GROUP, EPOCH, self._serial, specs))

    def _spec(self, number: int, part: Part, needs: Sequence[int], online: bool) -> ResourceSpec:
        return ResourceSpec(
            id=number,
            name=part.dll.type_name,
            type=part.dll.type_name,
            properties=dict(part.properties),
            requires=tuple((need,) for need in needs),
            want_online=online,
            attempt=self._attempt,
            looks_alive_ms=POLL_MS,
            is_alive_ms=POLL_MS,
            pending_timeout_ms=part.dll.pending_timeout_ms,
            deadlock_timeout_ms=max(1000, part.dll.deadlock_timeout_ms),
        )

    # What it would hear

    def reports(self) -> dict[int, ResourceReport]:
        return {one.resource: one for group in self.monitor.compose(None) for one in group.resources}

    def state(self, resource: int = SUBJECT) -> ResourceReport:
        return self.reports()[resource]

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = self.loop.time() + seconds
        while not condition():
            if self.loop.time() > deadline:
                return False
            await asyncio.sleep(LOOK_EVERY)
        return True

    async def start(self) -> None:
        """Bring online what the resource under test depends on; InputError where that does not come."""
        self.want(online=False)
        providers = range(SUBJECT + 1, SUBJECT + 1 + len(self.subject.providers))

        def settled() -> bool:
            states = [self.state(number).state for number in providers]
            is_stuck = ResourceState.FAILED in states
            return is_stuck or all(state is ResourceState.ONLINE for state in states)

        await self.until(settled, PROVIDERS_LIMIT)
        for number, part in zip(providers, self.subject.providers, strict=True):
            report = self.state(number)
            if report.state is not ResourceState.ONLINE:
                raise InputError(
                    f"{part.dll.type_name}, which the resource depends on, did not come online:"
                    f" {report.cause or report.state.label}"
                )

    async def online(self, limit: float | None = None) -> None:
        """Bring it online as the monitor does; Failure where it does not come."""
        self.want(online=True)
        seconds = limit or self.subject.dll.pending_timeout_ms / 1000 + 10
        up_or_failed = (ResourceState.ONLINE, ResourceState.FAILED)
        await self.until(lambda: self.state().state in up_or_failed, seconds)
        report = self.state()
        if report.state is not ResourceState.ONLINE:
            raise Failure(
                f"it did not come online: {report.cause or report.state.label}",
                "online() has to work again after whatever came before; the text is what it raised",
            )
        self.online_at = round(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))

    async def offline(self) -> None:
        """Take it offline as the monitor does; Failure where Offline failed or left something."""
        before = len(self.said)
        self.want(online=False)
        if not await self.is_down():
            raise Failure(
                "it did not go down", "terminate() has to end everything, and to return within 30 seconds"
            )
        if len(self.said) > before:
            raise Failure(self.said[-1], "offline() and terminate() have to return without an error")

    async def is_down(self) -> bool:
        return await self.until(
            lambda: self.state().state.is_down and not self.state().running, TAKE_DOWN_LIMIT
        )

    def pids(self, resource: int = SUBJECT, started_before: float = inf) -> list[int]:
        """What runs for a resource, by the marks of its processes. Blocking, a few milliseconds."""
        found = [m for m in marks.scan(str(self.home)) if m.resource == resource]
        return sorted(m.pid for m in found if m.started < started_before)

    def serving(self) -> list[int]:
        """What runs of the resource under test that is no probe's. Blocking."""
        watched = [child.pid for child in self.processes.watched(SUBJECT)]
        if was_there := watched or self.pids(started_before=self.online_at - JUST_NOW):
            return was_there
        seen = self.pids()
        if seen:
            time.sleep(PROBE_TAKES)
        return [pid for pid in self.pids() if pid in seen]

    async def look(self) -> Machine:
        machine: Machine = await in_thread(lambda: look(self.home))
        return machine

    async def end(self) -> None:
        """Take everything down, in order, and give the node up."""
        try:
            await self.monitor.stop(10.0)
        except Exception:
            logging.getLogger(__name__).exception("the suite's node could not be stopped")
        self.record.end()
        self._services.close()
        await in_thread(lambda: marks.end_marked(str(self.home)))
