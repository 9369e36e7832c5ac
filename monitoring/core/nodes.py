"""What may be done with a node (semantics 4.7), and which groups want to return to it."""

from __future__ import annotations

from monitoring.core import placement
from monitoring.core.model import GroupView, NodeView, Refused, World
from monitoring.core.states import NodeState

FAILBACK_MODES = ("none", "immediate", "policy")


def check(kind: str, node: NodeView, world: World, *, draining: bool, hosts: int) -> None:
    """Refuse what cannot be done with `node`, which hosts `hosts` groups now."""
    down = node.lost or node.state is NodeState.DOWN
    if kind in ("pause", "drain") and down:
        raise Refused("node", f"{node.name} is down.")
    if kind == "drain" and draining:
        raise Refused("node", f"{node.name} is being drained already.")
    if kind == "drain" and hosts and not _others_up(node, world):
        raise Refused("node", f"No other node is up that could take the groups of {node.name}.")
    if kind == "resume" and (node.state is not NodeState.PAUSED or (node.quarantined and not node.paused)):
        why = "not paused but quarantined: clear its quarantine" if node.quarantined else "not paused"
        raise Refused("node", f"{node.name} is {why}.")
    if kind == "clear-quarantine" and not node.quarantined:
        raise Refused("node", f"{node.name} is not quarantined.")
    if kind == "evict" and hosts:
        how = "Its groups wait for a node that can take them." if down else "Drain it first."
        raise Refused("node", f"{node.name} hosts {hosts} group{'s' if hosts != 1 else ''}. {how}")
    if kind == "evict" and not down:
        raise Refused("node", f"{node.name} is {node.state.label.lower()}: stop its agent first.")


def _others_up(node: NodeView, world: World) -> bool:
    return any(n.state is NodeState.UP and not n.lost for n in world.nodes.values() if n.id != node.id)


def returns_to(group: GroupView, node: int, world: World, *, by_policy: bool) -> bool:
    """True where `node`, just up again, is a better owner for the group than the one it has.

    `by_policy`: only where the group allows failback; its window is looked at later.
    """
    if group.owner == node or node not in group.preferred or group.owner is None:
        return False
    if group.maintenance or world.maintenance:
        return False
    if by_policy and not group.auto_failback:
        return False
    if group.owner in group.preferred and group.preferred.index(group.owner) < group.preferred.index(node):
        return False
    return not placement.refusal(group, node, world)
