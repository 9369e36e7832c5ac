"""Which node next: the node list of a group, who may host it, and who is best (semantics 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.core.model import Candidate, GroupView, Load, World
from monitoring.core.states import NodeState


def node_list(group: GroupView, world: World) -> list[int]:
    """Preferred owners in order, then the other nodes by id."""
    preferred = [n for n in group.preferred if n in world.nodes]
    return preferred + sorted(n for n in world.nodes if n not in preferred)


def refusal(group: GroupView, node: int, world: World) -> str:
    """Why `node` cannot take the group, as a sentence; empty where it can."""
    view = world.nodes.get(node)
    if view is None:
        return "This node is not a member of the cluster."
    if view.lost or view.state in (NodeState.DOWN, NodeState.UNKNOWN):
        return f"{view.name} is down."
    if view.isolated:
        return f"{view.name} is isolated: it is not heard."
    if view.state is NodeState.PAUSED and view.quarantined and not view.paused:
        return f"{view.name} is quarantined: it kept dropping out."
    if view.state is NodeState.PAUSED:
        return f"{view.name} is paused: nothing may come online there."
    if view.state is NodeState.JOINING:
        return f"{view.name} is still joining."
    if node not in group.possible:
        blocked = "not a possible owner of every resource"
        return f"{view.name} is {blocked} of {group.name}."
    return _over_limit(group, node, world) or _anti_affine(group, node, world)


def _over_limit(group: GroupView, node: int, world: World) -> str:
    own = sum(r.storage_groups for r in group.resources)
    if not own:
        return ""
    there = sum(load.storage_groups for load in _others(group, node, world))
    limit = world.max_storage_groups_per_node
    if own + there <= limit:
        return ""
    name = world.nodes[node].name
    return f"{name} would hold {own + there} storage groups; a node may hold {limit}."


def _anti_affine(group: GroupView, node: int, world: World) -> str:
    if not world.enforced_anti_affinity or not _clashes(group, node, world):
        return ""
    return f"{world.nodes[node].name} hosts a group that must not share a node with {group.name}."


def _clashes(group: GroupView, node: int, world: World) -> bool:
    return bool(group.anti_affinity) and any(
        load.anti_affinity & group.anti_affinity for load in _others(group, node, world)
    )


def _others(group: GroupView, node: int, world: World) -> list[Load]:
    return [load for load in world.loads if load.owner == node and load.group != group.id]


def available(group: GroupView, world: World, besides: int | None = None) -> list[int]:
    """Nodes that can take the group, in the order of its node list, except `besides`.

    Nodes with an anti-affine group are left out unless only such nodes are left.
    """
    fit = [n for n in node_list(group, world) if n != besides and not refusal(group, n, world)]
    if not group.anti_affinity:
        return fit
    return [n for n in fit if not _clashes(group, n, world)] or fit


def after_failure(group: GroupView, world: World) -> tuple[int, str] | None:
    """The node after the present owner in the node list, wrapping; and the rule, in words."""
    order = node_list(group, world)
    fit = available(group, world, besides=group.owner)
    if not fit:
        return None
    if group.owner in order:
        place = order.index(group.owner)
        order = order[place + 1 :] + order[:place]
    chosen = next(n for n in order if n in fit)
    name = world.nodes[chosen].name
    if len(fit) == 1:
        return chosen, f"{name} is the only node available"
    if chosen in group.preferred:
        return chosen, f"{name} is the next preferred owner"
    return chosen, f"{name} is the next node in the list"


def after_node_loss(group: GroupView, world: World) -> tuple[int, str] | None:
    """As after a failure where owners are preferred; else where the fewest groups are (10.7)."""
    if group.preferred:
        return after_failure(group, world)
    return _emptiest(group, available(group, world, besides=group.owner), world)


def best(group: GroupView, world: World, besides: int | None) -> tuple[int, str] | None:
    """An operator's "best possible": the first preferred owner available, else the emptiest."""
    fit = available(group, world, besides=besides)
    for node in group.preferred:
        if node in fit:
            return node, f"{world.nodes[node].name} is the most preferred owner available"
    return _emptiest(group, fit, world)


def _emptiest(group: GroupView, fit: Sequence[int], world: World) -> tuple[int, str] | None:
    if not fit:
        return None
    if len(fit) == 1:
        return fit[0], f"{world.nodes[fit[0]].name} is the only node available"
    hosted = {n: len(_others(group, n, world)) for n in fit}
    chosen = min(fit, key=lambda n: (hosted[n], n))
    return chosen, f"{world.nodes[chosen].name} hosts the fewest groups"


def candidates(group: GroupView, world: World) -> list[Candidate]:
    """Every other node as a place for the group: best first, the impossible last, with reasons."""
    fit = available(group, world, besides=group.owner)
    choice = best(group, world, group.owner)
    order = sorted(fit, key=lambda n: choice is None or n != choice[0])
    rest = [n for n in node_list(group, world) if n not in fit and n != group.owner]
    found = [
        Candidate(n, world.nodes[n].name, rule=choice[1] if choice and n == choice[0] else "") for n in order
    ]
    if group.owner is not None and group.owner in world.nodes:
        rest.append(group.owner)
    for node in rest:
        name = world.nodes[node].name
        reason = refusal(group, node, world) if node != group.owner else f"{group.name} is on {name} already."
        found.append(Candidate(node, name, refusal=reason))
    return found
