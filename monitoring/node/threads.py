"""Threads for what blocks: one for each call that runs, not one for each resource.

A call gets a thread that is idle, the one that became so last, or a new one: it never waits for
another call, however many hang. What is not needed for a while ends, so that after a burst (two
thousand resources that come online at once) there are as many threads as run at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

IDLE_SECONDS = 10.0
"""How long a thread waits for its next call before it ends."""


class Threads:
    """Idle threads, the one used last on top. Called from any thread."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def run(self, job: Callable[[], None], name: str) -> None:
        """Run `job`, which raises nothing, at once; its thread is called `name` meanwhile."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = _Worker(self)
            threading.Thread(target=worker.work, name=name, daemon=True).start()
        worker.jobs.put((job, name))

    def returned(self, worker: _Worker) -> None:
        """A worker has done its job, and waits for another."""
        with self._lock:
            self._idle.append(worker)

    def may_end(self, worker: _Worker) -> bool:
        """True where nothing can come any more for a worker that has waited long enough."""
        with self._lock:
            if worker not in self._idle:
                return False  # it was just given a job
            self._idle.remove(worker)
            return True

    def wait(self, worker: _Worker) -> tuple[Callable[[], None], str] | None:
        """The next job of a worker; None where it is to end."""
        while True:
            try:
                return worker.jobs.get(timeout=self._idle_seconds)
            except Empty:
                if self.may_end(worker):
                    return None


class _Worker:
    """One thread."""

    def __init__(self, threads: Threads) -> None:
        self.jobs: SimpleQueue[tuple[Callable[[], None], str]] = SimpleQueue()
        self._threads = threads

    def work(self) -> None:
        me = threading.current_thread()
        while found := self._threads.wait(self):
            job, me.name = found
            job()
            del job, found  # what it holds is not kept while the thread is idle
            self._threads.returned(self)


shared = Threads()
"""Those of this process."""
