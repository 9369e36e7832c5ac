"""The agent: puts the monitor, the member, the guard and the Celery worker together in one process.

The main thread is the Celery worker. The monitor's event loop has a thread of its own, which
starts before the worker consumes and stops after it: what is online does not depend on Celery.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state as worker_state

from monitoring.broker import transport
from monitoring.core.messages import Downward, MessageError
from monitoring.node import clock, inheritance, marks, watchdog
from monitoring.node.celery_app import make_app
from monitoring.node.context import Host
from monitoring.node.couriers import BrokerPath, HttpPath
from monitoring.node.home import Home
from monitoring.node.inheritance import RECORD, Inheritance
from monitoring.node.keeper import GuardKeeper
from monitoring.node.keys import Keys
from monitoring.node.member import Member
from monitoring.node.monitor import Monitor
from monitoring.node.outbox import Outbox
from monitoring.node.processes import Processes
from monitoring.node.record import Record
from monitoring.node.services import Services
from monitoring.node.settings import Settings
from monitoring.node.sweep import SweepNotes
from monitoring.resource_dlls.api import ResourceDLL

logger = logging.getLogger(__name__)

AGENT_WAIT = 10.0
"""Seconds that a new agent waits for an earlier one of the same home to end."""
WARM_WAIT = 10.0
"""Seconds that the node waits for its warm parent before it joins."""
REST_WAIT = 10.0
"""Seconds that resources on their way have to arrive when the agent makes way for another."""
GUARD_WAIT = 15.0
"""Seconds that it waits for the guard of an earlier agent."""


class Agent:
    """One node's agent. `run` blocks until it is told to stop."""

    def __init__(
        self, settings: Settings, types: Mapping[str, type[ResourceDLL]], broken: Sequence[str] = ()
    ) -> None:
        """`broken`: a sentence for each plugin that could not be loaded."""
        self._settings = settings
        self._types = types
        self._broken = broken
        self._home = Home(settings.home)
        self._keys = Keys(settings.home, settings.node, settings.key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="monitor", daemon=True)
        self._app = make_app(settings.node, settings.broker, self.deliver)
        self._stops = 0
        self._refused = 0
        transport.refused.append(self._refuse)
        self._has_left = False
        self._worker: Any = None

    def run(self) -> int:
        """Take over the node, then work until SIGTERM or SIGINT; the exit code."""
        self._home.lock(AGENT_WAIT)
        self._sweeps = SweepNotes(self._settings.home)
        left = inheritance.find(self._settings.home, self._settings.node, self._sweeps, self._types)
        if left is None:
            self._home.await_old_guard(GUARD_WAIT)
            self._end_leftovers()
        self._build(left)
        if left is not None:
            self._thread.start()  # the lease does not wait for Celery
        self._services.start()  # it loads its libraries while the worker does
        self._app.steps["worker"].add(_monitor_step(self))
        self._worker = self._app.Worker(
            pool="solo",
            queues=[f"node.{self._settings.node}"],
            hostname=f"{self._settings.node}@clusterweb",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel=logging.INFO,
            quiet=True,
        )
        self._worker.start()
        return int(self._worker.exitcode or 0)

    def _end_leftovers(self) -> None:
        """End what an earlier life left on the node, before anybody hears of this one."""
        home = str(self._settings.home)
        found = len(marks.scan(home))
        if found:
            logger.warning("an earlier life left %d processes: they are ended", found)
        while not marks.end_marked(home):
            logger.error("processes of an earlier life cannot be killed; the node does not join before that")
        for problem in self._sweeps.sweep_all(self._types):
            logger.error(problem)

    # Around the Celery worker, on its thread

    def begin(self) -> None:
        """Start the monitor; called by the worker before it consumes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_restart)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not self._thread.is_alive():
            self._services.await_ready(WARM_WAIT)
            self._thread.start()
        gc.collect()
        gc.freeze()

    def _build(self, left: Inheritance | None) -> None:
        settings, loop = self._settings, self._loop
        self._record = Record(settings.home / RECORD, settings.node)
        if left is not None:
            self._record.go_on(left.life)
        incarnation = left.life.begun.incarnation if left is not None else self._next_life()
        self._outbox = Outbox(
            incarnation,
            lambda changes: self._monitor.compose(changes),
            reports=left.microseconds if left is not None else 0,
            types=list(self._types),
            broken=self._broken,
        )
        self._outbox.ask_full()  # the cluster service learns which types this agent has
        self._guard = GuardKeeper(settings.home, loop, left.guard if left is not None else None)
        self._member = Member(
            settings.node,
            loop,
            self._outbox,
            broker=BrokerPath(self._app, settings, self._keys),
            second=HttpPath(settings, self._keys) if settings.service_url else None,
            open_envelope=self._open,
            next_incarnation=self._next_life,
            guard=self._guard,
            refused=lambda: self._refused,
            watchdog=partial(watchdog.held_ms, str(settings.home)),
            keys=self._keys,
        )
        processes = Processes(
            settings.home, loop, self._record, lambda child: self._monitor.process_ended(child)
        )
        self._services = Services(settings.home, processes, loop, self._preload())
        host = Host(
            settings.node,
            settings.home,
            loop,
            self._types,
            processes,
            self._services,
            self._sweeps,
            self._member.may_start,
            self._record,
            self._log,
            has_separate=True,
        )
        self._monitor = Monitor(host, self._outbox, self._member.pump)
        self._member.resources = self._monitor
        if left is not None:
            self._monitor.restore(left.life)
            self._member.go_on(left.guard.ends)
        loop.call_soon(self._guard.start)
        loop.call_soon(self._member.start)

    def _next_life(self) -> int:
        return self._record.begin(self._home.next_incarnation(), clock.now())

    def _preload(self) -> tuple[str, ...]:
        if self._settings.preload is not None:
            return self._settings.preload
        return tuple(dict.fromkeys(m for dll in self._types.values() for m in dll.warm_modules))

    def deliver(self, raw: object) -> None:
        """Take an envelope from the queue; one that is not authentic is refused and changes nothing."""
        try:
            message = self._open(raw)
        except MessageError:
            return
        self._loop.call_soon_threadsafe(self._member.receive, message)

    def _open(self, raw: object) -> Downward:
        try:
            return self._keys.open(raw)
        except MessageError as error:
            self._refuse(str(error))
            raise

    def _refuse(self, reason: str) -> None:
        """Count what was not taken, for the next heartbeat. Called on the worker's thread and the loop's."""
        self._refused += 1
        if (self._refused & (self._refused - 1)) == 0:  # the 1st, 2nd, 4th, 8th: a flood fills no disk
            logger.warning("refused a message (%d so far): %s", self._refused, ascii(reason)[:300])

    def _log(self, resource: int | None, level: int, text: str, code: int, output: str = "") -> None:
        self._outbox.log(level, text, code, resource, output)
        self._member.pump()

    # Stopping

    def _on_signal(self, number: int, frame: object) -> None:
        """First: take everything offline in order. Again: by force."""
        self._stops += 1
        seconds = self._settings.stop_seconds if self._stops == 1 else 0.0
        self._leaving = asyncio.run_coroutine_threadsafe(self._leave(seconds), self._loop)

    async def _leave(self, seconds: float) -> None:
        logger.info("stopping: all resources go offline")
        try:
            await self._member.leave(seconds)
            self._record.end()
        finally:
            self._stop_worker()

    def _on_restart(self, number: int, frame: object) -> None:
        """Make way for a new agent, which takes over what runs. Not where it goes offline already."""
        if self._stops:
            return
        self._stops += 1
        self._leaving = asyncio.run_coroutine_threadsafe(self._make_way(), self._loop)

    async def _make_way(self) -> None:
        logger.info("stopping: what runs is left to the next agent")
        try:
            if not await self._monitor.rest(REST_WAIT):
                logger.warning("some resources are on their way; the next agent ends them and starts anew")
        finally:
            self._stop_worker()

    def _stop_worker(self) -> None:
        self._has_left = True
        worker_state.should_stop = 0
        self._worker.hub.call_soon(lambda: None)  # wakes the worker's loop to see it

    def end(self) -> None:
        """The worker has stopped consuming: make sure that the node has left, and go.

        Without Celery's farewell, which waits for the broker to end a poll.
        """
        if not self._has_left:
            asyncio.run_coroutine_threadsafe(self._leave(self._settings.stop_seconds), self._loop).result()
        logging.shutdown()
        os._exit(0 if self._stops else 1)


def _monitor_step(agent: Agent) -> type[bootsteps.StartStopStep]:
    """A step of the worker's blueprint: started before its consumer, stopped after it."""

    class MonitorStep(bootsteps.StartStopStep):
        requires = {"celery.worker.components:Pool"}

        def start(self, worker: Celery) -> None:
            agent.begin()

        def stop(self, worker: Celery) -> None:
            agent.end()

    return MonitorStep
