"""The law that no fault may break, checked against what really runs, not against what anybody believes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from django.db.models import Q

from monitoring.core.messages import Assignment, Downward
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Cluster, Event, Group, Node, Operation, Resource

RESOURCE_FAILED = 1069
RESOURCE_CHANGED = 1637
GROUP_CHANGED = 1674
DOWN = (ResourceState.OFFLINE, ResourceState.INITIALIZING)


class Violation(AssertionError):  # noqa: N818  (what it is)
    """The law was broken."""


@dataclass(frozen=True)
class Word:
    """The operators' word: what is to be online, kept beside the service, from what they said."""

    requires: Mapping[int, tuple[tuple[int, ...], ...]]
    groups: Mapping[int, bool]
    resources: Mapping[int, bool]

    @classmethod
    def at_first(cls, requires: Mapping[int, tuple[tuple[int, ...], ...]], groups: Collection[int]) -> Word:
        """Everything is to be online."""
        return cls(requires, dict.fromkeys(groups, True), dict.fromkeys(requires, True))

    def after(self, kind: str, group: int, resource: int) -> Word:
        """The word once an intent is accepted."""
        if kind in ("online", "offline"):
            return replace(self, groups={**self.groups, group: kind == "online"})
        if kind == "resource-offline":
            return replace(self, resources={**self.resources, resource: False})
        if kind == "resource-online":
            needed = self._needs(resource) | {resource}
            return replace(self, resources={**self.resources, **dict.fromkeys(needed, True)})
        return self

    def _needs(self, resource: int) -> set[int]:
        direct = {p for clause in self.requires[resource] for p in clause}
        return direct.union(*(self._needs(p) for p in direct))

    def allows(self, group: int, resource: int) -> bool:
        return self.groups[group] and self.resources[resource]

    def check_remembered(self) -> None:
        """The service remembers what operators said."""
        for row in Group.objects.all():
            if row.persistent_online != self.groups[row.pk]:
                raise Violation(f"what operators said of {row.name} was forgotten")
        for resource in Resource.objects.all():
            if resource.persistent_online != self.resources[resource.pk]:
                raise Violation(f"what operators said of {resource.name} was forgotten")


class Grants:
    """Which node was given a group, by its epochs."""

    def __init__(self) -> None:
        self._newest: dict[int, tuple[int, str]] = {}

    def check(self, node: str, message: Assignment, word: Word) -> None:
        """Of an assignment that leaves: its epoch is one node's alone, and it asks for nothing forbidden."""
        epoch, owner = self._newest.get(message.group, (0, node))
        if message.epoch < epoch or (message.epoch == epoch and node != owner):
            raise Violation(
                f"{node} is given {message.group_name} with {owner}'s epoch {epoch} or an older one"
            )
        self._newest[message.group] = (message.epoch, node)
        asked = [spec.id for spec in message.resources if spec.want_online]
        if wrong := [rid for rid in asked if not word.allows(message.group, rid)]:
            raise Violation(f"{node} is asked to run {wrong}, which an operator stopped")
        closed = Q(state=NodeState.PAUSED) | Q(quarantined_until__isnull=False)
        there = Node.objects.filter(closed, name=node).exclude(state=NodeState.DOWN)
        if asked and there.exists():
            down = Resource.objects.filter(pk__in=asked, state__in=DOWN).values_list("pk", flat=True)
            if list(down):
                raise Violation(f"{node}, paused or in quarantine, is asked to bring {list(down)} online")


class Maintenance:
    """Groups in maintenance are left as they are."""

    def __init__(self) -> None:
        self._owners: dict[int, int | None] = {}
        """Of the groups that are left alone."""

    def check(self, messages: Iterable[Downward]) -> None:
        """After a commit: no such group changed hands, and nobody was told to act upon it."""
        everything = Cluster.objects.values_list("maintenance", flat=True).get()
        alone = {
            row.pk: row.owner_id
            for row in Group.objects.all()
            if (everything or row.maintenance) and not row.transit_kind and row.operation_id is None
        }
        for group, owner in alone.items():
            if self._owners.get(group, owner) != owner:
                raise Violation(f"group {group} changed hands in maintenance")
        for message in messages:
            if isinstance(message, Assignment) and message.group in alone and not message.watch_only:
                raise Violation(f"{message.group_name} is acted upon in maintenance")
        self._owners = alone


