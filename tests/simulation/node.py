"""A simulated node: the real plan, the real lease and the real messages; only time and work are simulated.

Its guard is part of it: what a dead or frozen agent leaves running ends at the latest when
the lease does, as the real guard sees to.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from monitoring.core.messages import (
    Assignment,
    Downward,
    FailResource,
    GroupReport,
    Heartbeat,
    HeartbeatAck,
    Release,
    Report,
    ResourceReport,
    ResourceSpec,
    Upward,
)
from monitoring.core.state import satisfied
from monitoring.core.states import ResourceState
from monitoring.node.lease import Lease
from monitoring.node.plan import Action, Known, Wish, plan

S = ResourceState


class Violation(AssertionError):  # noqa: N818  (what it is)
    """An invariant did not hold."""


@dataclass
class SimResource:
    """One resource as the node runs it."""

    spec: ResourceSpec
    epoch: int
    state: ResourceState = S.OFFLINE
    running: bool = False
    attempt: int = 0
    sequence: int = 0
    cause: str = ""
    began_in: int = 0
    """Epoch in which it came online."""
    call: int = 0
    """Grows with each entry point called, so that the end of a broken-off one is not taken for another's."""


@dataclass
class SimGroup:
    """A group that the node holds."""

    epoch: int = 0
    serial: int = 0
    resources: dict[int, SimResource] = field(default_factory=dict)


