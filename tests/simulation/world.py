"""The world of one seed: nodes, a broker that loses and doubles, clocks, operators, and the law.

The decisions, the service's transactions, the messages, the plan and the lease of the nodes
are the real ones. `run` plays a schedule of faults and clicks, checks the invariants after
every step, and sees that everything settles when the faults have stopped.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from django.db import connection

from monitoring.core.messages import Assignment, Downward, MessageError, Upward, open_down, seal
from monitoring.core.model import Refused
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import (
    Cluster,
    Dependency,
    Event,
    Group,
    Node,
    Operation,
    PreferredOwner,
    Resource,
    ResourceType,
)
from monitoring.service import clock, decide, inbox, intents, membership, publish
from monitoring.service.lock import Held, cluster_lock
from tests.simulation.node import SimNode, Violation

EPOCH = 1_700_000_000.0
TABLES = (
    "event",
    "phase",
    "probetime",
    "failoverrecord",
    "operation",
    "dependency",
    "preferredowner",
    "possibleowner",
    "resource",
    "group",
    "resourcetype",
    "node",
    "cluster",
)
SHAPES = (
    (((),), ((0,),), ((1,),)),
    (((),), ((0,),), ((0,),), ((1,), (2,))),
    (((),), ((),), ((0, 1),)),
)
"""Dependency expressions by place in the group: a chain, a diamond, an alternative."""


@dataclass(frozen=True)
class Step:
    """One fault or click of a schedule."""

    at: float
    kind: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.at:7.3f} {self.kind}{self.arguments or ''}"


@dataclass
class Network:
    """How badly messages travel now."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    cut: set[str] = field(default_factory=set)


