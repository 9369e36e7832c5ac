"""The cluster service with its workers, and the dashboards: processes on one database."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from monitoring.core.messages import MessageError, seal
from monitoring.models import Cluster, Node
from monitoring.service import clock, decide, inbox, membership, publish, second_path
from monitoring.service.lock import cluster_lock
from tests.simulation.loop import Later
from tests.simulation.process import Kernel, Process

WORKERS, DASHBOARDS = 2, 2
Task = Callable[[], None]


class Worker(Process):
    """One worker of the cluster service: it takes one task after the other; beside it its ticker looks."""

    def __init__(self, name: str, boot: float, wall: float) -> None:
        super().__init__(name, boot, wall)
        self.backlog: deque[Task] = deque()
        """What it has fetched from the queue and not begun."""
        self.is_busy = False
        self.is_looking = False
        self.looks = 0
        self.has_committed = False

    def reset(self) -> None:
        self.backlog.clear()
        self.is_busy = self.is_looking = self.has_committed = False
        self.looks += 1


class Servers:
    """All server processes. `offer` is how tasks come in."""

    def __init__(self, rng: random.Random, now: Callable[[], float], later: Later) -> None:
        self.kernel = Kernel(now, later)
        self.kernel.on_death, self.kernel.on_thaw = self._died, self._thawed
        self.on_change: Callable[[], None] = lambda: None
        """Called when a worker is back."""
        self.on_start: Callable[[Worker], None] = lambda worker: None
        """Called when a worker has started."""
        self.on_queue: Callable[[Task], None] = lambda task: None
        """Puts a task on the queue again."""
        self._rng, self._now, self._later = rng, now, later

        def place(name: str) -> tuple[str, float, float]:
            return name, rng.uniform(1e3, 1e6), rng.uniform(-2.0, 2.0)

        self.workers = [Worker(*place(f"worker {n + 1}")) for n in range(WORKERS)]
        self.dashboards = [Process(*place(f"dashboard {n + 1}")) for n in range(DASHBOARDS)]

    @property
    def all(self) -> Sequence[Process]:
        return (*self.workers, *self.dashboards)

    def at(self, place: int) -> Process:
        return self.all[place % len(self.all)]

    # Life and death

    def start(self, process: Process) -> None:
        """Start a process where it is down."""
        if process.is_up:
            return
        self.kernel.start(process)
        if isinstance(process, Worker):
            process.reset()
            self.kernel.run(process, membership.observe)
            self._nudge(process)
            self.on_start(process)
            self.on_change()

    def kill(self, process: Process) -> None:
        """SIGKILL. What a worker had fetched is lost, or comes again."""
        if not process.is_up:
            return
        backlog = list(process.backlog) if isinstance(process, Worker) else []
        self.kernel.kill(process)
        self._forget(process, backlog)

    def _died(self, process: Process) -> None:
        """It died by itself; systemd starts it anew."""
        self._forget(process, list(process.backlog) if isinstance(process, Worker) else [])
        self._later(self._now() + self._rng.uniform(0.1, 2.0), lambda: self.start(process))

    def _forget(self, process: Process, backlog: list[Task]) -> None:
        if isinstance(process, Worker):
            process.reset()
        for task in backlog:
            if self._rng.random() < 0.5:
                self.on_queue(task)

    def _thawed(self, process: Process) -> None:
        if isinstance(process, Worker):
            self._nudge(process)
            self._next(process)
            self.on_change()

    # The workers' tasks

    @property
    def can_take(self) -> bool:
        """A worker is there to fetch tasks."""
        return any(w.is_up for w in self.workers)

    def take(self, task: Task) -> None:
        """A worker fetches the task: one that is busy, or stands still, may have been quicker to fetch."""
        up = [w for w in self.workers if w.is_up]
        worker = self._rng.choice(up)
        idle = [w for w in up if not w.is_frozen and not w.is_busy]
        if worker not in idle and idle and self._rng.random() < 0.7:
            worker = self._rng.choice(idle)
        worker.backlog.append(task)
        self._next(worker)

    def _next(self, worker: Worker) -> None:
        if worker.is_busy or worker.is_frozen or not worker.is_up or not worker.backlog:
            return
        task = worker.backlog.popleft()
        worker.is_busy = True
        self.kernel.run(worker, task, lambda error: self._done(worker, task, error))

    def _done(self, worker: Worker, task: Task, error: BaseException | None) -> None:
        worker.is_busy = False
        if not worker.is_up:
            if self._rng.random() < 0.5:  # it was not acknowledged, and comes again
                self._later(self._now() + self._rng.uniform(0.0, 2.0), lambda: self.on_queue(task))
            return
        if worker.has_committed:
            worker.has_committed = False
            self._nudge(worker)
        self._later(self._now(), lambda: self._next(worker))

    def receive(self, raw: dict[str, Any]) -> None:
        """As the task `cluster.receive`."""
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
        decide.decide(ids)

    def committed(self) -> None:
        """A transaction was committed: the ticker of its worker looks after the task."""
        thread = self.kernel.current
        if thread is not None and isinstance(thread.process, Worker):
            thread.process.has_committed = True

    # The workers' tickers

    def _nudge(self, worker: Worker, pause: float = 0.0) -> None:
        worker.looks += 1
        mine = worker.looks
        self._later(self._now() + pause, lambda: self._look(worker) if mine == worker.looks else None)

    def _look(self, worker: Worker) -> None:
        if worker.is_looking or worker.is_frozen or not worker.is_up:
            return
        worker.is_looking = True
        pauses = [0.5]
        self.kernel.run(worker, lambda: _look(pauses), lambda error: self._looked(worker, pauses[-1]))

    def _looked(self, worker: Worker, pause: float) -> None:
        worker.is_looking = False
        if worker.is_up:
            self._nudge(worker, pause)

    # The dashboards

    def _dashboard(self) -> Process | None:
        up = [d for d in self.dashboards if d.is_up]
        return self._rng.choice(up) if up else None

    def request(self, call: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """A request to a dashboard; `done` with an error where there is none, or it dies over it."""
        dashboard = self._dashboard()
        if dashboard is None:
            done(ConnectionError())
        elif dashboard.is_frozen:
            dashboard.waiting.append(lambda: self.kernel.run(dashboard, call, done))
        else:
            self.kernel.run(dashboard, call, done)

    def exchange(self, raws: list[dict[str, Any]], answer: Callable[[list[Any] | None], None]) -> None:
        """The second path."""
        answers: list[Any] = []

        def call() -> None:
            answers.extend(second_path.exchange(raws))

        def refused() -> None:
            try:
                call()
            except MessageError as error:
                raise ConnectionError from error

        self.request(refused, lambda error: answer(answers if error is None else None))


def _look(pauses: list[float]) -> None:
    """As the ticker does; the last of `pauses` is the seconds until the next look."""
    interval = Cluster.objects.values_list("heartbeat_interval_ms", flat=True).get() / 1000
    membership.look_if_due(interval)
    at = decide.next_wake()
    if at is not None and at <= clock.now():
        with cluster_lock() as held:
            decide.due(held)
        at = decide.next_wake()
    pauses.append(interval if at is None else min(interval, max(0.001, at - clock.now())))
