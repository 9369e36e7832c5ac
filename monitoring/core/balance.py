"""Which groups had better be elsewhere: a short list of moves, each with reasons. Never acts.

What is better is an order of three: no rule of capacity is broken; groups are on the owners that they
prefer; groups are spread over the nodes. Each move makes the whole better by that order, and breaks
nothing that stands before it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitoring.core import placement
from monitoring.core.model import GroupView, NodeView, World
from monitoring.core.states import NodeState

MOST = 30
"""Moves that are suggested at once; when they are done, one looks again."""

Score = tuple[int, int, int]
"""How far from good: rules broken, places away from home, unevenness (squares of groups on a node)."""


@dataclass(frozen=True, slots=True)
class Move:
    """A move that is suggested. `kind`: rule, home, spread. `reasons` are sentences.

    `waits_for` are groups that have to leave first: until then it would be refused.
    """

    group: int
    name: str
    source: int
    target: int
    kind: str
    reasons: tuple[str, ...]
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Left:
    """A group that is away from home, and why it is not moved there."""

    group: int
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Load:
    """What a node carries: groups that should run, and storage groups."""

    groups: int
    storage_groups: int


@dataclass(frozen=True)
class Balance:
    """The suggestion. `before` and `after` by node, of all nodes; `more`: there is more to move after it."""

    moves: tuple[Move, ...]
    left: tuple[Left, ...]
    before: Mapping[int, Load]
    after: Mapping[int, Load]
    more: bool = False


def suggest(
    groups: Sequence[GroupView], world: World, stays: Mapping[int, str], up_for: Mapping[int, str]
) -> Balance:
    """What to move. `groups` are all; `stays` says of some why they are not to be moved, as a sentence.

    `up_for` is how long each node is up, in words, for the reasons.
    """
    desk = _Desk(groups, world, stays, up_for)
    before = desk.loads()
    while len(desk.moves) < MOST and (step := desk.best()) is not None:
        desk.take(*step)
    more = len(desk.moves) == MOST and desk.best() is not None
    return Balance(tuple(desk.moves), desk.left(), before, desk.loads(), more)


def score(groups: Sequence[GroupView], world: World) -> Score:
    """How far from good it is as it stands, for nodes that can take groups."""
    desk = _Desk(groups, world, {}, {})
    rules = sum(desk.broken(node) for node in desk.open)
    homes = sum(_rank(group, desk.at[group.id]) for group in desk.counted if desk.at[group.id] in desk.open)
    return rules, homes, sum(desk.hosted[node] ** 2 for node in desk.open)


def _rank(group: GroupView, node: int | None) -> int:
    """How many owners it would prefer to this one."""
    if node in group.preferred:
        return group.preferred.index(node)
    return len(group.preferred)


def _stores(group: GroupView) -> int:
    return sum(resource.storage_groups for resource in group.resources)


def _takes(node: NodeView) -> bool:
    return node.state is NodeState.UP and not node.lost and not node.isolated


@dataclass
class _Desk:
    """The cluster while moves are tried out."""

    groups: Sequence[GroupView]
    world: World
    stays: Mapping[int, str]
    up_for: Mapping[int, str]
    moves: list[Move] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open = {node.id for node in self.world.nodes.values() if _takes(node)}
        self.at = {group.id: group.owner for group in self.groups}
        self.started = dict(self.at)
        self.names = {group.id: group.name for group in self.groups}
        self.weight = {group.id: _stores(group) for group in self.groups}
        self.counted = [group for group in self.groups if group.persistent_online]
        self.hosted: Counter[int | None] = Counter(self.at[group.id] for group in self.counted)
        self.stored: Counter[int | None] = Counter()
        self.classes: dict[int | None, Counter[str]] = defaultdict(Counter)
        for group in self.groups:
            self._add(group, self.at[group.id], 1)
        self.movable = [
            group
            for group in self.counted
            if self.at[group.id] in self.open and group.id not in self.stays and not group.maintenance
        ]
        if self.world.maintenance:
            self.movable = []

    def _add(self, group: GroupView, node: int | None, by: int) -> None:
        self.stored[node] += by * self.weight[group.id]
        for kind in group.anti_affinity:
            self.classes[node][kind] += by

    def loads(self) -> dict[int, Load]:
        return {node: Load(self.hosted[node], self.stored[node]) for node in self.world.nodes}

    def broken(self, node: int) -> int:
        """How much of its rules a node breaks."""
        over = max(0, self.stored[node] - self.world.max_storage_groups_per_node)
        return over + sum(max(0, count - 1) for count in self.classes[node].values())

    def gain(self, group: GroupView, target: int) -> Score:
        """By how much a move makes it worse, in the order of what matters; negative is better."""
        source = self.at[group.id]
        assert source is not None
        rules = 0
        if self.weight[group.id] or group.anti_affinity:
            before = self.broken(source) + self.broken(target)
            self._add(group, source, -1)
            self._add(group, target, 1)
            rules = self.broken(source) + self.broken(target) - before
            self._add(group, target, -1)
            self._add(group, source, 1)
        homes = _rank(group, target) - _rank(group, source)
        spread = 2 * (self.hosted[target] - self.hosted[source] + 1)
        return rules, homes, spread

    def allowed(self, group: GroupView, target: int) -> bool:
        """True where the rules of placement let it go there, as it stands on the desk."""
        if target not in self.open or target not in group.possible or target == self.at[group.id]:
            return False
        weight = self.weight[group.id]
        if weight and self.stored[target] + weight > self.world.max_storage_groups_per_node:
            return False
        if not self.world.enforced_anti_affinity:
            return True
        return not any(self.classes[target][kind] for kind in group.anti_affinity)

    def best(self) -> tuple[GroupView, int, Score] | None:
        """The move that helps most; of equals the first by name. None where none helps."""
        nothing: Score = (0, 0, 0)
        found: tuple[Score, str, GroupView, int] | None = None
        for group in self.movable:
            for target in group.possible & self.open:
                if not self.allowed(group, target):
                    continue
                gain = self.gain(group, target)
                if gain >= nothing or (found is not None and (gain, group.name) >= found[:2]):
                    continue
                found = (gain, group.name, group, target)
        return None if found is None else (found[2], found[3], found[0])

    def take(self, group: GroupView, target: int, gain: Score) -> None:
        """Move it on the desk, and write down why."""
        source = self.at[group.id]
        assert source is not None
        kind = "rule" if gain[0] < 0 else "home" if gain[1] < 0 else "spread"
        reasons = tuple(self._reasons(group, source, target, gain))
        waits = () if self._now(group, target) else self._before(group, target)
        self._add(group, source, -1)
        self._add(group, target, 1)
        self.hosted[source] -= 1
        self.hosted[target] += 1
        self.at[group.id] = target
        self.moves = [move for move in self.moves if move.group != group.id]  # once is enough
        if self.started[group.id] != target:
            begun = self.started[group.id] or source
            self.moves.append(Move(group.id, group.name, begun, target, kind, reasons, waits))

    def _now(self, group: GroupView, target: int) -> bool:
        """True where it would be accepted at once, before any other has moved."""
        return not placement.refusal(group, target, self.world)

    def _before(self, group: GroupView, target: int) -> tuple[str, ...]:
        """Which of the moves so far make place for it."""
        weighs = bool(self.weight[group.id])
        by_id = {other.id: other for other in self.groups}
        return tuple(
            move.name
            for move in self.moves
            if move.source == target
            and (
                (weighs and self.weight[move.group]) or by_id[move.group].anti_affinity & group.anti_affinity
            )
        )

    def _reasons(self, group: GroupView, source: int, target: int, gain: Score) -> list[str]:
        nodes = self.world.nodes
        here, there = nodes[source].name, nodes[target].name
        found = []
        if gain[0] < 0:
            found += self._rules(group, source)
        if gain[1] < 0:
            first = group.preferred[0] == target
            up = f", which is up for {self.up_for[target]}" if target in self.up_for else ""
            if first:
                found.append(f"{group.name} is away from its preferred owner {there}{up}.")
            else:
                found.append(f"{group.name} prefers {there} to {here}{up}.")
        if gain[2] < 0:
            many, few = self.hosted[source], self.hosted[target]
            found.append(f"{here} carries {many} groups, {there} {few or 'none'}.")
        return found

    def _rules(self, group: GroupView, source: int) -> list[str]:
        name, limit = self.world.nodes[source].name, self.world.max_storage_groups_per_node
        found = []
        if self.weight[group.id] and self.stored[source] > limit:
            found.append(f"{name} holds {self.stored[source]} storage groups; a node may hold {limit}.")
        beside = [
            other.name
            for other in self.groups
            if other.id != group.id
            and self.at[other.id] == source
            and other.anti_affinity & group.anti_affinity
        ]
        if beside:
            found.append(f"{group.name} should be kept apart from {', '.join(sorted(beside)[:3])} on {name}.")
        return found

    def left(self) -> tuple[Left, ...]:
        """Groups that stay away from an owner that they prefer, and why."""
        found = []
        for group in self.counted:
            node = self.at[group.id]
            better = group.preferred[: _rank(group, node)]
            if node is None or not better or node not in self.world.nodes:
                continue
            home = next((one for one in better if one in self.world.nodes), None)
            if home is not None:
                found.append(Left(group.id, group.name, self._why(group, home)))
        return tuple(sorted(found, key=lambda one: one.name))

    def _why(self, group: GroupView, home: int) -> str:
        if group.id in self.stays:
            return self.stays[group.id]
        if group.maintenance or self.world.maintenance:
            what = group.name if group.maintenance else "The cluster"
            return f"{what} is in maintenance."
        if self.at[group.id] not in self.open:
            node = self.world.nodes[self.at[group.id] or 0]
            return f"{node.name}, where it is, is {node.state.label.lower()}."
        if self.allowed(group, home):
            return f"On {self.world.nodes[home].name} more rules of capacity would be broken."
        name = self.world.nodes[home].name
        weight, limit = self.weight[group.id], self.world.max_storage_groups_per_node
        if home in self.open and home in group.possible and weight and self.stored[home] + weight > limit:
            return f"{name} would hold {self.stored[home] + weight} storage groups; a node may hold {limit}."
        return (
            placement.refusal(group, home, self.world) or f"{name} hosts a group that must not share a node."
        )