def check_owners(running: Mapping[str, Collection[int]]) -> None:
    """One owner: nothing runs, or is held, on two nodes at once."""
    seen: dict[int, str] = {}
    for node, resources in running.items():
        for rid in resources:
            if rid in seen:
                raise Violation(f"resource {rid} runs on {seen[rid]} and on {node}")
            seen[rid] = node


def check_history() -> None:
    """Gapless, in order, and complete: each change begins where the last one ended."""
    events = list(
        Event.objects.order_by("seq").values_list(
            "seq", "at", "code", "group_id", "resource_id", "state_from", "state_to", "text"
        )
    )
    if [e[0] for e in events] != list(range(1, len(events) + 1)):
        raise Violation("the sequence of events has a gap")
    if Cluster.objects.get().last_event != len(events):
        raise Violation("the newest event is not the newest number")
    if late := next((e for old, e in pairwise(events) if e[1] < old[1]), None):
        raise Violation(f"event {late[0]} happened before the one before it")
    chains: dict[tuple[int, int], str] = {}
    for seq, _, code, group, resource, before, after, text in events:
        if code in (GROUP_CHANGED, RESOURCE_CHANGED) and after:
            subject = (code, resource or group)
            if chains.get(subject, before) != before:
                raise Violation(f"event {seq} ({text}) does not go on from {chains[subject]}")
            chains[subject] = after
    for row in Resource.objects.all():
        if chains.get((RESOURCE_CHANGED, row.pk), row.get_state_display()) != row.get_state_display():
            raise Violation(f"the last change of {row.name} is not in the history")
    _check_failures(events)


def _check_failures(events: list[tuple[int, float, int, int, int, str, str, str]]) -> None:
    told: dict[int, int] = defaultdict(int)
    for event in events:
        told[event[4]] += event[2] == RESOURCE_FAILED
    for row in Resource.objects.all():
        if len(row.failures) > told[row.pk]:
            raise Violation(f"{row.name} has {len(row.failures)} failures, {told[row.pk]} of them told")


def unsettled(running: Mapping[str, Collection[int]]) -> str:
    """What is still going on, once the faults have stopped; empty where all has come to rest."""
    if operations := list(Operation.objects.filter(state="running")):
        return f"operations that have not ended: {', '.join(str(o) for o in operations)}"
    if down := list(Node.objects.filter(state=NodeState.DOWN).values_list("name", flat=True)):
        return f"nodes that have not joined: {down}"
    everywhere = {rid: node for node, resources in running.items() for rid in resources}
    for group in Group.objects.select_related("owner").prefetch_related("resources"):
        if reason := _unsettled(group, everywhere):
            return reason
    return ""


def _unsettled(group: Group, running: Mapping[int, str]) -> str:
    rows = list(group.resources.all())
    if group.transit_kind or group.operation_id:
        return f"{group.name} is still on its way"
    for row in rows:
        where = running.get(row.pk, "")
        if (where == (group.owner.name if group.owner else None)) != (row.state == ResourceState.ONLINE):
            return (
                f"{row.name} is {row.get_state_display()} in the database, and runs on {where or 'no node'}"
            )
        if where and not (group.persistent_online and row.persistent_online):
            return f"{row.name} was stopped by an operator, and runs on {where}"
    if not group.persistent_online or group.last_state == GroupState.ONLINE:
        return ""
    if all(not row.persistent_online for row in rows) or _has_reason(group, rows):
        return ""
    states = ", ".join(f"{row.name} {row.get_state_display()}" for row in rows)
    return f"{group.name} does not come online: {states}"


def _has_reason(group: Group, rows: list[Resource]) -> bool:
    """A group may stay away where it failed too often, its node is paused, or an operator stopped a part."""
    gave_up = any(row.state == ResourceState.FAILED and row.restart_at is None for row in rows)
    paused = group.owner is not None and group.owner.state == NodeState.PAUSED
    return gave_up or paused or any(not row.persistent_online for row in rows)


def check_all_back() -> None:
    """After an operator resumed all nodes and asked for all groups, everything wanted is online."""
    for group in Group.objects.filter(persistent_online=True).prefetch_related("resources"):
        rows = list(group.resources.all())
        if all(row.persistent_online for row in rows) and group.last_state != GroupState.ONLINE:
            states = ", ".join(f"{row.name} {row.get_state_display()}" for row in rows)
            raise Violation(f"{group.name} did not come back: {states}")
