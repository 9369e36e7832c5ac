"""Resources as a row of their group's tree and as a page of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from monitoring.core.states import GroupState, ResourceState, RestartAction
from monitoring.models import Dependency, PossibleOwner, ProbeTime, Resource
from monitoring.service.queries.common import (
    Budget,
    GroupRef,
    NodeRef,
    ResourceRef,
    budget,
    resource_ref,
)

TYPES_VALUE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Fact:
    """`level` 1 is a warning; `share` a part of a whole, 0 to 1."""

    name: str
    text: str
    level: int
    share: float | None

    @property
    def percent(self) -> int:
        return round((self.share or 0.0) * 100)


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """One resource with its state, its last check and what its failure policy still allows.

    `wanted`: its persistent state, False where an operator took it offline.
    `checked_at` is None before the first IsAlive.
    """

    id: int
    name: str
    type_name: str
    group: int
    state: ResourceState
    since: float
    wanted: bool
    progress: str
    checked_at: float | None
    checked_result: bool | None
    checked_text: str
    last_failure: str
    restarts: Budget
    restart_at: float | None
    retry_at: float | None
    facts: tuple[Fact, ...]
    """What it shows about itself, warnings first."""

    @property
    def warnings(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.facts if fact.level)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Effective times in milliseconds: the resource's own, else its type's."""

    looks_alive_ms: int
    is_alive_ms: int
    pending_timeout_ms: int
    deadlock_timeout_ms: int


@dataclass(frozen=True, slots=True)
class ProbeStat:
    """Times of one entry point, in milliseconds: of the last `calls` calls before `at`.

    `recommended_ms` is what such a call should take at most, `limit_ms` what fails the resource.
    """

    entry_point: str
    at: float
    calls: int
    last_ms: float
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    interval_ms: int
    recommended_ms: float
    limit_ms: int


RECOMMENDED_MS: Mapping[str, float] = {"LooksAlive": 300.0, "IsAlive": 50.0}
"""Limits advised for the two calls (semantics 1.3)."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Providers of which at least one must be online."""

    alternatives: tuple[ResourceRef, ...]


@dataclass(frozen=True, slots=True)
class ResourceDetail:
    """One resource with everything that its page shows, except probe times and history."""

    row: ResourceRow
    description: str
    group: GroupRef
    owner: NodeRef | None
    properties: Mapping[str, Any]
    intervals: Intervals
    probes: tuple[ProbeStat, ...]
    """Of the entry points that were called, LooksAlive first."""
    restart_action: RestartAction
    restart_period_ms: int
    restart_delay_ms: int
    retry_period_ms: int
    separate_monitor: bool
    possible_owners: tuple[NodeRef, ...]
    """Empty means all nodes."""
    requires: tuple[Requirement, ...]
    dependents: tuple[ResourceRef, ...]
    created_by: ResourceRef | None
    failures: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProbePoint:
    """Probe times over one slice of a series; milliseconds."""

    at: float
    mean_ms: float
    max_ms: float
    calls: int
    failures: int


def resource_rows(resources: QuerySet[Resource], now: float) -> tuple[ResourceRow, ...]:
    """Rows in the order of their creation. One query."""
    return tuple(resource_row(resource, now) for resource in resources.select_related("type").order_by("id"))


def resource_row(resource: Resource, now: float) -> ResourceRow:
    """`resource` with its type loaded. No query."""
    return ResourceRow(
        id=resource.pk,
        name=resource.name,
        type_name=resource.type.name,
        group=resource.group_id,
        state=ResourceState(resource.state),
        since=resource.state_since,
        wanted=resource.persistent_online,
        progress=resource.progress,
        checked_at=resource.checked_at,
        checked_result=resource.checked_result,
        checked_text=resource.checked_text,
        last_failure=resource.last_failure,
        restarts=budget(
            resource.failures, resource.restart_threshold, resource.restart_period_ms / 1000, now
        ),
        restart_at=resource.restart_at,
        retry_at=resource.retry_at,
        facts=tuple(sorted((Fact(**fact) for fact in resource.facts), key=lambda fact: -fact.level)),
    )


