"""Groups as their list and their own page show them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from monitoring.core.states import GroupState, ResourceState
from monitoring.models import Group, Node, Operation, Resource
from monitoring.service.queries.common import Budget, NodeRef, budget, preferred_owners, requirements
from monitoring.service.queries.history import typical_seconds
from monitoring.service.queries.progress import Doing, Journey, Step, doing
from monitoring.service.queries.resources import ResourceRow, resource_rows
from monitoring.service.queries.tree import Branch, Requires, branches, layers

NEVER = 0xFFFFFFFF
_PENDING = (ResourceState.ONLINE_PENDING, ResourceState.OFFLINE_PENDING)


@dataclass(frozen=True, slots=True)
class Asked:
    """An operator's intent that is being carried out."""

    id: int
    kind: str
    by: str
    reason: str
    at: float

    @classmethod
    def of(cls, operation: Operation | None) -> Asked | None:
        if operation is None or operation.state != "running":
            return None
        return cls(
            operation.pk, operation.kind, operation.requested_by, operation.reason, operation.requested_at
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """How many resources of a group are in which state; `stopped` by an operator's word."""

    total: int = 0
    online: int = 0
    pending: int = 0
    failed: int = 0
    stopped: int = 0


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """One group in a list."""

    id: int
    name: str
    description: str
    state: GroupState
    since: float
    owner: NodeRef | None
    preferred: tuple[NodeRef, ...]
    tally: Tally
    doing: Doing
    asked: Asked | None
    given_up: bool
    wanted: bool
    maintenance: bool

    @property
    def away(self) -> bool:
        """True where it runs on another node than the first of its preferred ones."""
        return bool(self.preferred) and self.owner is not None and self.owner.id != self.preferred[0].id


@dataclass(frozen=True, slots=True)
class TreeLine:
    """A resource in the indented tree: its row, where it hangs, and what it needs in words.

    `needs` has one text for each thing needed; alternatives read "A or B".
    """

    row: ResourceRow
    branch: Branch
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """A group's properties as they are configured (semantics 3.3). `window` in hours, or none."""

    priority: str
    failover_threshold: int
    failover_period_hours: int
    auto_failback: bool
    window: tuple[int, int] | None
    anti_affinity: str

    @property
    def threshold_follows_nodes(self) -> bool:
        return self.failover_threshold == NEVER


@dataclass(frozen=True, slots=True)
class GroupDetail:
    """One group with everything that its page shows, except its history."""

    summary: GroupSummary
    policy: GroupPolicy
    epoch: int
    cause: str
    rule: str
    failback_to: NodeRef | None
    failovers: Budget
    typical: float | None
    lines: tuple[TreeLine, ...]
    columns: tuple[tuple[ResourceRow, ...], ...]
    edges: tuple[tuple[int, int, bool], ...]
    """Provider, dependent, and whether it is one of several alternatives."""

    @property
    def has_alternatives(self) -> bool:
        return any(alternative for _, _, alternative in self.edges)


def group_list(
    *,
    text: str = "",
    state: GroupState | None = None,
    node: int | None = None,
    ids: Iterable[int] | None = None,
) -> tuple[GroupSummary, ...]:
    """Groups by name, narrowed by what is given. Four queries."""
    rows = _rows(Group.objects.all())
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(description__icontains=text))
    if state is not None:
        rows = rows.filter(last_state=state)
    if node is not None:
        rows = rows.filter(owner_id=node)
    if ids is not None:
        rows = rows.filter(id__in=list(ids))
    groups = list(rows)
    return summaries(groups) if groups else ()


def summaries(groups: Iterable[Group]) -> tuple[GroupSummary, ...]:
    """Summaries of `groups`, which have owner, transit_target and operation loaded. Three queries."""
    groups = list(groups)
    ids = [group.pk for group in groups]
    tallies = _tallies(ids)
    preferred = preferred_owners(ids)
    busy = [g.pk for g in groups if g.transit_kind or tallies.get(g.pk, Tally()).pending]
    steps = _steps(busy)
    return tuple(
        _summary(g, tallies.get(g.pk, Tally()), preferred.get(g.pk, ()), steps.get(g.pk, [])) for g in groups
    )


