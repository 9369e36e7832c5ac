"""Reports of nodes: what is new in them goes into the rows, then the groups are decided about."""

from __future__ import annotations

from monitoring.core.messages import HIGHEST, GroupReport, Release, Report, ResourceReport
from monitoring.core.states import ResourceState, Severity
from monitoring.models import Group, Node, NodeTypes, Resource
from monitoring.service import decide, facts, journal, phases, probe_times, snapshot
from monitoring.service.lock import Held, cluster_lock
from monitoring.service.membership import MEMBERS

REPORTED = (
    "state",
    "state_since",
    "sequence",
    "running",
    "progress",
    "failure",
    "last_failure",
    "failed_attempt",
    "checked_at",
    "checked_result",
    "simulated",
    "facts",
    "warning",
)
"""What a report may change of a resource."""


def take(node_id: int, report: Report) -> None:
    """Apply a report of the node's present life; one of an earlier life changes nothing."""
    with cluster_lock() as held:
        rows = snapshot.GroupRows(part.group for part in report.groups)
        node = rows.nodes[node_id]
        if node.incarnation != report.incarnation or node.state not in MEMBERS:
            node.refused_messages += 1
            node.save(update_fields=["refused_messages"])
            return
        if report.number > node.reports:  # one that comes late or twice brings no news of probes
            probe_times.take(held, node, report.samples)
        _count(node, report)
        if report.full and report.types:
            _note_types(node, report)
        rows.groups = _groups(held, node, report, rows)
        decide.run_rows(held, rows)


def _note_types(node: Node, report: Report) -> None:
    """Remember which resource types the node has. One query where nothing has changed."""
    said = {"names": list(report.types), "broken": list(report.broken)}
    if NodeTypes.objects.filter(node=node).values("names", "broken").first() != said:
        NodeTypes.objects.update_or_create(node=node, defaults=said)


def _count(node: Node, report: Report) -> None:
    """Remember the newest number without a gap before it; a full report closes any gap."""
    if report.full or report.number == node.reports + 1:
        node.reports = max(node.reports, report.number)
        node.save(update_fields=["reports"])


def _groups(held: Held, node: Node, report: Report, rows: snapshot.GroupRows) -> list[Group]:
    """Apply what the node says of its groups; return those to decide about."""
    groups = {group.pk: group for group in rows.groups}
    touched = []
    for part in report.groups:
        group = groups.get(part.group)
        if group is None or group.owner_id != node.pk or group.epoch != part.epoch:
            _stale(held, node, group, part)
            continue
        _group(held, node, group, part, {row.pk: row for row in rows.resources[group.pk]})
        touched.append(group)
    return touched


def _stale(held: Held, node: Node, group: Group | None, part: GroupReport) -> None:
    """The node speaks of a group that is not its own any more: nothing of it counts here.

    Where something of it may still run it is told again to let go.
    """
    if not any(r.running or not r.state.is_down for r in part.resources):
        return
    newer = min(part.epoch, HIGHEST) + 1 if group is None else group.epoch
    if group is None or group.owner_id != node.pk:
        held.send(node.name, node.signing_key, Release(node.incarnation, part.group, newer))


def _group(held: Held, node: Node, group: Group, part: GroupReport, resources: dict[int, Resource]) -> None:
    if part.refused:
        text = f"{node.name} did not take an assignment for {group.name}: {part.refused}"
        journal.add(held, text, severity=Severity.WARNING, group=group, node=node)
    elif group.applied_serial < part.serial <= group.serial and _is_whole(part, resources):
        group.applied_serial = part.serial
        group.save(update_fields=["applied_serial"])
    for item in part.resources:
        resource = resources.get(item.resource)
        if resource is not None:
            _resource(held, group, resource, item)


def _is_whole(part: GroupReport, resources: dict[int, Resource]) -> bool:
    """True where the report tells of every resource: only then are the rows what the node knows.

    A report of a few changes does not acknowledge: one before it, with others, may be lost,
    and a group must not change hands on rows that are older than the order to stop.
    """
    return resources.keys() <= {item.resource for item in part.resources}


def _resource(held: Held, group: Group, row: Resource, item: ResourceReport) -> None:
    if item.checked_ms_ago is not None:
        row.checked_at = held.now - item.checked_ms_ago / 1000
        row.checked_result = True
    if item.sequence <= row.sequence:
        if item.checked_ms_ago is not None:
            row.save(update_fields=["checked_at", "checked_result"])
        return
    before, state = ResourceState(row.state), item.state
    if state is ResourceState.FAILED and (before is not state or item.attempt > row.failed_attempt):
        row.failure = row.last_failure = item.cause or "no reason was given"
        row.failed_attempt = item.attempt
        row.checked_result = False
    row.sequence, row.running, row.progress = item.sequence, item.running, item.progress
    row.simulated = item.simulated
    if item.facts is not None:
        facts.take(held, group, row, item)
    held.resources.add(row.pk)
    held.groups.add(group.pk)
    if state is not before:
        row.state, row.state_since = state, held.now - item.age_ms / 1000
        phases.note(held, group, row, before, item.elapsed_ms / 1000)
    row.save(update_fields=REPORTED)
