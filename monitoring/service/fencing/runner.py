"""The thread of the cluster service that does what fencing has to do, one thread a node beside it.

Several cluster services may run. Whoever claims a fence first does it; a claim is renewed while
its work goes on and runs out by itself, so that another takes over from one that was killed.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from celery import bootsteps
from django.db import close_old_connections, connection
from django.db.models import Q

from clusterweb.celery import app
from monitoring.models import Fence, FenceDevice
from monitoring.service import clock
from monitoring.service.fencing import work

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
CLAIM = 10.0
"""Seconds that a claim lasts unless it is renewed."""


class FenceRunner(threading.Thread):
    """Looks for work twice a second: two queries where there is none."""

    def __init__(self) -> None:
        super().__init__(name="fencing", daemon=True)
        self.me = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        self._halt = threading.Event()
        self._fences: dict[int, threading.Event] = {}
        """Fences in hand, each with the event that says that nobody waits for it any more."""
        self._tests: set[int] = set()

    def finish(self) -> None:
        """Claim nothing more. What is under way is left to who takes over."""
        self._halt.set()

    def run(self) -> None:
        """Look, sleep, look. A database that is away is waited for."""
        while not self._halt.wait(LOOK_EVERY):
            try:
                close_old_connections()
                self.look()
            except Exception:
                log.exception("the fencing thread could not look; it tries again")
                connection.close()

    def look(self) -> None:
        """Renew the claims in hand, and begin what is due."""
        now = clock.now()
        for pk, cancelled in list(self._fences.items()):
            mine = Fence.objects.filter(pk=pk, finished=None, claimed_by=self.me)
            renewed = mine.filter(claimed_until__isnull=False).update(claimed_until=now + CLAIM)
            if not renewed and not mine.exists():
                cancelled.set()
        for pk in claim_fences(self.me, now, besides=list(self._fences)):
            self._fences[pk] = threading.Event()
            self._start(f"fence {pk}", partial(self._fence, pk))
        for pk in list(self._tests):
            FenceDevice.objects.filter(pk=pk, claimed_until__isnull=False).update(claimed_until=now + CLAIM)
        for pk in claim_tests(now, besides=list(self._tests)):
            self._tests.add(pk)
            self._start(f"fence test {pk}", partial(self._test, pk))

    def _start(self, name: str, call: Callable[[], None]) -> None:
        def run() -> None:
            try:
                call()
            except Exception:
                log.exception("%s could not go on; it is taken up again", name)
            finally:
                connection.close()

        threading.Thread(target=run, name=name, daemon=True).start()

    def _fence(self, pk: int) -> None:
        try:
            work.proceed(pk, self.me, self._fences[pk].is_set)
        finally:
            del self._fences[pk]

    def _test(self, pk: int) -> None:
        try:
            work.carry_out_test(pk)
        finally:
            self._tests.discard(pk)


def claim_fences(me: str, now: float, besides: Collection[int] = ()) -> list[int]:
    """Claim every fence that is due and in nobody's hand. One query where there is none."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = Fence.objects.filter(free, finished=None, next_at__lte=now).exclude(pk__in=besides)
    return [
        pk
        for pk in due.values_list("pk", flat=True)
        if due.filter(pk=pk).update(claimed_by=me, claimed_until=now + CLAIM)
    ]


def claim_tests(now: float, besides: Collection[int] = ()) -> list[int]:
    """Claim every test of a device that was asked for and is in nobody's hand."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = FenceDevice.objects.filter(free, test_operation__isnull=False).exclude(pk__in=besides)
    return [
        pk for pk in due.values_list("pk", flat=True) if due.filter(pk=pk).update(claimed_until=now + CLAIM)
    ]


runner = FenceRunner()


class FencingStep(bootsteps.StartStopStep):
    """Runs the fencing thread with the worker: it outlives a loss of the broker."""

    def start(self, worker: Any) -> None:
        """Called by Celery when the worker starts."""
        runner.start()

    def stop(self, worker: Any) -> None:
        """Called by Celery when the worker stops."""
        runner.finish()


app.steps["worker"].add(FencingStep)
