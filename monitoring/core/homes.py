"""Which groups have no other home: why no node could take one, and whose loss would leave it down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from monitoring.core import placement
from monitoring.core.model import GroupView, Load, NodeView, World
from monitoring.core.reconcile import NO_AUTO_START
from monitoring.core.states import NodeState

TOLD = 3
"""Nodes of which it is told why they cannot take a group; of the others only how many they are."""


@dataclass(frozen=True)
class SinglePoint:
    """A node whose loss would leave groups down, by name; `whole`: all that it hosts.

    `why` is the end of a sentence, without its point.
    """

    node: int
    name: str
    groups: tuple[str, ...]
    whole: bool
    why: str


def lose(node: NodeView) -> NodeView:
    """The node as it is once it has surely lost its lease."""
    return replace(node, state=NodeState.DOWN, lost=True, awaited_until=0.0, isolated=False)


def homeless(group: GroupView, world: World, besides: int | None) -> str:
    """Why no node except `besides` can take the group, as the end of a sentence without its point."""
    others = [node for node in world.nodes if node != besides]
    if not others:
        return "there is no other node"
    possible = [node for node in others if node in group.possible]
    if not possible:
        return "no other node may run it"
    reasons = [placement.refusal(group, node, world) for node in possible]
    told = " ".join(reason for reason in reasons[:TOLD] if reason).rstrip(".")
    more = len(reasons) - TOLD
    return told if more <= 0 else f"{told}. Nor can {more} other{'s' if more > 1 else ''}"


def single_points(groups: Sequence[GroupView], world: World) -> tuple[SinglePoint, ...]:
    """Every node that is up and whose loss alone would leave groups without a home.

    Of a group it needs the name, owner, owners, classes and storage groups. `groups` are all of the
    cluster, in the order in which they are decided about. What weighs nothing is not placed but only
    asked for a node, since its home cannot be taken by others.
    """
    if world.maintenance:
        return ()
    found = []
    by_owner: dict[int | None, list[GroupView]] = defaultdict(list)
    for group in groups:
        by_owner[group.owner].append(group)
    for node in world.nodes.values():
        hosted = by_owner[node.id]
        if hosted and not node.lost and node.state in (NodeState.UP, NodeState.PAUSED):
            found += _if_lost(node, hosted, groups, world)
    return tuple(found)


def _if_lost(
    node: NodeView, hosted: Sequence[GroupView], groups: Sequence[GroupView], world: World
) -> list[SinglePoint]:
    left = replace(world, nodes={**world.nodes, node.id: lose(node)})
    if any(_weighs(group, world) for group in hosted):
        reasons = _placed(hosted, groups, left)
    else:
        reasons = _asked(hosted, left)
    count = sum(map(_comes_back, hosted))
    names: dict[str, list[str]] = defaultdict(list)
    for name, why in reasons:
        names[why].append(name)
    return [SinglePoint(node.id, node.name, tuple(n), len(n) == count > 1, why) for why, n in names.items()]


def _comes_back(group: GroupView) -> bool:
    """True where the cluster would bring the group online elsewhere, if it could."""
    return group.persistent_online and not group.maintenance and group.priority != NO_AUTO_START


def _weighs(group: GroupView, world: World) -> bool:
    """True where what other groups do decides which nodes can take it."""
    apart = world.enforced_anti_affinity and bool(group.anti_affinity)
    return apart or any(r.storage_groups for r in group.resources)


def _asked(hosted: Iterable[GroupView], world: World) -> list[tuple[str, str]]:
    """Groups without a home, each with the reason, where no home can be full."""
    known: dict[frozenset[int], bool] = {}
    found = []
    for group in filter(_comes_back, hosted):
        home = known.get(group.possible)
        if home is None:
            home = any(not placement.refusal(group, node, world) for node in group.possible)
            known[group.possible] = home
        if not home:
            found.append((group.name, homeless(group, world, group.owner)))
    return found


def _placed(hosted: Iterable[GroupView], groups: Iterable[GroupView], world: World) -> list[tuple[str, str]]:
    """The same where one may take the place of another: each goes where it would, in order."""
    loads = {group.id: load_of(group) for group in groups}
    found = []
    for group in hosted:
        if group.maintenance:
            continue
        around = replace(world, loads_of=lambda: tuple(loads.values()))
        choice = placement.after_node_loss(group, around)
        if choice is not None:
            loads[group.id] = replace(loads[group.id], owner=choice[0])
        elif _comes_back(group):
            found.append((group.name, homeless(group, around, group.owner)))
    return found


def load_of(group: GroupView) -> Load:
    """What the group weighs where it is."""
    stores = sum(resource.storage_groups for resource in group.resources)
    return Load(group.id, group.owner, group.anti_affinity, stores)


def broken_rules(nodes: Mapping[int, NodeView], loads: Iterable[Load], world: World) -> tuple[str, ...]:
    """Rules of capacity that these loads break, as sentences; nodes that are lost carry nothing."""
    by_node: dict[int, list[Load]] = defaultdict(list)
    for load in loads:
        if load.owner is not None and load.owner in nodes and not nodes[load.owner].lost:
            by_node[load.owner].append(load)
    found = []
    limit = world.max_storage_groups_per_node
    for node, there in sorted(by_node.items()):
        name, stores = nodes[node].name, sum(load.storage_groups for load in there)
        if stores > limit:
            found.append(f"{name} holds {stores} storage groups; a node may hold {limit}.")
        classes = [kind for load in there for kind in load.anti_affinity]
        for kind in sorted({kind for kind in classes if classes.count(kind) > 1}):
            found.append(f"{name} hosts {classes.count(kind)} groups of {kind}, which should be kept apart.")
    return tuple(found)
