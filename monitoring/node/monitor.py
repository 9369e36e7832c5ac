"""The resource monitor: makes true, for each group, what the newest assignment says.

It looks at the whole of a group after every change (`plan`) and starts what can start, so it
does not matter which message or event came first. It decides nothing about failures: a Failed
resource stays so until the cluster service asks for another attempt.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from monitoring.core.messages import (
    Assignment,
    FailResource,
    GroupReport,
    Output,
    ProbeSample,
    Release,
    ResourceSpec,
    TellOutput,
)
from monitoring.core.states import ResourceState
from monitoring.node.context import Host
from monitoring.node.outbox import Outbox
from monitoring.node.output import Follower, Tail
from monitoring.node.plan import plan
from monitoring.node.processes import Child
from monitoring.node.record import Assigned, Forgotten, Life, Released
from monitoring.node.resource import ManagedResource
from monitoring.resource_dlls.api import Provider

logger = logging.getLogger(__name__)

SAMPLE_EVERY = 30.0
SAMPLED_AT_ONCE = 100
LOOK_EVERY = 0.02
"""Seconds between two looks at whether all groups are at rest."""
SOON = 0.25
"""Seconds that a changed probe result waits for company on its way."""


@dataclass(slots=True)
class HeldGroup:
    """A group that the node holds, under the assignment last applied."""

    id: int
    name: str
    epoch: int
    serial: int
    released: bool = False
    watch_only: bool = False
    resources: dict[int, ManagedResource] = field(default_factory=dict)
    leaving: set[int] = field(default_factory=set)
    """Resources that the newest assignment does not know any more."""

    @property
    def is_down(self) -> bool:
        return all(r.is_down for r in self.resources.values())

    @property
    def is_at_rest(self) -> bool:
        return all(r.is_at_rest for r in self.resources.values())


class Monitor:
    """All groups on the node. All methods are called on the loop."""

    def __init__(self, host: Host, outbox: Outbox, pump: Callable[[], None]) -> None:
        self._host = host
        self._record = host.record
        self._loop = host.loop
        self._outbox = outbox
        self._pump = pump
        self._outputs = Follower(host.loop, self._tell_output)
        self._groups: dict[int, HeldGroup] = {}
        self._owners: dict[int, HeldGroup] = {}
        """The group of each resource."""
        self._epochs: dict[int, int] = {}
        """The highest epoch seen of each group, held or not."""
        self._sequence = itertools.count(outbox.incarnation + outbox.reports)
        # Numbers of one life are above those of all before: the same resource may stay here. Those
        # of a life that goes on are above what an earlier agent can have used (see Outbox).
        self._unsettled: set[int] = set()
        self._settling = False
        self._stopping = False
        self._waiting = False
        """What an earlier agent left was found, and the cluster service has not answered yet."""
        self._closing: set[asyncio.Task[None]] = set()
        self._all_down = asyncio.Event()
        self._all_down.set()
        self._loop.call_later(SAMPLE_EVERY, self._sample)

    # What an earlier agent left

    def restore(self, life: Life) -> None:
        """Hold what the record says, as it was. Nothing is taken over or started before `go_on`."""
        self._waiting = True
        self._epochs.update(life.epochs)
        for assignment in life.assignments.values():
            held = self._apply(assignment, None)
            for resource in held.resources.values():
                if step := life.steps.get(resource.id):
                    resource.restore(step, life.processes.get(resource.id, {}))

    def go_on(self) -> None:
        """The cluster service knows this life: take over what was found, and make true what is wanted."""
        if self._waiting:
            self._waiting = False
            for held in self._groups.values():
                for resource in held.resources.values():
                    resource.take_over()
                self._unsettle(held.id)

    # What the cluster service says

    def assign(self, assignment: Assignment) -> None:
        """Take an assignment over, or say why not; then report the whole group."""
        held = self._groups.get(assignment.group)
        if refusal := self._refusal(assignment):
            epoch = held.epoch if held is not None else self._epochs.get(assignment.group, 0)
            self._outbox.tell(
                GroupReport(assignment.group, epoch, held.serial if held is not None else 0, (), refusal)
            )
        elif self._stopping:
            return  # what it says is for the node's next life
        else:
            is_new = held is None or (assignment.epoch, assignment.serial) > (held.epoch, held.serial)
            if is_new:
                self._record.add(Assigned(assignment))
                self._converge(self._apply(assignment, held))
            self._outbox.changed(assignment.group)
        self._pump()

    def _refusal(self, assignment: Assignment) -> str:
        seen = self._epochs.get(assignment.group, 0)
        if assignment.epoch < seen:
            return f"epoch {assignment.epoch} is older than {seen}, which this node has seen"
        return ""

    def _apply(self, assignment: Assignment, held: HeldGroup | None) -> HeldGroup:
        if held is None:
            held = HeldGroup(assignment.group, assignment.group_name, 0, 0)
            self._groups[held.id] = held
        held.name, held.epoch, held.serial = assignment.group_name, assignment.epoch, assignment.serial
        held.released = False
        held.watch_only = assignment.watch_only
        self._epochs[held.id] = assignment.epoch
        providers = _providers(assignment.resources)
        for spec in assignment.resources:
            if spec.id not in held.resources:
                self._hold(held, spec)
            held.resources[spec.id].configure(spec, (held.id, held.name, held.epoch), providers[spec.id])
            held.resources[spec.id].watch(only=assignment.watch_only)
        held.leaving = set(held.resources) - {s.id for s in assignment.resources}
        for resource in held.leaving:
            held.resources[resource].wanted = False
        return held

    def _hold(self, held: HeldGroup, spec: ResourceSpec) -> None:
        self._owners[spec.id] = held
        held.resources[spec.id] = ManagedResource(
            self._host, spec, lambda: next(self._sequence), self._changed, self.sample_soon
        )

    def release(self, release: Release) -> None:
        """The group is another node's: what still runs of it here is ended by force, and forgotten."""
        self._epochs[release.group] = max(release.epoch, self._epochs.get(release.group, 0))
        held = self._groups.get(release.group)
        if held is None or held.epoch < release.epoch:
            self._record.add(Released(release.group, release.epoch))
        if held is not None and held.epoch < release.epoch:
            held.released = True
            self._end(held, "the group belongs to another node")
            self._unsettle(held.id)

    def fail(self, order: FailResource) -> None:
        """Let a resource fail, for an operator's test of its failure policy; once an operation.

        The order comes again until a report has told of it. One that is not up is left alone: its
        state tells the cluster service why nothing was done.
        """
        held = self._groups.get(order.group)
        if (
            held is not None
            and held.epoch == order.epoch
            and (resource := held.resources.get(order.resource))
        ):
            resource.simulate(order.operation, order.reason)

    def show_output(self, order: TellOutput) -> None:
        """Tell what a resource printed, now and for a while; one that is not here has nothing to tell."""
        held = self._owners.get(order.resource)
        if held is not None and held.id == order.group:
            log = held.resources[order.resource].log_file
            self._outputs.follow(order.resource, log, order.follow_ms / 1000)

    def _tell_output(self, resource: int, tail: Tail) -> None:
        self._outbox.output(
            Output(self._outbox.incarnation, resource, tail.text, tail.written_ms_ago, tail.cut)
        )
        self._pump()

    # What changes by itself

    def process_ended(self, child: Child) -> None:
        held = self._owners.get(child.resource)
        if held is not None:
            held.resources[child.resource].process_ended(child)

    def _changed(self, resource: int) -> None:
        held = self._owners.get(resource)
        if held is not None:
            self._outbox.changed(held.id, resource)
            if held.resources[resource].state is ResourceState.FAILED:
                self._outbox.hurry()
            self._unsettle(held.id)

    def _unsettle(self, group: int) -> None:
        """Look at the group once everything that happens in this moment has happened."""
        self._unsettled.add(group)
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        groups, self._unsettled = self._unsettled, set()
        for group in groups:
            if group in self._groups:
                self._converge(self._groups[group])
            if group not in self._groups or self._groups[group].is_at_rest:
                self._outbox.hurry()
        self._unsettled.clear()  # what was begun just now has been looked at
        self._settling = False
        self._pump()

    def _converge(self, held: HeldGroup) -> None:
        """Start what can start now; forget what is gone for good."""
        for resource in [r for r in held.leaving if held.resources[r].is_down]:
            held.leaving.discard(resource)
            self._forget(held, [resource])
        if not self._waiting and (not held.watch_only or held.released or self._stopping):
            self._act(held)
        if held.released and held.is_down:
            self._forget(held, list(held.resources))
            del self._groups[held.id]
        if all(group.is_down for group in self._groups.values()):
            self._all_down.set()
        else:
            self._all_down.clear()

    def _act(self, held: HeldGroup) -> None:
        wishes = {r.id: r.wish() for r in held.resources.values()}
        known = {r.id: r.known(held.epoch) for r in held.resources.values()}
        for resource, action in plan(wishes, known).items():
            held.resources[resource].act(action)

    def _forget(self, held: HeldGroup, resources: list[int]) -> None:
        """Give up resources that are down, with a last report of them."""
        gone = [held.resources.pop(r) for r in resources]
        self._outbox.tell(GroupReport(held.id, held.epoch, held.serial, tuple(r.report() for r in gone)))
        for resource in gone:
            self._record.add(Forgotten(resource.id))
            del self._owners[resource.id]
            closing = self._loop.create_task(resource.close())
            self._closing.add(closing)  # a task that nobody holds may vanish
            closing.add_done_callback(self._closing.discard)

    # The end of a life

    def _end(self, held: HeldGroup, cause: str) -> None:
        for resource in held.resources.values():
            resource.wanted = False
            resource.end_now(cause)

    async def end_all(self, cause: str) -> int:
        """End everything by force, wait until nothing runs, forget all groups. Returns how many were up."""
        up = [r for held in self._groups.values() for r in held.resources.values() if not r.is_down]
        for held in self._groups.values():
            self._end(held, cause)
            self._unsettle(held.id)
        if up:
            self._all_down.clear()
        await self._all_down.wait()
        for held in list(self._groups.values()):
            held.released = True
            self._converge(held)
        return len(up)

    async def rest(self, seconds: float) -> bool:
        """Wait until no operation is under way, `seconds` at most; False where one still is."""
        until = self._loop.time() + seconds
        while not all(held.is_at_rest for held in self._groups.values()):
            if self._loop.time() >= until:
                return False
            await asyncio.sleep(LOOK_EVERY)
        return True

    async def stop(self, seconds: float) -> None:
        """Take everything offline in order; by force what is not down after `seconds`."""
        self._stopping = True
        for held in self._groups.values():
            for resource in held.resources.values():
                resource.wanted = False
        self.go_on()  # what can be taken over goes offline in order too
        for held in self._groups.values():
            self._converge(held)
        self._pump()
        try:
            await asyncio.wait_for(self._all_down.wait(), seconds)
        except TimeoutError:
            await self.end_all(f"it did not go offline within {seconds:g} s of the agent's stop")

    # Reports

    def compose(self, changes: set[tuple[int, int]] | None) -> list[GroupReport]:
        """The present states of what changed, of everything for None."""
        if changes is None:
            changes = {(group, 0) for group in self._groups}
        reports = []
        for group in sorted({group for group, _ in changes}):
            held = self._groups.get(group)
            if held is None:
                continue
            parts: Iterable[int] = {resource for changed, resource in changes if changed == group}
            if 0 in parts:
                parts = held.resources
            resources = (held.resources[r] for r in parts if r in held.resources)
            reports.append(
                GroupReport(held.id, held.epoch, held.serial, tuple(r.report() for r in resources))
            )
        return reports

    def _sample(self) -> None:
        """Now and then: probe times travel, logs are kept short."""
        self._loop.call_later(SAMPLE_EVERY, self._sample)
        self._sample_some([r for held in self._groups.values() for r in held.resources.values()])

    def _sample_some(self, resources: list[ManagedResource]) -> None:
        """A few at a time: thousands would keep the others from the loop for a tenth of a second."""
        for resource in resources[:SAMPLED_AT_ONCE]:
            self._outbox.sample(resource.samples())
            resource.tell_facts()
            resource.trim_log()
        if len(resources) > SAMPLED_AT_ONCE:
            self._loop.call_soon(self._sample_some, resources[SAMPLED_AT_ONCE:])
        else:
            self._pump()

    def sample_soon(self, samples: Iterable[ProbeSample]) -> None:
        """A probe's result has changed: it travels soon, with whatever else there is."""
        self._outbox.sample(samples)
        self._loop.call_later(SOON, self._pump)


def _providers(specs: Iterable[ResourceSpec]) -> dict[int, tuple[Provider, ...]]:
    """For each resource all that it depends on, directly or through others, nearest first."""
    by_id = {s.id: s for s in specs}
    found: dict[int, tuple[Provider, ...]] = {}
    for spec in by_id.values():
        order: dict[int, None] = {}
        ahead = deque(p for clause in spec.requires for p in clause)
        while ahead:
            provider = ahead.popleft()
            if provider in by_id and provider not in order:
                order[provider] = None
                ahead.extend(p for clause in by_id[provider].requires for p in clause)
        found[spec.id] = tuple(
            Provider(by_id[p].name, by_id[p].type, dict(by_id[p].properties)) for p in order
        )
    return found
