"""What the REST API and the command line's --json say: one set of names for both.

States are the words of the domain ("Online"), times are RFC 3339 in UTC, durations are
seconds unless the name says ms. Fields are only ever added.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitoring.models import Cluster, Operation
from monitoring.service.queries import groups, history, nodes, resources


class ClusterOut(msgspec.Struct, frozen=True):
    """The cluster: its settings and the number of its newest event.

    `refused_messages` were not taken and name no member.
    """

    name: str
    last_event: int
    heartbeat_interval_ms: int
    lease_ms: int
    margin_ms: int
    resiliency_period_s: int
    quarantine_threshold: int
    quarantine_duration_s: int
    maintenance: bool
    max_storage_groups_per_node: int
    enforced_anti_affinity: bool
    refused_messages: int


class NodeOut(msgspec.Struct, frozen=True):
    """A node, and how many groups it hosts.

    `isolated`: it is not heard, and runs on under its lease. `quarantined_until`: it kept
    dropping out, and takes no groups before that. `unfenced`: its groups wait until it is
    confirmed off. `refused_messages` came in its name and were not taken; `refused_by_node` were
    not taken by its agent.
    """

    id: int
    name: str
    description: str
    state: str
    since: datetime | None
    paused: bool
    drain: str
    isolated: bool
    quarantined_until: datetime | None
    groups: int
    failed_groups: int
    refused_messages: int
    refused_by_node: int
    unfenced: bool = False


class GroupOut(msgspec.Struct, frozen=True):
    """A group. `doing` is what is under way, `asked_by` who asked for it; each may be empty.

    `wanted` is its persistent state: whether the cluster tries to hold it online.
    """

    id: int
    name: str
    description: str
    state: str
    since: datetime | None
    owner: str | None
    preferred_owners: tuple[str, ...]
    wanted: bool
    given_up: bool
    maintenance: bool
    doing: str
    asked_by: str
    resources: int
    online: int
    failed: int
    stopped: int


class FactOut(msgspec.Struct, frozen=True):
    """What a resource shows about itself; `share` is a part of a whole, 0 to 1."""

    name: str
    text: str
    warning: bool
    share: float | None


class ResourceOut(msgspec.Struct, frozen=True):
    """A resource with its last IsAlive; `wanted` is False where an operator took it offline."""

    id: int
    name: str
    type: str
    group: str
    owner: str | None
    state: str
    since: datetime | None
    wanted: bool
    progress: str
    checked: datetime | None
    alive: bool | None
    last_failure: str
    restarts: int
    restart_threshold: int
    facts: tuple[FactOut, ...]


class ProbeOut(msgspec.Struct, frozen=True):
    """Times of LooksAlive or IsAlive, in milliseconds: of the last `calls` calls before `at`.

    `limit_ms`: a call that takes as long fails the resource; `recommended_ms` is advice.
    """

    entry_point: str
    at: datetime
    calls: int
    last_ms: float
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    interval_ms: int
    recommended_ms: float
    limit_ms: int


class ProbesOut(msgspec.Struct, frozen=True):
    """Times of an entry point of one of many resources."""

    resource: str
    type: str
    probe: ProbeOut


class ResourceDetailOut(msgspec.Struct, frozen=True):
    """A resource with its configuration. `requires` is an AND of ORs of resource names."""

    resource: ResourceOut
    description: str
    properties: Mapping[str, Any]
    requires: tuple[tuple[str, ...], ...]
    dependents: tuple[str, ...]
    possible_owners: tuple[str, ...]
    looks_alive_ms: int
    is_alive_ms: int
    pending_timeout_ms: int
    deadlock_timeout_ms: int
    separate_monitor: bool
    probes: tuple[ProbeOut, ...]


class GroupDetailOut(msgspec.Struct, frozen=True):
    """A group with its resources, providers first."""

    group: GroupOut
    resources: tuple[ResourceOut, ...]


class OperationOut(msgspec.Struct, frozen=True):
    """What somebody asked for: "running" until it is "done", "failed" or "superseded"."""

    id: int
    kind: str
    subject: str
    requested_by: str
    reason: str
    state: str
    outcome: str
    requested: datetime
    finished: datetime | None


class EventOut(msgspec.Struct, frozen=True):
    """A line of the history; `seq` has no gaps."""

    seq: int
    at: datetime
    code: int
    severity: str
    text: str
    group: str
    resource: str
    node: str
    requested_by: str
    state_from: str
    state_to: str
    output: str
    """What processes printed before a failure; "" for viewers."""


class OutputOut(msgspec.Struct, frozen=True):
    """The newest lines that a resource's processes printed, as they were read on `node` at `read_at`.

    `cut`: the node has older lines. `notice` says why they could not be read anew.
    """

    resource: str
    node: str
    read_at: datetime | None
    written_at: datetime | None
    text: str
    cut: bool
    notice: str


class RecordOut(msgspec.Struct, frozen=True):
    """One passage of a group; `offline` is when all was down and the owner changed.

    `down_since` to `up`: when the group did not serve, as far as that is known.
    """

    id: int
    group: str
    kind: str
    source: str
    target: str
    cause: str
    rule: str
    requested_by: str
    reason: str
    state: str
    outcome: str
    started: datetime
    offline: datetime | None
    finished: datetime | None
    seconds: float | None
    down_since: datetime | None = None
    up: datetime | None = None
    without_service_s: float | None = None


class PhaseOut(msgspec.Struct, frozen=True):
    """One resource going offline or coming online within a passage."""

    resource: str
    node: str
    direction: str
    started: datetime
    finished: datetime | None
    outcome: str


def time(at: float) -> datetime:
    """Cluster time as a point in time."""
    return datetime.fromtimestamp(at, UTC)


def maybe(at: float | None) -> datetime | None:
    """As `time`; None where nothing happened yet."""
    return time(at) if at else None


def of_cluster(cluster: Cluster) -> ClusterOut:
    return ClusterOut(**{name: getattr(cluster, name) for name in ClusterOut.__struct_fields__})


def of_node(node: nodes.NodeSummary) -> NodeOut:
    return NodeOut(
        id=node.id,
        name=node.name,
        description=node.description,
        state=node.state.label,
        since=maybe(node.since),
        paused=node.paused,
        drain=node.drain_status,
        isolated=node.isolated,
        quarantined_until=maybe(node.quarantined_until),
        groups=node.hosted,
        failed_groups=node.failed,
        refused_messages=node.refused_messages,
        refused_by_node=node.refused_by_node,
        unfenced=node.unfenced,
    )


def of_group(group: groups.GroupSummary) -> GroupOut:
    return GroupOut(
        id=group.id,
        name=group.name,
        description=group.description,
        state=group.state.label,
        since=maybe(group.since),
        owner=group.owner.name if group.owner else None,
        preferred_owners=tuple(node.name for node in group.preferred),
        wanted=group.wanted,
        given_up=group.given_up,
        maintenance=group.maintenance,
        doing=str(group.doing),
        asked_by=group.asked.by if group.asked else "",
        resources=group.tally.total,
        online=group.tally.online,
        failed=group.tally.failed,
        stopped=group.tally.stopped,
    )


def of_resource(row: resources.ResourceRow, group: str, owner: str | None) -> ResourceOut:
    return ResourceOut(
        id=row.id,
        name=row.name,
        type=row.type_name,
        group=group,
        owner=owner,
        state=row.state.label,
        since=maybe(row.since),
        wanted=row.wanted,
        progress=row.progress,
        checked=maybe(row.checked_at),
        alive=row.checked_result,
        last_failure=row.last_failure,
        restarts=row.restarts.used,
        restart_threshold=row.restarts.limit,
        facts=tuple(FactOut(fact.name, fact.text, bool(fact.level), fact.share) for fact in row.facts),
    )


def of_resource_detail(found: resources.ResourceDetail, hidden: frozenset[str]) -> ResourceDetailOut:
    """`hidden` are the private properties that are secrets."""
    owner = found.owner.name if found.owner else None
    return ResourceDetailOut(
        resource=of_resource(found.row, found.group.name, owner),
        description=found.description,
        properties={name: value for name, value in found.properties.items() if name not in hidden},
        requires=tuple(tuple(ref.name for ref in clause.alternatives) for clause in found.requires),
        dependents=tuple(ref.name for ref in found.dependents),
        possible_owners=tuple(node.name for node in found.possible_owners),
        looks_alive_ms=found.intervals.looks_alive_ms,
        is_alive_ms=found.intervals.is_alive_ms,
        pending_timeout_ms=found.intervals.pending_timeout_ms,
        deadlock_timeout_ms=found.intervals.deadlock_timeout_ms,
        separate_monitor=found.separate_monitor,
        probes=tuple(of_probe(stat) for stat in found.probes),
    )


def of_probe(stat: resources.ProbeStat) -> ProbeOut:
    return ProbeOut(
        entry_point=stat.entry_point,
        at=time(stat.at),
        calls=stat.calls,
        last_ms=stat.last_ms,
        p50_ms=stat.p50_ms,
        p99_ms=stat.p99_ms,
        slowest_ms=stat.slowest_ms,
        interval_ms=stat.interval_ms,
        recommended_ms=stat.recommended_ms,
        limit_ms=stat.limit_ms,
    )


def of_group_detail(found: groups.GroupDetail) -> GroupDetailOut:
    group = of_group(found.summary)
    rows = tuple(of_resource(line.row, group.name, group.owner) for line in found.lines)
    return GroupDetailOut(group=group, resources=rows)


def of_operation(operation: Operation) -> OperationOut:
    return OperationOut(
        id=operation.pk,
        kind=operation.kind,
        subject=operation.subject,
        requested_by=operation.requested_by,
        reason=operation.reason,
        state=operation.state,
        outcome=operation.outcome,
        requested=time(operation.requested_at),
        finished=maybe(operation.finished_at),
    )


def of_event(event: history.EventRow, *, output: bool = False) -> EventOut:
    """`output`: whether the one who asks may see what processes printed."""
    return EventOut(
        seq=event.seq,
        at=time(event.at),
        code=event.code,
        severity=event.severity.label,
        text=event.text,
        group=event.group_name,
        resource=event.resource_name,
        node=event.node_name,
        requested_by=event.requested_by,
        state_from=event.state_from,
        state_to=event.state_to,
        output=event.output if output else "",
    )


def of_record(record: history.RecordRow) -> RecordOut:
    return RecordOut(
        id=record.id,
        group=record.group_name,
        kind=record.kind,
        source=record.source,
        target=record.target,
        cause=record.cause,
        rule=record.rule,
        requested_by=record.requested_by,
        reason=record.reason,
        state=record.state,
        outcome=record.outcome,
        started=time(record.started),
        offline=maybe(record.stopped),
        finished=maybe(record.finished),
        seconds=record.seconds,
        down_since=maybe(record.down_since),
        up=maybe(record.up_at),
        without_service_s=record.down_seconds,
    )


def of_phase(phase: history.PhaseRow) -> PhaseOut:
    return PhaseOut(
        resource=phase.resource_name,
        node=phase.node_name,
        direction=phase.direction,
        started=time(phase.started),
        finished=maybe(phase.finished),
        outcome=phase.outcome,
    )
