"""What the command line lists, as text: the same objects as --json prints."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.color import Style

from monitoring.api import schema, types
from monitoring.management.tables import clock_time, duration, milliseconds, since, table


def status(
    cluster: schema.ClusterOut,
    nodes: Sequence[schema.NodeOut],
    groups: Sequence[schema.GroupOut],
    style: Style,
) -> str:
    """The cluster at a glance."""
    up = sum(node.state == "Up" for node in nodes)
    online = sum(group.state == "Online" for group in groups)
    head = f"{cluster.name}: {up} of {len(nodes)} nodes up, {online} of {len(groups)} groups online"
    if cluster.maintenance:
        head += "; in maintenance: nothing is acted upon"
    if cluster.refused_messages:
        head += f"\n{cluster.refused_messages} messages were refused that name no member of the cluster"
    return "\n\n".join([head, node_table(nodes, style), group_table(groups, style)])


def node_table(nodes: Sequence[schema.NodeOut], style: Style) -> str:
    rows = [[n.name, _node_state(n), since(n.since), _groups(n), n.description] for n in nodes]
    return table(["NODE", "STATE", "FOR", "GROUPS", "DESCRIPTION"], rows, style)


def _node_state(node: schema.NodeOut) -> str:
    return f"{node.state}, not confirmed off" if node.unfenced else node.state


def _groups(node: schema.NodeOut) -> str:
    failed = f" ({node.failed_groups} failed)" if node.failed_groups else ""
    drain = ", draining" if node.drain == "running" else ""
    isolated = ", isolated" if node.isolated else ""
    until = node.quarantined_until
    quarantined = f", quarantined until {clock_time(until)}" if until else ""
    return f"{node.groups}{failed}{drain}{isolated}{quarantined}"


def group_table(groups: Sequence[schema.GroupOut], style: Style) -> str:
    rows = [
        [
            group.name,
            group.state,
            since(group.since),
            group.owner or "-",
            ", ".join(group.preferred_owners) or "-",
            f"{group.online} of {group.resources} online",
            _note(group),
        ]
        for group in groups
    ]
    return table(["GROUP", "STATE", "FOR", "OWNER", "PREFERRED", "RESOURCES", "NOW"], rows, style)


def _note(group: schema.GroupOut) -> str:
    """What is under way and by whom it was asked, else what an operator should know."""
    if group.doing:
        return f"{group.doing} (asked by {group.asked_by})" if group.asked_by else group.doing
    if group.maintenance:
        return "in maintenance"
    if group.given_up:
        return "given up: over its failover threshold"
    if group.stopped and group.wanted:
        return f"{group.stopped} stopped by an operator"
    return ""


def resource_table(resources: Sequence[schema.ResourceOut], style: Style) -> str:
    rows = [[r.name, r.type, r.state, since(r.since), r.group, r.owner or "-", _health(r)] for r in resources]
    return table(["RESOURCE", "TYPE", "STATE", "FOR", "GROUP", "OWNER", "NOTE"], rows, style)


def _health(resource: schema.ResourceOut) -> str:
    if resource.state == "Failed":
        return resource.last_failure
    restarts = (
        f"{resource.restarts} of {resource.restart_threshold} restarts used" if resource.restarts else ""
    )
    stopped = "" if resource.wanted else "stopped by an operator"
    warnings = "; ".join(f"{fact.name} {fact.text}" for fact in resource.facts if fact.warning)
    return resource.progress or stopped or warnings or restarts


def type_table(found: types.TypesOut, style: Style) -> str:
    """The types, then a line for each plugin that could not be loaded."""
    rows = [[one.name, one.family, ", ".join(one.needs), _about(one)] for one in found.types]
    told = [f"The plugin {plugin.text} (on {', '.join(plugin.where)})" for plugin in found.broken]
    return "\n".join([table(["TYPE", "FAMILY", "NEEDS", "NOTE"], rows, style), *told])


def _about(one: types.TypeOut) -> str:
    missing = f"not on {', '.join(one.missing_on)}" if one.missing_on else ""
    return "; ".join(filter(None, [missing, one.unusable or one.notice]))


def probe_table(every: Sequence[schema.ProbesOut], style: Style) -> str:
    """p50, p99 and slowest are of the last calls, whose number is told."""
    rows = [[found.resource, found.type, *_probe_cells(found.probe)] for found in every]
    head = [
        "RESOURCE",
        "TYPE",
        "CALL",
        "LAST",
        "P50",
        "P99",
        "SLOWEST",
        "CALLS",
        "EVERY",
        "ADVISED",
        "FAILS AT",
    ]
    return table(head, rows, style)


def _probe_cells(probe: schema.ProbeOut) -> list[str]:
    took = (probe.last_ms, probe.p50_ms, probe.p99_ms, probe.slowest_ms)
    limits = (probe.interval_ms, probe.recommended_ms, probe.limit_ms)
    return [probe.entry_point, *map(milliseconds, took), str(probe.calls), *map(milliseconds, limits)]


def about_output(found: schema.OutputOut) -> str:
    """Where and when output was read."""
    if found.read_at is None:
        return found.notice or f"{found.resource}: its node has not answered."
    read = f"Read on {found.node} at {clock_time(found.read_at)}"
    older = "; the node has older lines" if found.cut else ""
    nothing = "" if found.text else "; nothing was printed"
    return f"{read}{older}{nothing}. {found.notice}".strip()


def record_table(records: Sequence[schema.RecordOut], style: Style) -> str:
    """Passages of groups, oldest first, so that the newest is next to the prompt."""
    rows = [
        [
            clock_time(record.started),
            record.group,
            record.kind,
            f"{record.source or '-'} > {record.target}",
            duration(record.seconds),
            record.state,
            record.cause,
        ]
        for record in reversed(records)
    ]
    return table(["STARTED", "GROUP", "KIND", "FROM > TO", "TOOK", "OUTCOME", "CAUSE"], rows, style)


def event_table(events: Sequence[schema.EventOut], style: Style) -> str:
    """Lines of the history, oldest first."""
    rows = [
        [clock_time(event.at), event.severity, str(event.code or ""), event.text]
        for event in reversed(events)
    ]
    return table(["AT", "SEVERITY", "ID", "WHAT"], rows, style)