def group_detail(id: int, now: float) -> GroupDetail | None:
    """One group, None where there is none of that id. Six queries at most."""
    group = _rows(Group.objects.filter(pk=id)).select_related("failback_to").first()
    if group is None:
        return None
    requires = requirements(id)
    rows = {row.id: row for row in resource_rows(Resource.objects.filter(group_id=id), now)}
    graph = {row_id: requires.get(row_id, ()) for row_id in rows}
    steps = [Step(r.name, r.state, r.wanted, r.restart_at) for r in rows.values()]
    limit = group.failover_threshold
    if limit == NEVER:
        limit = max(0, Node.objects.count() - 1)
    return GroupDetail(
        summary=_summary(group, _tally(rows.values()), preferred_owners([id]).get(id, ()), steps),
        policy=_policy(group),
        epoch=group.epoch,
        cause=group.transit_cause,
        rule=group.transit_rule,
        failback_to=NodeRef.of(group.failback_to),
        failovers=budget(group.failovers, limit, group.failover_period_hours * 3600, now),
        typical=typical_seconds([id]).get(id),
        lines=tuple(
            TreeLine(rows[branch.id], branch, _in_words(graph[branch.id], rows)) for branch in branches(graph)
        ),
        columns=tuple(tuple(rows[i] for i in column) for column in layers(graph)),
        edges=tuple(
            (provider, dependent, len(clause) > 1)
            for dependent, clauses in graph.items()
            for clause in clauses
            for provider in clause
        ),
    )


def _policy(group: Group) -> GroupPolicy:
    window = (group.failback_window_start, group.failback_window_end)
    return GroupPolicy(
        priority=group.get_priority_display(),
        failover_threshold=group.failover_threshold,
        failover_period_hours=group.failover_period_hours,
        auto_failback=group.auto_failback,
        window=window if min(window) >= 0 else None,
        anti_affinity=group.anti_affinity,
    )


def _in_words(requires: Requires, rows: Mapping[int, ResourceRow]) -> tuple[str, ...]:
    return tuple(" or ".join(rows[id].name for id in clause if id in rows) for clause in requires)


def _rows(groups: QuerySet[Group]) -> QuerySet[Group]:
    return groups.select_related("owner", "transit_target", "operation", "transit_operation").order_by("name")


def _summary(group: Group, tally: Tally, preferred: tuple[NodeRef, ...], steps: list[Step]) -> GroupSummary:
    target = group.transit_target.name if group.transit_target else ""
    return GroupSummary(
        id=group.pk,
        name=group.name,
        description=group.description,
        state=GroupState(group.last_state),
        since=group.state_since,
        owner=NodeRef.of(group.owner),
        preferred=preferred,
        tally=tally,
        doing=doing(Journey(group.transit_kind, group.transit_stage, target), steps),
        asked=Asked.of(group.transit_operation) or Asked.of(group.operation),
        given_up=group.given_up,
        wanted=group.persistent_online,
        maintenance=group.maintenance,
    )


def _tallies(ids: list[int]) -> Mapping[int, Tally]:
    counts = (
        Resource.objects.filter(group_id__in=ids)
        .order_by()
        .values("group_id")
        .annotate(
            total=Count("id"),
            online=Count("id", filter=Q(state=ResourceState.ONLINE)),
            pending=Count("id", filter=Q(state__in=_PENDING)),
            failed=Count("id", filter=Q(state=ResourceState.FAILED)),
            stopped=Count("id", filter=Q(persistent_online=False)),
        )
    )
    return {
        row["group_id"]: Tally(row["total"], row["online"], row["pending"], row["failed"], row["stopped"])
        for row in counts
    }


def _tally(rows: Iterable[ResourceRow]) -> Tally:
    rows = list(rows)
    states = Counter(row.state for row in rows)
    return Tally(
        total=len(rows),
        online=states[ResourceState.ONLINE],
        pending=sum(states[state] for state in _PENDING),
        failed=states[ResourceState.FAILED],
        stopped=sum(not row.wanted for row in rows),
    )


def _steps(ids: list[int]) -> Mapping[int, list[Step]]:
    steps: dict[int, list[Step]] = defaultdict(list)
    rows = Resource.objects.filter(group_id__in=ids).values_list(
        "group_id", "name", "state", "persistent_online", "restart_at"
    )
    for group, name, state, wanted, restart_at in rows:
        steps[group].append(Step(name, ResourceState(state), wanted, restart_at))
    return steps
