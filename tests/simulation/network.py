"""The ways between the nodes and the cluster service: a broker that loses, doubles and reorders, and HTTP."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from monitoring.core.messages import MessageError, Upward, seal
from tests.simulation.loop import Later
from tests.simulation.machine import Answer, Machine

UP, DOWN, HTTP = "up", "down", "http"
"""What can be cut: to the broker, from the broker, and the second path."""


@dataclass
class Chances:
    """How badly messages travel now."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0


class Server(Protocol):
    """The cluster service and the dashboard, as the network sees them."""

    def receive(self, raw: dict[str, Any]) -> None: ...

    def decide(self, ids: list[int]) -> None: ...

    def exchange(self, raws: list[dict[str, Any]]) -> list[Any]: ...


class Network:
    """The broker with its queues, and the links to it."""

    def __init__(self, rng: random.Random, now: Callable[[], float], later: Later) -> None:
        self.chances = Chances()
        self.is_up = True
        self.faults = 0
        self.cuts: set[tuple[str, str]] = set()
        """(node, what is cut)."""
        self.machines: dict[str, Machine] = {}
        self.server: Server
        self.service_is_up = True
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
        key = self.machines[name].key
        for message in messages:
            raw = seal(name, message, key)
            self._carry(lambda raw=raw: self._put_up(lambda: self.server.receive(raw)))  # type: ignore[misc]
        self._after(self._rng.uniform(0.0005, 0.002), lambda: answer([]))

    def by_http(self, name: str, messages: list[Upward], answer: Answer) -> None:
        """The second path: a request that may be lost on its way there or back."""
        if (name, HTTP) in self.cuts:
            self._after(self._rng.uniform(0.01, 2.0), lambda: answer(None))
            return
        key = self.machines[name].key
        raws = [seal(name, message, key) for message in messages]
        self._after(self._rng.uniform(0.001, 0.05), lambda: self._request(raws, answer))

    def _request(self, raws: list[dict[str, Any]], answer: Answer) -> None:
        try:
            answers: list[Any] | None = self.server.exchange(raws)
        except MessageError:
            answers = None
        if self._rng.random() < self.chances.lost:
            self.faults += 1
            answers = None
        self._after(self._rng.uniform(0.001, 0.05), lambda: answer(answers))

    # From the cluster service

    def send_task(self, name: str, queue: str, args: list[Any]) -> None:
        """In place of `publish.send_task`: never fails the caller."""
        if not self.is_up:
            return
        if name == "cluster.decide":
            self._carry(lambda: self._put_up(lambda: self.server.decide(args[0])))
        else:
            node = queue.removeprefix("node.")
            self._carry(lambda: self._put_down(node, args[0]))

    # The broker

    def lose_everything(self) -> None:
        """The broker starts anew, with empty queues."""
        self._life += 1
        self._queues.clear()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._later(self._now() + seconds, call)

    def _carry(self, call: Callable[[], None]) -> None:
        """A message on its way through the broker, as well as the network is now."""
        life, chances, rng = self._life, self.chances, self._rng
        if chances.lost and rng.random() < chances.lost:
            self.faults += 1
            return
        copies = 2 if chances.doubled and rng.random() < chances.doubled else 1
        for _ in range(copies):
            is_late = bool(chances.late) and rng.random() < chances.late
            self.faults += is_late or copies > 1
            delay = rng.uniform(0.05, 5.0) if is_late else rng.uniform(0.0002, 0.001)
            self._after(delay, lambda: call() if life == self._life else None)

    def _put_up(self, call: Callable[[], None]) -> None:
        if self.service_is_up and self.is_up:
            call()
        else:
            self._queues[""].append(call)

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
        if self.service_is_up and self.is_up:
            waiting, self._queues[""] = self._queues[""], deque()
            for number, call in enumerate(waiting):
                self._after(0.001 * number, lambda call=call: self._put_up(call))  # type: ignore[misc]