def resource_detail(id: int, now: float) -> ResourceDetail | None:
    """One resource, None where there is none of that id. Four queries."""
    resource = (
        Resource.objects.select_related("type", "group__owner", "created_by__type").filter(pk=id).first()
    )
    if resource is None:
        return None
    group = resource.group
    return ResourceDetail(
        row=resource_row(resource, now),
        description=resource.description,
        group=GroupRef(group.pk, group.name, GroupState(group.last_state)),
        owner=NodeRef.of(group.owner),
        properties=resource.properties,
        intervals=_intervals(resource),
        probes=probe_stats(resource),
        restart_action=RestartAction(resource.restart_action),
        restart_period_ms=resource.restart_period_ms,
        restart_delay_ms=resource.restart_delay_ms,
        retry_period_ms=resource.retry_period_ms,
        separate_monitor=resource.separate_monitor,
        possible_owners=_possible_owners(id),
        requires=_requires(id),
        dependents=tuple(
            resource_ref(row.resource)
            for row in Dependency.objects.filter(provider_id=id).select_related("resource__type")
        ),
        created_by=resource_ref(resource.created_by) if resource.created_by else None,
        failures=tuple(sorted(resource.failures, reverse=True)),
    )


def probe_series(
    id: int, since: float, until: float, points: int = 120
) -> Mapping[str, tuple[ProbePoint, ...]]:
    """Probe times of a resource by entry point, oldest first, in at most `points` slices. One query."""
    width = max((until - since) / points, 0.001)
    slices: dict[tuple[str, int], ProbePoint] = {}
    rows = (
        ProbeTime.objects.filter(resource_id=id, at__gt=since, at__lte=until)
        .order_by("at")
        .values_list("entry_point", "at", "mean_ms", "max_ms", "calls", "failures")
    )
    for entry_point, at, mean_ms, max_ms, calls, failures in rows:
        point = ProbePoint(at, mean_ms, max_ms, calls, failures)
        key = (entry_point, int((point.at - since) / width))
        slices[key] = _merge(slices[key], point) if key in slices else point
    series: dict[str, list[ProbePoint]] = {}
    for (entry_point, _), point in slices.items():
        series.setdefault(entry_point, []).append(point)
    return {entry_point: tuple(found) for entry_point, found in series.items()}


def _merge(one: ProbePoint, other: ProbePoint) -> ProbePoint:
    calls = one.calls + other.calls
    mean = (one.mean_ms * one.calls + other.mean_ms * other.calls) / calls if calls else 0.0
    return ProbePoint(other.at, mean, max(one.max_ms, other.max_ms), calls, one.failures + other.failures)


def _intervals(resource: Resource) -> Intervals:
    own = resource
    kind = resource.type
    return Intervals(
        _own_or(own.looks_alive_ms, kind.looks_alive_ms, (TYPES_VALUE,)),
        _own_or(own.is_alive_ms, kind.is_alive_ms, (1, TYPES_VALUE)),
        _own_or(own.pending_timeout_ms, kind.pending_timeout_ms, (TYPES_VALUE,)),
        _own_or(own.deadlock_timeout_ms, kind.deadlock_timeout_ms, (TYPES_VALUE,)),
    )


def probe_stats(resource: Resource) -> tuple[ProbeStat, ...]:
    """Of the entry points that were called, LooksAlive first; `resource` with its type loaded. No query."""
    intervals = _intervals(resource)
    every = {"LooksAlive": intervals.looks_alive_ms, "IsAlive": intervals.is_alive_ms}
    return tuple(
        ProbeStat(
            entry_point,
            **resource.newest_times[entry_point],
            interval_ms=interval,
            recommended_ms=RECOMMENDED_MS[entry_point],
            limit_ms=intervals.deadlock_timeout_ms,
        )
        for entry_point, interval in every.items()
        if entry_point in resource.newest_times
    )


def _own_or(own: int, types: int, meaning_types: Iterable[int]) -> int:
    return types if own in meaning_types else own


def _possible_owners(id: int) -> tuple[NodeRef, ...]:
    rows = PossibleOwner.objects.filter(resource_id=id).select_related("node").order_by("node_id")
    return tuple(ref for row in rows if (ref := NodeRef.of(row.node)))


def _requires(id: int) -> tuple[Requirement, ...]:
    clauses: dict[int, list[ResourceRef]] = {}
    rows = Dependency.objects.filter(resource_id=id).select_related("provider__type").order_by("clause", "id")
    for row in rows:
        clauses.setdefault(row.clause, []).append(resource_ref(row.provider))
    return tuple(Requirement(tuple(refs)) for refs in clauses.values())
