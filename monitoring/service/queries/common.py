"""The small values that several read models share, and how they are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Dependency, Node, PreferredOwner, Resource
from monitoring.service.queries.tree import Requires


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node as it is named on a page about something else."""

    id: int
    name: str
    state: NodeState
    unfenced: bool = False
    """It is down and not confirmed off: its groups wait."""

    @classmethod
    def of(cls, node: Node | None) -> NodeRef | None:
        return None if node is None else cls(node.pk, node.name, NodeState(node.state), node.unfenced)


@dataclass(frozen=True, slots=True)
class GroupRef:
    """A group as it is named on a page about something else."""

    id: int
    name: str
    state: GroupState


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """A resource as it is named on a page about something else."""

    id: int
    name: str
    type_name: str
    state: ResourceState


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a threshold is used up within its period (semantics 4.2, 4.3).

    `left` restarts or failovers may still follow; `ends` is when the oldest one counted
    falls out of the period, None where none is counted.
    """

    limit: int
    used: int
    ends: float | None

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


def budget(times: Iterable[float], limit: int, period: float, now: float) -> Budget:
    """The budget at `now`, from the times of what is counted; `period` in seconds."""
    within = sorted(at for at in times if at > now - period)
    return Budget(limit, len(within), within[0] + period if within else None)


def preferred_owners(groups: Iterable[int] | None = None) -> Mapping[int, tuple[NodeRef, ...]]:
    """Preferred owners in order, by group; of all groups where none are named. One query."""
    rows = PreferredOwner.objects.select_related("node").order_by("group_id", "position")
    if groups is not None:
        rows = rows.filter(group_id__in=list(groups))
    found: dict[int, list[NodeRef]] = defaultdict(list)
    for row in rows:
        node = row.node
        found[row.group_id].append(NodeRef(node.pk, node.name, NodeState(node.state)))
    return {group: tuple(nodes) for group, nodes in found.items()}


def requirements(group: int) -> dict[int, Requires]:
    """The dependency expression of each resource of a group that has one. One query."""
    clauses: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in Dependency.objects.filter(resource__group_id=group).order_by("clause", "id"):
        clauses[row.resource_id][row.clause].append(row.provider_id)
    return {id: tuple(tuple(ids) for ids in sets.values()) for id, sets in clauses.items()}


def resource_ref(resource: Resource) -> ResourceRef:
    """`resource` with its type already loaded."""
    return ResourceRef(resource.pk, resource.name, resource.type.name, ResourceState(resource.state))
