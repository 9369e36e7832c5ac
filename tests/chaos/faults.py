"""What goes wrong: a schedule under a seed, every kind once before any comes again at random.

Each fault begins, lasts, and is undone; several may last at once. What no cluster of this kind can
survive with one owner is left out, and stands in docs/safety.md: an agent and its guard that are
frozen or killed together.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import redis

from tests.chaos.fabric import BROKER, DATABASE, FRONT, NODES, SECOND
from tests.chaos.parts import SERVICES, WEBS, Parts, wake

Undo = Callable[[], None]
KILL, STOP = signal.SIGKILL, signal.SIGSTOP
GUARD_REST = 3.0
"""Seconds after a fault of a node's guard in which its agent is left alone, and the other way round."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `cut`: it needs a network that can be cut."""

    name: str
    strike: Callable[[], Undo | None]
    shortest: float = 0.0
    longest: float = 0.0
    cut: bool = False


class Faults(threading.Thread):
    """Strikes until it is stopped; then everything is undone."""

    def __init__(
        self, parts: Parts, rng: random.Random, say: Callable[[str], None], only: Collection[str] = ()
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self._parts, self._fabric, self._rng, self._say = parts, parts.fabric, rng, say
        self._stop_asked = threading.Event()
        self._pending: list[tuple[float, str, Undo]] = []
        self._spared: dict[str, float] = {}
        """Until when the other half of a node's pair, agent and guard, is left alone."""
        self.done: Counter[str] = Counter()
        possible = [kind for kind in self._all() if parts.fabric.can_cut or not kind.cut]
        self.kinds = [kind for kind in possible if not only or kind.name in only]

    def _all(self) -> list[Kind]:
        return [
            Kind("agent killed", lambda: self._agent(KILL)),
            Kind("agent frozen", lambda: self._agent(STOP), 0.5, 9.0),
            Kind("guard killed", lambda: self._guard(KILL)),
            Kind("guard frozen", lambda: self._guard(STOP), 0.5, 6.0),
            Kind("parent of services killed", self._helper),
            Kind("service of a group killed", lambda: self._service(KILL)),
            Kind("service of a group frozen", lambda: self._service(STOP), 0.5, 8.0),
            Kind("cluster service killed", lambda: self._server(SERVICES, KILL)),
            Kind("cluster service frozen", lambda: self._server(SERVICES, STOP), 0.5, 8.0),
            Kind("both cluster services killed", self._both_services),
            Kind("dashboard killed", lambda: self._server(WEBS, KILL)),
            Kind("dashboard frozen", lambda: self._server(WEBS, STOP), 0.5, 8.0),
            Kind("broker restarted empty", lambda: self._send(BROKER, KILL)),
            Kind("broker frozen", lambda: self._send(BROKER, STOP), 0.5, 5.0),
            Kind("broker emptied", self._flush),
            Kind("database restarted", lambda: self._send(DATABASE, signal.SIGINT)),
            Kind("database crashed", lambda: self._send(DATABASE, signal.SIGQUIT)),
            Kind("node unplugged", lambda: self._unplug(NODES), 0.5, 10.0, cut=True),
            Kind("node cut off from the broker", self._off_broker, 0.5, 10.0, cut=True),
            Kind("node cut off from the dashboard", self._off_web, 0.5, 10.0, cut=True),
            Kind("node not heard by the broker", lambda: self._one_way(out=True), 0.5, 10.0, cut=True),
            Kind("node does not hear the broker", lambda: self._one_way(out=False), 0.5, 10.0, cut=True),
            Kind("second server unplugged", lambda: self._unplug((SECOND,)), 0.5, 8.0, cut=True),
            Kind("second server cut off from the database", self._off_database, 0.5, 8.0, cut=True),
            Kind("broker unplugged", lambda: self._unplug((BROKER,)), 0.5, 5.0, cut=True),
            Kind("database unplugged", lambda: self._unplug((DATABASE,)), 0.5, 5.0, cut=True),
        ]

    # The schedule

    def run(self) -> None:
        kinds = self._order()
        while not self._stop_asked.is_set():
            self._strike(next(kinds))
            until = time.monotonic() + self._rng.uniform(0.3, 3.5)
            while time.monotonic() < until and not self._stop_asked.is_set():
                self._undo_due(time.monotonic())
                self._stop_asked.wait(0.05)
        self._undo_due(float("inf"))
        self._fabric.heal()

    def _order(self) -> Iterator[Kind]:
        first = list(self.kinds)
        self._rng.shuffle(first)
        yield from first
        while True:
            yield self._rng.choice(self.kinds)

    def _strike(self, kind: Kind) -> None:
        seconds = self._rng.uniform(kind.shortest, kind.longest)
        try:
            undo = kind.strike()
        except (OSError, RuntimeError, redis.RedisError, subprocess.TimeoutExpired) as error:
            self._say(f"{kind.name}: not done: {error}")
            return
        if undo is None:
            return  # there was nothing of the sort to strike
        self.done[kind.name] += 1
        self._say(f"{kind.name}" + (f" for {seconds:.1f} s" if kind.longest else ""))
        self._pending.append((time.monotonic() + seconds, kind.name, undo))

    def _undo_due(self, now: float) -> None:
        for entry in [each for each in self._pending if each[0] <= now]:
            self._pending.remove(entry)
            entry[2]()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(60)

    # The kinds. Each returns how it is undone, None where it could not be done

    def _send(self, name: str, number: signal.Signals) -> Undo | None:
        if not self._parts.send(name, number):
            return None
        return lambda: self._wake_part(name)

    def _wake_part(self, name: str) -> None:
        self._parts.send(name, signal.SIGCONT)

    def _half(self, node: str, half: str) -> bool:
        """Take one half of a node's pair for a fault: not while the other suffers from one."""
        other = {"agent": "guard", "guard": "agent"}[half]
        now = time.monotonic()
        if self._spared.get(f"{node} {half}", 0.0) > now:
            return False
        self._spared[f"{node} {other}"] = float("inf")
        return True

    def _rested(self, node: str, half: str) -> None:
        other = {"agent": "guard", "guard": "agent"}[half]
        self._spared[f"{node} {other}"] = time.monotonic() + GUARD_REST

    def _agent(self, number: signal.Signals) -> Undo | None:
        node = self._rng.choice(NODES)
        if not self._half(node, "agent"):
            return None
        if not self._parts.send(node, number):
            self._rested(node, "agent")
            return None

        def undo() -> None:
            self._wake_part(node)
            self._rested(node, "agent")

        return undo

    def _guard(self, number: signal.Signals) -> Undo | None:
        node = self._rng.choice(NODES)
        if not self._half(node, "guard"):
            return None
        pid = self._parts.guard(node)
        if pid is None or self._parts.all[node].pid is None or not _send_to(pid, number):
            self._rested(node, "guard")
            return None

        def undo() -> None:
            wake([pid])
            self._rested(node, "guard")

        return undo

    def _helper(self) -> Undo | None:
        return self._one_of(self._parts.helpers(self._rng.choice(NODES)), KILL)

    def _service(self, number: signal.Signals) -> Undo | None:
        return self._one_of([pid for node in NODES for pid in self._parts.services_of(node)], number)

    def _one_of(self, pids: list[int], number: signal.Signals) -> Undo | None:
        if not pids:
            return None
        pid = self._rng.choice(pids)
        return (lambda: wake([pid])) if _send_to(pid, number) else None

    def _server(self, names: tuple[str, str], number: signal.Signals) -> Undo | None:
        return self._send(self._rng.choice(names), number)

    def _both_services(self) -> Undo | None:
        struck = [self._send(name, KILL) for name in SERVICES]
        return (lambda: None) if any(struck) else None

    def _flush(self) -> Undo | None:
        redis.Redis.from_url(self._parts.broker_url, socket_timeout=1, socket_connect_timeout=1).flushall()
        return lambda: None

    def _unplug(self, places: tuple[str, ...]) -> Undo:
        place = self._rng.choice(places)
        self._fabric.unplug(place)
        return lambda: self._fabric.plug(place)

    def _silence(self, *pairs: tuple[str, str]) -> Undo:
        for sender, receiver in pairs:
            self._fabric.silence(sender, receiver)

        def undo() -> None:
            for sender, receiver in pairs:
                self._fabric.hear(sender, receiver)

        return undo

    def _off_broker(self) -> Undo:
        node = self._rng.choice(NODES)
        return self._silence((node, BROKER), (BROKER, node))

    def _off_web(self) -> Undo:
        node = self._rng.choice(NODES)
        return self._silence(*((node, place) for place in (FRONT, SECOND)))

    def _one_way(self, out: bool) -> Undo:
        node = self._rng.choice(NODES)
        return self._silence((node, BROKER) if out else (BROKER, node))

    def _off_database(self) -> Undo:
        return self._silence((SECOND, DATABASE), (DATABASE, SECOND))


def _send_to(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
