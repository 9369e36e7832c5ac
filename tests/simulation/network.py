"""The ways between the nodes and the cluster service: a broker that loses, doubles and reorders, and HTTP."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from monitoring.core.messages import Upward, seal
from tests.simulation.loop import Later
from tests.simulation.machine import Answer, Machine

UP, DOWN, HTTP = "up", "down", "http"
"""What can be cut or slow: the way to the broker, the way from it, and the second path."""
HTTP_TIMEOUT = 2.0
"""Seconds after which a node gives a request up; the dashboard may still act on it."""


@dataclass
class Chances:
    """How badly messages travel now."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0


class Server(Protocol):
    """The cluster service and the dashboards, as the network sees them."""

    @property
    def can_take(self) -> bool: ...

    def take(self, task: Callable[[], None]) -> None: ...

    def receive(self, raw: dict[str, Any]) -> None: ...

    def decide(self, ids: list[int]) -> None: ...

    def exchange(self, raws: list[dict[str, Any]], answer: Answer) -> None: ...


class Network:
    """The broker with its queues, and the links to it."""

    def __init__(self, rng: random.Random, now: Callable[[], float], later: Later) -> None:
        self.chances = Chances()
        self.is_up = True
        self.faults: Counter[str] = Counter()
        self.cuts: set[tuple[str, str]] = set()
        """(node, what is cut)."""
        self.slow: dict[tuple[str, str], float] = {}
        """(node, what is slow): seconds that a message takes at most."""
        self.machines: dict[str, Machine] = {}
        self.server: Server
        self._rng, self._now, self._later = rng, now, later
        self._life = 0
        self._queues: dict[str, deque[Any]] = defaultdict(deque)
        """What waits for a node that is away, and under "" for the cluster service."""

    # From the nodes

    def by_broker(self, name: str, messages: list[Upward], answer: Answer) -> None:
        """The first path: each message is put on the service's queue, or none is."""
        if not self.is_up or (name, UP) in self.cuts:
            self._after(self._rng.uniform(0.02, 0.5), lambda: answer(None))
            return
        delay = self._delay(name, UP)
        for message in messages:
            raw = seal(name, message, self.machines[name].key)
            self._carry(partial(self.put_up, partial(self.server.receive, raw)), delay)
        self._after(self._rng.uniform(0.0005, 0.002) + delay, lambda: answer([]))

    def by_http(self, name: str, messages: list[Upward], answer: Answer) -> None:
        """The second path: a request that may be lost on its way there or back."""
        if (name, HTTP) in self.cuts:
            self._after(self._rng.uniform(0.01, HTTP_TIMEOUT), lambda: answer(None))
            return
        raws = [seal(name, message, self.machines[name].key) for message in messages]
        once = _Once(answer)
        there, back = self._delay(name, HTTP), self._delay(name, HTTP)
        self._after(self._rng.uniform(0.001, 0.05) + there, lambda: self._request(raws, once, back))
        self._after(HTTP_TIMEOUT, lambda: once(None))

    def _request(self, raws: list[dict[str, Any]], answer: Answer, back: float) -> None:
        def answered(answers: list[object] | None) -> None:
            if self._rng.random() < self.chances.lost:
                self.faults["answer lost"] += 1
                answers = None
            self._after(self._rng.uniform(0.001, 0.05) + back, lambda: answer(answers))

        self.server.exchange(raws, answered)

    # From the cluster service

    def send_task(self, name: str, queue: str, args: list[Any]) -> None:
        """In place of `publish.send_task`: never fails the caller."""
        if not self.is_up:
            return
        if name == "cluster.decide":
            self._carry(partial(self.put_up, partial(self.server.decide, args[0])))
        else:
            node = queue.removeprefix("node.")
            self._carry(partial(self._put_down, node, args[0]), self._delay(node, DOWN))

    # The broker

    def lose_everything(self) -> None:
        """The broker starts anew, with empty queues."""
        self._life += 1
        self._queues.clear()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._later(self._now() + seconds, call)

    def _delay(self, name: str, way: str) -> float:
        """Seconds that a message takes longer than usual on this way."""
        if not (most := self.slow.get((name, way), 0.0)):
            return 0.0
        self.faults["slow"] += 1
        return self._rng.uniform(0.3, 1.0) * most

    def _carry(self, call: Callable[[], None], slower: float = 0.0) -> None:
        """A message on its way through the broker, as well as the network is now."""
        life, chances, rng = self._life, self.chances, self._rng
        if chances.lost and rng.random() < chances.lost:
            self.faults["message lost"] += 1
            return
        copies = 2 if chances.doubled and rng.random() < chances.doubled else 1
        self.faults["message doubled"] += copies - 1
        for _ in range(copies):
            is_late = bool(chances.late) and rng.random() < chances.late
            self.faults["message late"] += is_late
            delay = rng.uniform(0.05, 5.0) if is_late else rng.uniform(0.0002, 0.001)
            self._after(delay + slower, lambda: call() if life == self._life else None)

    def put_up(self, task: Callable[[], None]) -> None:
        """A task for the cluster service is in its queue."""
        if self.server.can_take and self.is_up:
            self.server.take(task)
        else:
            self._queues[""].append(task)

    def _put_down(self, name: str, raw: Any) -> None:
        machine = self.machines[name]
        if machine.agent is not None and machine.hears and self.is_up and (name, DOWN) not in self.cuts:
            machine.agent.deliver(raw)
        else:
            self._queues[name].append(raw)

    def look(self) -> None:
        """Something is back: whoever can take waiting messages gets them, in their order."""
        for name in list(self.machines):
            waiting, self._queues[name] = self._queues[name], deque()
            for raw in waiting:
                self._put_down(name, raw)
        if self.server.can_take and self.is_up:
            waiting, self._queues[""] = self._queues[""], deque()
            for number, task in enumerate(waiting):
                self._after(0.001 * number, partial(self.put_up, task))


class _Once:
    """An answer of which only the first counts."""

    def __init__(self, answer: Answer) -> None:
        self._answer: Answer | None = answer

    def __call__(self, answers: list[object] | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(answers)
