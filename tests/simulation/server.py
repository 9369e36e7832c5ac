"""The cluster service and the dashboard: two processes on one database. The first may die anywhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monitoring.core.messages import MessageError, seal
from monitoring.models import Cluster, Node
from monitoring.service import clock, decide, inbox, intents, membership, publish, second_path
from monitoring.service.lock import cluster_lock
from tests.simulation.loop import Later

EPOCH = 1_700_000_000.0


class Crash(BaseException):
    """SIGKILL of the cluster service, at the point where this is raised."""


class Clocks:
    """In place of the module `time`, where the service reads it. The wall clock may jump."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.jump = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self._now()

    def time(self) -> float:
        return EPOCH + self._now() + self.jump


class Process:
    """What one server process keeps in its modules: its clock, and whom it has heard."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self.start()

    def start(self) -> None:
        """A new process: it reads the wall clock once."""
        self._offset = self._clocks.time() - self._clocks.monotonic()
        self._observer: membership.Observer | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The modules are this process's."""
        clock._offset = self._offset
        membership._observer = self._observer
        try:
            yield
        finally:
            self._offset = clock._offset
            self._observer = membership._observer


class Servers:
    """The two server processes."""

    def __init__(self, rng: random.Random, now: Callable[[], float], later: Later) -> None:
        self.clocks = Clocks(now)
        self.is_up = False
        self.on_change: Callable[[], None] = lambda: None
        """Called when the service has died, or is back."""
        self._rng, self._now, self._later = rng, now, later
        self._service = Process(self.clocks)
        self._web = Process(self.clocks)
        self._looks = 0
        self._crash_in: int | None = None
        self._in_service = False

    # The cluster service

    def start(self) -> None:
        """Start the cluster service where it is down."""
        if self.is_up:
            return
        self.is_up = True
        self._service.start()
        with self._service.running():
            membership.observe()
        self.nudge()
        self.on_change()

    def kill(self) -> None:
        """The cluster service is gone."""
        self.is_up = False
        self._crash_in = None
        self._looks += 1
        self.on_change()

    def crash_soon(self, points: int) -> None:
        """It will die after so many points at which it writes or tells something."""
        self._crash_in = points

    def point(self) -> None:
        """A point at which the cluster service can die."""
        if self._in_service and self._crash_in is not None:
            self._crash_in -= 1
            if self._crash_in < 0:
                raise Crash

    def committed(self) -> None:
        """A transaction of one of the processes was committed; the service knows of its own."""
        if self._in_service:
            self.nudge()

    def nudge(self) -> None:
        """Something has changed: the ticker looks."""
        self._looks += 1
        mine = self._looks
        self._later(self._now(), lambda: self._look() if mine == self._looks else None)

    def _look(self) -> None:
        pause = 0.5
        with self._guarded(again=None):
            interval = Cluster.objects.values_list("heartbeat_interval_ms", flat=True).get() / 1000
            membership.look_if_due(interval)
            at = decide.next_wake()
            if at is not None and at <= clock.now():
                with cluster_lock() as held:
                    decide.due(held)
                at = decide.next_wake()
            pause = interval if at is None else min(interval, max(0.001, at - clock.now()))
        if self.is_up:
            self._looks += 1
            mine = self._looks
            self._later(self._now() + pause, lambda: self._look() if mine == self._looks else None)

    def receive(self, raw: dict[str, Any]) -> None:
        """As the task `cluster.receive`."""
        with self._guarded(again=lambda: self.receive(raw)):
            try:
                answer = inbox.receive(raw)
            except MessageError:
                return
            if answer is not None:
                name = raw["node"]
                key = Node.objects.get(name=name).signing_key
                publish.send_task("node.command", f"node.{name}", [seal(name, answer, key)])

    def decide(self, ids: list[int]) -> None:
        """As the task `cluster.decide`."""
        with self._guarded(again=lambda: self.decide(ids)):
            decide.decide(ids)

    @contextmanager
    def _guarded(self, again: Callable[[], None] | None) -> Iterator[None]:
        """In the service's process; where it dies its task may come again, and systemd starts it anew."""
        self._in_service = True
        try:
            with self._service.running():
                yield
        except Crash:
            self.kill()
            back = self._now() + self._rng.uniform(0.1, 2.0)
            self._later(back, self.start)
            if again is not None and self._rng.random() < 0.5:
                self._later(back + 0.01, lambda: again() if self.is_up else None)
        finally:
            self._in_service = False

    # The dashboard

    def restart_web(self) -> None:
        self._web.start()

    def submit(self, kind: str, **target: Any) -> None:
        """An operator's click; Refused where it is not accepted."""
        with self._web.running():
            intents.submit(kind, by="alice", **target)

    def exchange(self, raws: list[dict[str, Any]]) -> list[Any]:
        """The second path."""
        with self._web.running():
            return second_path.exchange(raws)
