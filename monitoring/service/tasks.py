"""The cluster service as a Celery worker: its tasks, and the ticker that keeps its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec
from celery import bootsteps
from celery.worker import state as worker_state
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from clusterweb.celery import app
from monitoring.broker import transport
from monitoring.core.messages import ITEMS, Id, MessageError, seal
from monitoring.models import Cluster, Node, ProbeTime
from monitoring.service import clock, decide, inbox, membership, publish, refusals, watching
from monitoring.service.lock import again, cluster_lock
from monitoring.service.schedules import runs

log = logging.getLogger(__name__)

Groups = Annotated[list[Id], msgspec.Meta(max_length=ITEMS)]

transport.refused.append(lambda reason: refusals.count(None, f"on the broker: {reason}"))

PROBE_TIMES_KEPT = 8 * 86_400.0
"""Seconds that sampled probe times are kept: a week, and a day to look back from its end."""


DATABASE_PATIENCE = 30.0
"""Seconds that a worker without a database keeps the message in its hands."""
DATABASE_RETRY = 0.5

P = ParamSpec("P")
T = TypeVar("T")


def with_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do `work`, waiting for a database that does not answer.

    So a worker that alone has lost its way to the database keeps one message to itself, and leaves
    the others to those who can do something about them.
    """
    deadline = clock.monotonic() + DATABASE_PATIENCE
    told = False
    while True:
        close_old_connections()
        try:
            return again(work)(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if worker_state.should_stop is not None or clock.monotonic() > deadline:
                raise
            if not told:
                log.warning("the database does not answer: %s", error)
                told = True
        time.sleep(DATABASE_RETRY)


@app.task(name="cluster.receive")
def receive(raw: Any) -> None:
    """A message from a node. One that cannot be taken is counted, and nothing else."""
    try:
        answer = with_database(inbox.receive, raw)
    except MessageError:
        return
    if answer is not None:
        name = raw["node"]
        key = Node.objects.get(name=name).signing_key
        publish.send_task("node.command", f"node.{name}", [seal(name, answer, key)])
    ticker.nudge()


@app.task(name="cluster.decide")
def decide_about(ids: Any) -> None:
    """Something happened to these groups. Nobody signs this: to decide again changes nothing by itself."""
    try:
        groups = msgspec.convert(ids, Groups)
    except msgspec.ValidationError as error:
        refusals.count(None, f"cluster.decide: {error}")
        return
    with_database(decide.decide, groups)
    ticker.nudge()


class Ticker(threading.Thread):
    """Wakes the decisions whose time has come, and looks at the heartbeats.

    It sleeps until the next timer that the database knows, and never longer than one
    heartbeat interval.
    """

    def __init__(self) -> None:
        super().__init__(name="ticker", daemon=True)
        self._wake = threading.Event()
        self._stopped = False
        self._forgot = self._noted = float("-inf")

    def nudge(self) -> None:
        """A timer may have been set: look when the next one is due."""
        self._wake.set()

    def stop(self) -> None:
        """End after the present look."""
        self._stopped = True
        self._wake.set()

    def run(self) -> None:
        """Look, sleep, look. A database that is away is waited for."""
        membership.observe()
        while not self._stopped:
            pause = 1.0
            try:
                pause = self._look()
            except (OperationalError, InterfaceError) as error:
                log.warning("the ticker looks again: the database does not answer: %s", error)
                connection.close()
            except Exception:
                log.exception("the ticker could not look; it tries again")
                connection.close()
            if self._wake.wait(pause):
                self._wake.clear()

    def _look(self) -> float:
        """Do what is due; return the seconds until the next look."""
        close_old_connections()
        beat_ms, newest = Cluster.objects.values_list("heartbeat_interval_ms", "clock").get()
        clock.catch_up(newest)  # another process may be ahead, and have set timers by its clock
        interval: float = beat_ms / 1000
        membership.look_if_due(interval)
        self._note_if_due()
        self._forget_if_due()
        at = decide.next_wake()
        if at is not None and at <= clock.now():
            with cluster_lock() as held:
                decide.due(held)
            at = decide.next_wake()
        runs.look_if_due()
        return interval if at is None else min(interval, max(0.0, at - clock.now()))

    def _note_if_due(self) -> None:
        """Reports of availability tell when nobody watched."""
        if clock.monotonic() - self._noted >= watching.EVERY:
            watching.note()
            self._noted = clock.monotonic()

    def _forget_if_due(self) -> None:
        """Once an hour: probe times that no page shows any more go. The history stays whole."""
        if clock.monotonic() - self._forgot >= 3600:
            self._forgot = clock.monotonic()
            ProbeTime.objects.filter(at__lt=clock.now() - PROBE_TIMES_KEPT).delete()


ticker = Ticker()


class TickerStep(bootsteps.StartStopStep):
    """Runs the ticker with the worker, not with the consumer: it outlives a loss of the broker."""

    def start(self, worker: Any) -> None:
        """Called by Celery when the worker starts."""
        ticker.start()

    def stop(self, worker: Any) -> None:
        """Called by Celery when the worker stops."""
        ticker.stop()


app.steps["worker"].add(TickerStep)