class SimNode:
    """One node with its agent and guard."""

    def __init__(
        self,
        name: str,
        rng: random.Random,
        send: Callable[[str, Upward], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self.name = name
        self.rng = rng
        self._send = send
        self._later = later
        self.alive = False
        self.frozen = False
        self.failing = 0.0
        """Chance that an Online fails."""
        self.incarnation = 0
        self.now = 0.0
        self.epochs: dict[int, int] = {}
        self.checks_incarnation = True
        self._begin()

    def _begin(self) -> None:
        self.incarnation += 1
        self.lease = Lease()
        self.groups: dict[int, SimGroup] = {}
        self._beats = 0
        self._reports = 0
        self._sequence = self.incarnation * 1_000_000
        self._dirty: set[int] = set()
        self._flushing = False

    # Life and death

    def start(self) -> None:
        """The agent starts: nothing of an earlier life runs, a new one begins."""
        self.end_everything()
        self.epochs = {}
        self._begin()
        self.alive, self.frozen = True, False

    def kill(self) -> None:
        """SIGKILL of the agent: the guard ends what it ran, at once."""
        self.alive = False
        self.end_everything()

    def end_everything(self) -> None:
        """Nothing runs on the node any more."""
        for group in self.groups.values():
            for resource in group.resources.values():
                resource.call += 1
                resource.state, resource.running = S.OFFLINE, False

    def tick(self, now: float) -> None:
        """Called often: the guard's and the agent's look at the lease, and the heartbeat."""
        self.look(now)
        if self.alive and not self.frozen:
            self._beats += 1
            self.lease.sent(self._beats, now)
            self._send(self.name, Heartbeat(self.incarnation, self._beats, self._reports))

    def look(self, now: float) -> None:
        """A lease that is over ends everything, and with it this life of the node."""
        self.now = now
        if self.lease.over(now):
            self.end_everything()
            if self.alive and not self.frozen:
                self._begin()

    def up(self) -> Iterable[int]:
        """Ids of the resources of which something may run here now."""
        for group in self.groups.values():
            for rid, resource in group.resources.items():
                if resource.running or not resource.state.is_down:
                    yield rid

    # Messages

    def receive(self, message: Downward, now: float) -> None:
        """Take a message of the cluster service."""
        self.now = now
        if not self.alive or self.frozen or (self.lease.over(now)):
            return
        if self.checks_incarnation and message.incarnation != self.incarnation:
            return
        if isinstance(message, HeartbeatAck):
            self.lease.answered(message.number, message.interval_ms / 1000, message.lease_ms / 1000)
            if message.resend:
                self._report(set(self.groups), full=True)
        elif isinstance(message, Assignment):
            self._assign(message)
        elif isinstance(message, Release):
            self._release(message)
        elif isinstance(message, FailResource):
            self.break_resource(message.resource, message.reason or "simulated")

    def _assign(self, message: Assignment) -> None:
        seen = self.epochs.get(message.group, 0)
        if message.epoch < seen:
            self._send_report((GroupReport(message.group, seen, 0, (), "stale epoch"),))
            return
        self.epochs[message.group] = message.epoch
        held = self.groups.setdefault(message.group, SimGroup())
        if (message.epoch, message.serial) > (held.epoch, held.serial):
            held.epoch, held.serial = message.epoch, message.serial
            for spec in message.resources:
                resource = held.resources.setdefault(spec.id, SimResource(spec, message.epoch))
                resource.spec, resource.epoch = spec, message.epoch
            self._converge(message.group)
        self._report({message.group})

    def _release(self, message: Release) -> None:
        self.epochs[message.group] = max(message.epoch, self.epochs.get(message.group, 0))
        held = self.groups.get(message.group)
        if held is not None and held.epoch < message.epoch:
            del self.groups[message.group]

    # Work

    def break_resource(self, rid: int, cause: str) -> None:
        """Something of the resource ends by itself."""
        for gid, group in self.groups.items():
            resource = group.resources.get(rid)
            if resource is not None and resource.state is S.ONLINE:
                self._fail(gid, resource, cause)

    def _fail(self, gid: int, resource: SimResource, cause: str) -> None:
        resource.call += 1
        resource.attempt = resource.spec.attempt
        resource.cause = cause
        self._set(gid, resource, S.FAILED, running=True)
        call = resource.call
        self._later(self.rng.uniform(0, 0.05), lambda: self._terminated(gid, resource, call))

    def _terminated(self, gid: int, resource: SimResource, call: int) -> None:
        if resource.call == call and resource.running:
            self._set(gid, resource, resource.state, running=False)
            self._converge(gid)

    def _set(self, gid: int, resource: SimResource, state: ResourceState, running: bool) -> None:
        self._sequence += 1
        resource.state, resource.running, resource.sequence = state, running, self._sequence
        self._dirty.add(gid)
        if not self._flushing:
            self._flushing = True
            life = self.incarnation
            self._later(0.005, lambda: self._flush(life))

    def _flush(self, life: int) -> None:
        if life != self.incarnation or not self.alive or self.frozen:
            return
        self._flushing = False
        dirty, self._dirty = self._dirty, set()
        self._report(dirty)

    def _converge(self, gid: int) -> None:
        held = self.groups.get(gid)
        if held is None or not self.alive or self.frozen:
            return
        wishes = {
            rid: Wish(r.spec.want_online, r.spec.attempt, r.spec.requires)
            for rid, r in held.resources.items()
        }
        known = {
            rid: Known(
                r.state,
                r.running,
                r.attempt,
                outdated=r.state in (S.ONLINE, S.ONLINE_PENDING) and r.began_in < r.epoch,
            )
            for rid, r in held.resources.items()
        }
        for rid, action in plan(wishes, known).items():
            self._act(gid, held.resources[rid], action)

    def _act(self, gid: int, resource: SimResource, action: Action) -> None:
        resource.call += 1
        call = resource.call
        if action is Action.CLEAR:
            self._set(gid, resource, S.OFFLINE, running=False)
            self._later(0.0, lambda: self._converge(gid))
            return
        if action is Action.ONLINE:
            online = {rid for rid, r in self.groups[gid].resources.items() if r.state is S.ONLINE}
            if not satisfied(resource.spec.requires, online):
                raise Violation(f"{resource.spec.name} comes online before what it needs")
            resource.began_in, resource.cause = resource.epoch, ""
            self._set(gid, resource, S.ONLINE_PENDING, running=True)
        else:
            self._set(gid, resource, S.OFFLINE_PENDING, running=True)
        slow = self.rng.random() < 0.05
        took = self.rng.uniform(0.5, 4.0) if slow else self.rng.uniform(0.001, 0.05)
        self._later(took, lambda: self._finish(gid, resource, call, action))

    def _finish(self, gid: int, resource: SimResource, call: int, action: Action) -> None:
        if resource.call != call or not self.alive:
            return
        if self.frozen:
            self._later(0.1, lambda: self._finish(gid, resource, call, action))
            return
        if action is Action.ONLINE and self.rng.random() < self.failing:
            self._fail(gid, resource, "it did not come up")
            return
        online = action is Action.ONLINE
        self._set(gid, resource, S.ONLINE if online else S.OFFLINE, running=online)
        self._converge(gid)

    # Reports

    def _report(self, gids: Iterable[int], full: bool = False) -> None:
        parts = []
        for gid in gids:
            if (held := self.groups.get(gid)) is not None:
                items = tuple(
                    ResourceReport(
                        rid, r.state, r.sequence, r.attempt or r.spec.attempt, r.running, cause=r.cause
                    )
                    for rid, r in held.resources.items()
                )
                parts.append(GroupReport(gid, held.epoch, held.serial, items))
        self._send_report(tuple(parts), full)

    def _send_report(self, parts: tuple[GroupReport, ...], full: bool = False) -> None:
        self._reports += 1
        self._send(self.name, Report(self.incarnation, self._reports, parts, full=full))
