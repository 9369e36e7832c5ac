"""Nodes as their list and their own page show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from monitoring.core.keys import fingerprint
from monitoring.core.states import GroupState, NodeState
from monitoring.models import Cluster, FenceStep, Group, Node, Resource
from monitoring.models.topology import STORAGE_GROUPS
from monitoring.service.queries.common import GroupRef
from monitoring.service.queries.groups import GroupSummary, summaries


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """One node in a list: its state, and the groups that it hosts by number."""

    id: int
    name: str
    description: str
    state: NodeState
    paused: bool
    since: float
    drain_status: str
    hosted: int
    failed: int
    isolated: bool
    quarantined_until: float | None
    refused_messages: int
    refused_by_node: int
    unfenced: bool
    """It is down and not confirmed off: its groups wait."""
    fenceable: bool
    """It has fence devices."""


@dataclass(frozen=True, slots=True)
class NodeDetail:
    """One node with everything that its page shows, except its history.

    `incarnation` grows with each start of the agent; `started` is when that was, None where
    the number is not a time. `storage_groups` of `storage_limit` are on it (semantics 6.5).
    """

    summary: NodeSummary
    incarnation: int
    started: float | None
    heartbeat: int
    reports: int
    heartbeat_interval_ms: int
    lease_ms: int
    margin_ms: int
    resiliency_period_s: int
    departures: int
    groups: tuple[GroupSummary, ...]
    preferring: tuple[GroupSummary, ...]
    """Groups that prefer this node first and run elsewhere."""
    storage_groups: int
    storage_limit: int
    key_fingerprint: str
    key_since: float
    """0 where the key is the one that the node was added with."""
    rotating: bool


def node_list() -> tuple[NodeSummary, ...]:
    """All nodes in the order they joined. One query."""
    return tuple(map(_summary, _counted()))


def node_detail(id: int) -> NodeDetail | None:
    """One node, None where there is none of that id. Seven queries."""
    node = _counted().filter(pk=id).first()
    if node is None:
        return None
    cluster = Cluster.objects.first() or Cluster()
    related = Group.objects.filter(Q(owner_id=id) | Q(preferences__node_id=id)).distinct()
    groups = summaries(related.select_related("owner", "transit_target", "operation").order_by("name"))
    return NodeDetail(
        summary=_summary(node),
        incarnation=node.incarnation,
        started=_time_of(node.incarnation),
        heartbeat=node.heartbeat,
        reports=node.reports,
        heartbeat_interval_ms=cluster.heartbeat_interval_ms,
        lease_ms=node.lease_ms(cluster),
        margin_ms=cluster.margin_ms,
        resiliency_period_s=(node.lease_ms(cluster) - cluster.lease_ms) // 1000,
        departures=len(node.departures),
        groups=tuple(group for group in groups if group.owner and group.owner.id == id),
        preferring=tuple(group for group in groups if group.away and group.preferred[0].id == id),
        storage_groups=storage_groups([id]).get(id, 0),
        storage_limit=cluster.max_storage_groups_per_node,
        key_fingerprint=fingerprint(node.key),
        key_since=node.key_since,
        rotating=bool(node.rotation_secret),
    )


def strangers() -> int:
    """How many messages were refused that name no member. One query."""
    return Cluster.objects.values_list("refused_messages", flat=True).first() or 0


def groups_by_node() -> Mapping[int, tuple[GroupRef, ...]]:
    """The groups that each node hosts, by name. One query."""
    found: dict[int, list[GroupRef]] = {}
    hosted = Group.objects.filter(owner__isnull=False).order_by("name")
    for id, name, state, owner in hosted.values_list("id", "name", "last_state", "owner_id"):
        found.setdefault(owner, []).append(GroupRef(id, name, GroupState(state)))
    return {node: tuple(groups) for node, groups in found.items()}


def storage_groups(nodes: Iterable[int]) -> Mapping[int, int]:
    """Storage groups of all virtual servers on each node (semantics 6.5). One query."""
    found: dict[int, int] = {}
    hosted = Resource.objects.filter(properties__has_key=STORAGE_GROUPS, group__owner_id__in=list(nodes))
    for store in hosted.annotate(node=F("group__owner_id")):
        found[store.node] = found.get(store.node, 0) + store.storage_groups
    return found


def _counted() -> QuerySet[Node]:
    failed = Count("groups", filter=Q(groups__last_state=GroupState.FAILED))
    fenceable = Exists(FenceStep.objects.filter(node=OuterRef("pk")))
    return Node.objects.order_by("id").annotate(hosted=Count("groups"), failed=failed, fenceable=fenceable)


def _summary(node: Node) -> NodeSummary:
    return NodeSummary(
        id=node.pk,
        name=node.name,
        description=node.description,
        state=NodeState(node.state),
        paused=node.paused,
        since=node.state_since,
        drain_status=node.drain_status,
        hosted=node.hosted,  # type: ignore[attr-defined]  # annotated by _counted
        failed=node.failed,  # type: ignore[attr-defined]
        isolated=node.isolated,
        quarantined_until=node.quarantined_until,
        refused_messages=node.refused_messages,
        refused_by_node=node.refused_by_node,
        unfenced=node.unfenced,
        fenceable=node.fenceable,  # type: ignore[attr-defined]
    )


def _time_of(incarnation: int) -> float | None:
    """An agent numbers its lives by the nanoseconds since 1970 at which they began."""
    return incarnation / 1e9 if incarnation > 10**18 else None