class World:
    """One simulated cluster."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.faults = 0
        self.service_up = True
        self.network = Network()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._held_back: list[Callable[[], None]] = []
        _clean()
        self._stopped: dict[int, tuple[bool, frozenset[int]]] = {}
        self.keys: dict[str, str] = {}
        self.nodes: dict[str, SimNode] = {}
        self._build()

    # Building

    def _build(self) -> None:
        Cluster.objects.create(pk=1)
        kind = ResourceType.objects.create(name="Generic Application", dll_name="sim")
        for number in range(self.rng.choice((2, 2, 3))):
            row = Node.objects.create(name=f"NODE{number + 1}")
            self.keys[row.name] = row.key
            self.nodes[row.name] = SimNode(row.name, self.rng, self.send_up, self.later)
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
            made.append(
                Resource.objects.create(
                    group=group, type=kind, name=f"{group.name} R{place}", restart_delay_ms=200
                )
            )
            for index, clause in enumerate(clauses):
                for provider in clause:
                    Dependency.objects.create(resource=made[-1], provider=made[provider], clause=index)

    # Time and messages

    def later(self, after: float, call: Callable[[], None]) -> None:
        """Call after some simulated seconds."""
        heapq.heappush(self._queue, (self.now + after, next(self._numbers), call))

    def _carry(self, call: Callable[[], None]) -> None:
        """Put a message on its way, as well as the network is today."""
        if self.rng.random() < self.network.lost:
            self.faults += 1
            return
        copies = 1 + (self.rng.random() < self.network.doubled)
        for _ in range(copies):
            late = self.rng.random() < self.network.late
            self.faults += late or copies > 1
            self.later(self.rng.uniform(0.1, 6.0) if late else self.rng.uniform(0.0005, 0.003), call)

    def send_up(self, name: str, message: Upward) -> None:
        """From a node to the cluster service."""
        if name not in self.network.cut:
            raw = seal(name, message, self.keys[name])
            self._carry(lambda: self._at_service(raw))

    def _at_service(self, raw: dict[str, Any]) -> None:
        if not self.service_up:
            self._held_back.append(lambda: self._at_service(raw))
            return
        try:
            answer = inbox.receive(raw)
        except MessageError:
            return
        if answer is not None:
            self.send_down(raw["node"], self.keys[raw["node"]], answer)

    def send_down(self, name: str, key: str, message: Downward) -> None:
        """From the cluster service to a node."""
        self._check_pause(name, message)
        if name not in self.network.cut:
            raw = seal(name, message, key)
            self._carry(lambda: self._at_node(name, raw))

    def _at_node(self, name: str, raw: dict[str, Any]) -> None:
        if name not in self.network.cut:
            self.nodes[name].receive(open_down(raw, name, self.keys[name]), self.now)

    def after_commit(self, held: Held) -> None:
        """In place of `publish.after_commit`."""
        for name, key, message in held.messages:
            self.send_down(name, key, message)
        if held.dirty:
            ids = sorted(held.dirty)
            self.later(0.003, lambda: self._decide(ids))

    def _decide(self, ids: list[int]) -> None:
        if self.service_up:
            decide.decide(ids)

    # Running

    def play(self, schedule: list[Step]) -> None:
        """Play a schedule, let the faults stop, and see that everything settles."""
        with (
            mock.patch.object(clock, "now", lambda: EPOCH + self.now),
            mock.patch.object(clock, "catch_up", lambda newest: None),
            mock.patch.object(clock, "monotonic", lambda: self.now),
            mock.patch.object(publish, "after_commit", self.after_commit),
        ):
            membership.observe()
            membership._looked = float("-inf")
            for node in self.nodes.values():
                node.start()
                self._beat(node)
            self._tick_service()
            for step in schedule:
                self.later(step.at, lambda step=step: self._do(step))  # type: ignore[misc]
            self._until(max((s.at for s in schedule), default=0.0) + 1.0)
            self._heal()
            self._until(self.now + 25.0)
            self._bring_back()
            self._until(self.now + 25.0)
            self.check_settled()

    def _until(self, end: float) -> None:
        while self._queue and self._queue[0][0] <= end:
            self.now, _, call = heapq.heappop(self._queue)
            call()
            self.steps += 1
            self.check_owners()
        self.now = end

    def _beat(self, node: SimNode) -> None:
        node.tick(self.now)
        self.later(0.5, lambda: self._beat(node))
        ends = node.lease.ends
        if ends is not None and self.now < ends < self.now + 0.5:
            self.later(ends - self.now, lambda: node.look(self.now))

    def _tick_service(self) -> None:
        if self.service_up:
            membership.look_if_due(0.5)
            at = decide.next_wake()
            if at is not None and at <= clock.now():
                with cluster_lock() as held:
                    decide.due(held)
        self.later(0.1, self._tick_service)

    # Faults and clicks

    def _do(self, step: Step) -> None:
        self.faults += step.kind != "click"
        getattr(self, f"_do_{step.kind}")(*step.arguments)

    def _do_kill(self, name: str) -> None:
        self.nodes[name].kill()

    def _do_start(self, name: str) -> None:
        if not self.nodes[name].alive:
            self.nodes[name].start()

    def _do_freeze(self, name: str) -> None:
        self.nodes[name].frozen = True

    def _do_thaw(self, name: str) -> None:
        self.nodes[name].frozen = False

    def _do_cut(self, name: str) -> None:
        self.network.cut.add(name)

    def _do_join(self, name: str) -> None:
        self.network.cut.discard(name)

    def _do_network(self, lost: float, doubled: float, late: float) -> None:
        self.network.lost, self.network.doubled, self.network.late = lost, doubled, late

    def _do_broker_loses_everything(self) -> None:
        self._held_back.clear()

    def _do_service_down(self) -> None:
        self.service_up = False

    def _do_service_up(self) -> None:
        if not self.service_up:
            self.service_up = True
            membership.observe()
            membership._looked = float("-inf")
            held_back, self._held_back = self._held_back, []
            for call in held_back:
                self.later(self.rng.uniform(0, 0.2), call)

    def _do_break(self, name: str, place: int) -> None:
        rows = list(Resource.objects.order_by("pk").values_list("pk", flat=True))
        self.nodes[name].break_resource(rows[place % len(rows)], "it ended")

    def _do_failing(self, name: str, chance: float) -> None:
        self.nodes[name].failing = chance

    def _do_click(self, kind: str, group: int, node: int, place: int) -> None:
        if not self.service_up:
            return
        groups = list(Group.objects.order_by("pk").values_list("pk", flat=True))
        nodes = list(Node.objects.order_by("pk").values_list("pk", flat=True))
        gid = groups[group % len(groups)]
        rows = list(Resource.objects.filter(group=gid).order_by("pk").values_list("pk", flat=True))
        target: dict[str, Any] = {}
        if kind in intents.NODE_KINDS:
            target = {"node": nodes[node % len(nodes)]}
        elif kind in intents.RESOURCE_KINDS:
            target = {"resource": rows[place % len(rows)]}
        else:
            target = {"group": gid, "node": nodes[node % len(nodes)] if kind == "move" and place else None}
        try:
            intents.submit(kind, by="alice", **target)
        except Refused:
            return
        if kind in (*intents.GROUP_KINDS, *intents.RESOURCE_KINDS):
            self._hear(gid)

    def _hear(self, gid: int) -> None:
        """Remember what operators have stopped of a group, as it stood when they had spoken."""
        self._stopped[gid] = _stopped_in(gid)

    def _heal(self) -> None:
        """The faults stop: everything runs, every message arrives."""
        self.network = Network()
        for node in self.nodes.values():
            node.failing = 0.0
            node.frozen = False
            self._do_start(node.name)
        self._do_service_up()

    def _bring_back(self) -> None:
        """What an operator does after such a night: resume the nodes, bring back what was given up."""
        for row in Node.objects.filter(paused=True):
            intents.submit("resume", by="alice", node=row.pk)
        for group in Group.objects.filter(persistent_online=True):
            if group.last_state != GroupState.ONLINE:
                intents.submit("online", by="alice", group=group.pk)

    # The law

    def check_owners(self) -> None:
        """Nothing is online, or on its way, on two nodes at once."""
        seen: dict[int, str] = {}
        for node in self.nodes.values():
            for rid in node.up():
                if rid in seen:
                    raise Violation(f"resource {rid} runs on {seen[rid]} and on {node.name}")
                seen[rid] = node.name

    def _check_pause(self, name: str, message: Downward) -> None:
        """Nothing new is asked to come online on a paused node."""
        if not isinstance(message, Assignment):
            return
        if Node.objects.filter(name=name, state=NodeState.PAUSED).exists():
            down = set(
                Resource.objects.filter(
                    group_id=message.group, state__in=(ResourceState.OFFLINE, ResourceState.INITIALIZING)
                ).values_list("pk", flat=True)
            )
            asked = [spec.id for spec in message.resources if spec.want_online and spec.id in down]
            if asked:
                raise Violation(f"paused {name} is asked to bring {asked} online")

    def check_settled(self) -> None:
        """Everything is as it is wanted, told without a gap, and no operation is left open."""
        seqs = list(Event.objects.order_by("seq").values_list("seq", flat=True))
        if seqs != list(range(1, len(seqs) + 1)) or Cluster.objects.get().last_event != len(seqs):
            raise Violation("the sequence of events has a gap")
        open_operations = [str(o) for o in Operation.objects.filter(state="running")]
        if open_operations:
            raise Violation(f"operations that never ended: {open_operations}")
        for group in Group.objects.all():
            self._check_group(group)

    def _check_group(self, group: Group) -> None:
        rows = list(group.resources.all())
        if _stopped_in(group.pk) != self._stopped.get(group.pk, _stopped_in(group.pk)):
            raise Violation(f"what operators stopped in {group.name} was forgotten")
        running = {rid for node in self.nodes.values() for rid in node.up()}
        for row in rows:
            if (row.pk in running) != (row.state == ResourceState.ONLINE):
                raise Violation(f"{row.name} is {row.get_state_display()} in the database only")
        if not group.persistent_online:
            if any(row.pk in running for row in rows):
                raise Violation(f"{group.name} was taken offline and runs")
            return
        if group.transit_kind:
            raise Violation(f"{group.name} is still on its way: {group.transit_kind}")
        for row in rows:
            if not row.persistent_online and row.pk in running:
                raise Violation(f"{row.name} was stopped by an operator and runs")
        if all(row.persistent_online for row in rows) and group.last_state != GroupState.ONLINE:
            states = [f"{row.name} {row.get_state_display()}" for row in rows]
            raise Violation(f"{group.name} did not come back: {states}")


def _stopped_in(gid: int) -> tuple[bool, frozenset[int]]:
    """The operators' word: is the group to be online, and what in it is to be offline."""
    stopped = Resource.objects.filter(group=gid, persistent_online=False).values_list("pk", flat=True)
    return Group.objects.values_list("persistent_online", flat=True).get(pk=gid), frozenset(stopped)


def _clean() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys=OFF")
        for table in TABLES:
            cursor.execute(f"DELETE FROM monitoring_{table}")
