"""Server processes and their threads: each may be stopped or killed between any two statements.

A thread is a greenlet, and gives way only where this file says so: it waits between two
statements outside a transaction, and dies at any statement. What a process keeps in its modules
is put in place while one of its threads runs, so that several live beside each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.exceptions import ValidationError
from django.db import OperationalError, connection
from greenlet import getcurrent, greenlet

from monitoring.core.model import Refused
from monitoring.service import clock, membership
from tests.simulation.loop import Later

EPOCH = 1_700_000_000.0


EXPECTED = (OperationalError, ConnectionError, Refused, ValidationError)
"""What a call may end with."""


class Crash(BaseException):
    """SIGKILL of a process, at the point where this is raised."""


class Process:
    """One server process: its clocks, what it keeps in its modules, whether it runs."""

    def __init__(self, name: str, boot: float, wall: float) -> None:
        self.name = name
        self.boot = boot
        """What its machine's monotonic clock shows when the world begins."""
        self.wall = wall
        """Seconds that its machine's wall clock is wrong by."""
        self.is_up = False
        self.is_frozen = False
        self.life = 0
        """Counts its starts and ends."""
        self.threads: dict[Thread, None] = {}
        self.waiting: deque[Callable[[], None]] = deque()
        """What goes on once the process is not frozen any more."""
        self.crash_in: int | None = None
        """Points after which it dies."""
        self.error_in: int | None = None
        """Points after which the database is away for one statement."""
        self.stall_in: int | None = None
        """Points outside a transaction after which one thread, or the whole process, stands still."""
        self.stall = (0.0, False)
        self._offset = 0.0
        self._observer: membership.Observer | None = None

    def forget(self, offset: float) -> None:
        """A new process begins: it has read the wall clock once."""
        self._offset, self._observer = offset, None
        self.crash_in = self.error_in = self.stall_in = None
        self.is_frozen = False

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The modules are this process's."""
        clock._offset, membership._observer = self._offset, self._observer
        try:
            yield
        finally:
            self._offset, self._observer = clock._offset, membership._observer


class Thread:
    """A call in a process, which may have to wait in the middle."""

    def __init__(
        self, process: Process, call: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        self.process = process
        self.done = done
        """Called when it has ended, with what ended it."""
        self.error: BaseException | None = None
        self._call = call
        self.greenlet = greenlet(self._run)

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:
            self.error = error


class Kernel:
    """Runs the threads of all server processes, on the world's time. Also their clocks."""

    def __init__(self, now: Callable[[], float], later: Later) -> None:
        self.current: Thread | None = None
        self.database_is_up = True
        self.faults = 0
        self.on_death: Callable[[Process], None] = lambda process: None
        """Called when a process died at a point of its own."""
        self.on_thaw: Callable[[Process], None] = lambda process: None
        """Called when a process that stood still goes on."""
        self._now, self._later = now, later
        self._unwatched = False
        self._world_thread = getcurrent()

    # In place of the module `time`, where the service reads it

    def monotonic(self) -> float:
        return self._now() + (self.current.process.boot if self.current is not None else 0.0)

    def time(self) -> float:
        return EPOCH + self._now() + (self.current.process.wall if self.current is not None else 0.0)

    # Processes

    def start(self, process: Process) -> None:
        process.is_up = True
        process.life += 1
        process.forget(EPOCH + process.wall - process.boot)

    def kill(self, process: Process) -> None:
        """All its threads are gone, wherever they were."""
        process.is_up = process.is_frozen = False
        process.life += 1
        process.waiting.clear()
        threads, process.threads = list(process.threads), {}
        with self.unwatched(), process.in_place():
            for thread in threads:
                if thread.greenlet:  # it has begun
                    thread.greenlet.throw(Crash)
        for thread in threads:
            thread.done(Crash())

    def freeze(self, process: Process) -> None:
        process.is_frozen = process.is_up

    def thaw(self, process: Process) -> None:
        process.is_frozen = False
        waiting, process.waiting = process.waiting, deque()
        for call in waiting:
            call()
        self.on_thaw(process)

    # Threads

    def run(
        self,
        process: Process,
        call: Callable[[], None],
        done: Callable[[BaseException | None], None] = lambda error: None,
    ) -> None:
        """Run a call in a process; it may be over only later."""
        thread = Thread(process, call, done)
        process.threads[thread] = None
        self._resume(thread)

    def _resume(self, thread: Thread) -> None:
        process = thread.process
        if thread not in process.threads:
            return  # it was killed
        if process.is_frozen:
            process.waiting.append(lambda: self._resume(thread))
            return
        self.current = thread
        with process.in_place():
            pause = thread.greenlet.switch()
        self.current = None
        if not thread.greenlet.dead:
            self._later(self._now() + pause, lambda: self._resume(thread))
            return
        del process.threads[thread]
        if isinstance(thread.error, Crash):
            self.kill(process)
            thread.done(thread.error)
            self.on_death(process)
            return
        thread.done(thread.error)
        if thread.error is not None and not isinstance(thread.error, EXPECTED):
            raise thread.error

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """What is done in here is the simulation's own: no points."""
        before, self._unwatched = self._unwatched, True
        try:
            yield
        finally:
            self._unwatched = before

    def sleep(self, seconds: float) -> None:
        """In place of `time.sleep`, for the present thread."""
        assert self.current is not None and not connection.in_atomic_block
        self._world_thread.switch(seconds)

    def point(self) -> None:
        """A point between two steps of the present thread: here it may die, or stand still."""
        if self.current is None or self._unwatched:
            return
        process = self.current.process
        if _is_now(process, "crash_in"):
            self.faults += 1
            raise Crash
        if not self.database_is_up or _is_now(process, "error_in"):
            raise OperationalError("the database is away")
        if not connection.in_atomic_block and _is_now(process, "stall_in"):
            self.faults += 1
            seconds, whole = process.stall
            if whole:
                self.freeze(process)
                self._later(self._now() + seconds, lambda: self.thaw(process))
            self._world_thread.switch(seconds)


def _is_now(process: Process, countdown: str) -> bool:
    """Count one point; True where it is the one."""
    left = getattr(process, countdown)
    if left is None:
        return False
    setattr(process, countdown, left - 1 if left else None)
    return not left
