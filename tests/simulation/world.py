"""The world of one seed: machines, network, servers and operators, a schedule of faults, and the law.

The decisions, the service's transactions, the agents and the messages are the real ones.
`play` carries out a schedule, checks the law after every step, lets the faults stop, and sees
that everything comes to rest.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

from django.db import connection

from monitoring.core.messages import Assignment, MessageError, open_down
from monitoring.models import Cluster, Dependency, Group, Node, PreferredOwner, Resource, ResourceType
from monitoring.node import clock as node_clock
from monitoring.node import context, inheritance, instance, member, probes, resource
from monitoring.service import clock, journal, publish, refusals
from monitoring.service.fencing import work
from tests.simulation import law
from tests.simulation.faults import Faults, Step
from tests.simulation.fencing import Fencing
from tests.simulation.guard import Leftovers
from tests.simulation.law import Grants, Word
from tests.simulation.loop import BootClock
from tests.simulation.machine import Courier, Machine
from tests.simulation.network import Network
from tests.simulation.operators import TERMS, Operators
from tests.simulation.program import TYPE
from tests.simulation.schedule import NODES
from tests.simulation.server import Servers, Worker

SHAPES = (
    (((),), ((0,),), ((1,),)),
    (((),), ((0,),), ((0,),), ((1,), (2,))),
    (((),), ((),), ((0, 1),)),
)
"""Dependency expressions by place in the group: a chain, a diamond, an alternative."""
REST = 45.0
"""Seconds within which everything comes to rest once the faults have stopped."""
QUIET = 3.0
"""Seconds for which it has to stay so."""


class World:
    """One simulated cluster."""

    def __init__(self, seed: int, trace: bool = False) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.trace: list[str] | None = [] if trace else None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.servers = Servers(self.rng, self._time, self.at)
        self.network = Network(self.rng, self._time, self.at)
        self.network.server = self.servers
        self.servers.on_change, self.servers.on_queue = self.network.look, self.network.put_up
        self.servers.on_start = self._worker_started
        self.machines = self.network.machines
        self.requires: dict[int, tuple[tuple[int, ...], ...]] = {}
        self.members: dict[int, set[int]] = {}
        self._grants = Grants()
        self._maintenance = law.Maintenance()
        self.fencing = Fencing(self)
        self._named: dict[int, Machine] = {}
        self._build()
        self.word = Word.at_first(self.requires, self.members)
        self.operators = Operators(self)
        self.faults = Faults(self)

    def _worker_started(self, worker: Worker) -> None:
        self.fencing.look(worker)

    def _time(self) -> float:
        return self.now

    # Building

    def _build(self) -> None:
        _clean()
        interval, lease, margin = self.rng.choice(TERMS)
        Cluster.objects.create(
            pk=1,
            heartbeat_interval_ms=interval,
            lease_ms=lease,
            margin_ms=margin,
            quarantine_threshold=self.rng.choice((0, 0, 0, 1, 2)),
            quarantine_duration_s=60,
        )
        kind = ResourceType.objects.create(
            name=TYPE,
            dll_name="sim",
            looks_alive_ms=400,
            is_alive_ms=1500,
            pending_timeout_ms=2500,
            deadlock_timeout_ms=3000,
        )
        for number in range(self.rng.choice((2, 2, 3))):
            row = Node.objects.create(name=f"NODE{number + 1}", key=f"{number}" * 64)
            start, rate = self.rng.uniform(0, 1e6), 1 + self.rng.uniform(-1e-3, 1e-3)
            boot = BootClock(self._time, start, rate)
            self.machines[row.name] = Machine(
                row.name, row.key, self.rng, _home() / row.name, boot, self.at, self.requires, self.network
            )
        if self.rng.random() < 0.5:
            self.fencing.build()
        for number in range(self.rng.choice((1, 2))):
            self._build_group(number, kind)

    def _build_group(self, number: int, kind: ResourceType) -> None:
        rows = list(Node.objects.all())
        group = Group.objects.create(
            name=f"EVS{number + 1}",
            owner=rows[number % len(rows)],
            persistent_online=True,
            auto_failback=self.rng.random() < 0.5,
            failover_threshold=self.rng.choice((1, 3, 0xFFFFFFFF)),
        )
        if self.rng.random() < 0.7:
            PreferredOwner.objects.create(group=group, node=rows[number % len(rows)], position=0)
        made: list[Resource] = []
        for place, clauses in enumerate(self.rng.choice(SHAPES)):
            row = Resource.objects.create(
                group=group, type=kind, name=f"{group.name} R{place}", restart_delay_ms=200
            )
            row.properties = {"Id": row.pk}
            row.save(update_fields=["properties"])
            made.append(row)
            for index, clause in enumerate(clauses):
                for provider in clause:
                    Dependency.objects.create(resource=row, provider=made[provider], clause=index)
            self.requires[row.pk] = tuple(tuple(made[p].pk for p in clause) for clause in clauses if clause)
        self.members[group.pk] = {row.pk for row in made}

    # Time

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call something at that time of the world."""
        heapq.heappush(self._queue, (when, next(self._numbers), call))

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now:8.3f} {text}")

    def play(self, schedule: list[Step]) -> None:
        """Play a schedule, let the faults stop, and see that everything comes to rest."""
        with self._in_place():
            for process in self.servers.all:
                self.servers.start(process)
            for machine in self.machines.values():
                machine.start()
            for step in schedule:
                self.at(step.at, partial(self.faults.do, step))
            self._until(max((s.at for s in schedule), default=0.0) + 1.0)
            self.faults.stop()
            self.operators.end_exceptions()
            self._come_to_rest()
            self.word.check_remembered()
            self._bring_back()
            self._come_to_rest()
            law.check_all_back()
            law.check_history()
            self.operators.check_kept()

    def _until(self, end: float) -> None:
        while self._queue and self._queue[0][0] <= end:
            self.now, _, call = heapq.heappop(self._queue)
            call()
            self.steps += 1
            self._check()
        self.now = end

    def _check(self) -> None:
        law.check_owners(self.running())
        for machine in self.machines.values():
            if machine.broken is not None:
                raise machine.broken

    def _come_to_rest(self) -> None:
        """Run until nothing is going on any more; it has to come to that."""
        limit, rested = self.now + REST, self.now
        reason = "it has only just begun"
        while self.now < rested + QUIET:
            self._until(self.now + 1.0)
            if reason := law.unsettled(self.running()):
                rested = self.now
            if rested >= limit:
                raise law.Violation(reason)

    def running(self) -> dict[str, set[int]]:
        """What really runs, or is held, on each machine."""
        return {name: machine.running() for name, machine in self.machines.items()}

    def _bring_back(self) -> None:
        """What an operator does after such a night: resume the nodes, bring back what was given up."""
        for row in Node.objects.filter(paused=True):
            self.operators.click("resume", node=row.pk)
        for group in Group.objects.filter(persistent_online=True):
            self.operators.click("online", group=group.pk)

    # The real parts, put in place

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        add, after_commit, kernel = journal.add, publish.after_commit, self.servers.kernel

        def told(held: Any, text: str, **more: Any) -> Any:
            self.note(f"history {held.cluster.last_event + 1}: {text}")
            return add(held, text, **more)

        def committed(held: Any) -> None:
            self.operators.committed(held)
            self.servers.committed()
            with kernel.unwatched():
                for node, _, message in held.messages:
                    if isinstance(message, Assignment):
                        self._grants.check(node, message, self.word)
                if self.operators.has_maintained:
                    self._maintenance.check(message for _, _, message in held.messages)
            kernel.point()
            after_commit(held)

        def statement(execute: Callable[..., Any], *arguments: Any) -> Any:
            kernel.point()
            return execute(*arguments)

        leftovers = Leftovers(self.machines)
        with ExitStack() as stack:
            for target, name, value in (
                (clock, "time", kernel),
                (clock, "_offset", 0.0),
                (journal, "add", told),
                (publish, "after_commit", committed),
                (refusals, "count", self._refused),
                (publish, "announce", lambda held: None),
                (publish, "send_task", self._send_task),
                (work, "time", kernel),
                (work, "_over_since", {}),
                (work, "_carry_out", self.fencing.carry_out),
                (inheritance, "keeper", leftovers),
                (inheritance, "record", leftovers),
                (inheritance, "marks", leftovers),
                (node_clock, "now", lambda: asyncio.get_running_loop().time()),
                (probes, "time", _PerfCounter),
                (member, "Courier", Courier),
                (resource, "in_thread", _at_once),
                (instance, "in_thread", _at_once),
                (context, "in_thread", _at_once),
            ):
                stack.enter_context(mock.patch.object(target, name, value))
            stack.callback(self._end_threads)
            stack.enter_context(connection.execute_wrapper(statement))
            yield

    def _refused(self, node: int | None, reason: str) -> None:
        self.note(f"refused a message in the name of node {node}: {reason}")

    def _end_threads(self) -> None:
        """What still waits somewhere must not wake in the next world."""
        for process in self.servers.all:
            self.servers.kernel.kill(process)

    def _send_task(self, name: str, queue: str, args: list[Any]) -> None:
        self.servers.kernel.point()
        if self.trace is not None and name == "node.command":
            node = queue.removeprefix("node.")
            self.note(f"to {node}: {_shown(args[0], node, self.machines[node].key)}")
        self.network.send_task(name, queue, args)

    # For schedules, which name things by their place

    def group_at(self, place: int) -> int:
        return sorted(self.members)[place % len(self.members)]

    def resource_at(self, group: int, place: int) -> int:
        rids = sorted(self.members[group])
        return rids[place % len(rids)]

    def machine_at(self, place: int) -> Machine:
        """A machine by its number; from NODES on the one that owns a group now, and stays meant by it."""
        if place < NODES:
            return list(self.machines.values())[place % len(self.machines)]
        if place not in self._named:
            owner = Group.objects.filter(pk=self.group_at(place - NODES)).values_list(
                "owner__name", flat=True
            )
            self._named[place] = self.machines.get(owner.get() or "") or self.machine_at(place % NODES)
        return self._named[place]


class _PerfCounter:
    """In place of the module `time` where probes are timed."""

    @staticmethod
    def perf_counter() -> float:
        return asyncio.get_running_loop().time()


def _shown(raw: Any, node: str, key: str) -> str:
    try:
        return str(open_down(raw, node, key))
    except MessageError as error:
        return f"what it will refuse: {error}"


async def _at_once(function: Callable[[], Any]) -> Any:
    """In place of a thread for a blocking call: a moment of simulated time."""
    await asyncio.sleep(0.002)
    return function()


@cache
def _home() -> Path:
    """A folder for what the agents put on disk; nothing in it is looked at."""
    return Path(tempfile.mkdtemp(prefix="clusterweb-simulation-"))


@cache
def _tables() -> tuple[str, ...]:
    return tuple(name for name in connection.introspection.table_names() if name.startswith("monitoring_"))


def _clean() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys=OFF")
        for table in (*_tables(), "sqlite_sequence"):  # the same seed has the same ids
            cursor.execute(f"DELETE FROM {table}")
