"""From a decision to rows, history and messages, inside the cluster's transaction."""

from __future__ import annotations

from monitoring.core.messages import FailResource, Release
from monitoring.core.model import Decision, Event, GroupView, Outcome, Transit
from monitoring.core.state import group_state
from monitoring.core.states import GroupState, NodeState, ResourceState, Severity, Stage
from monitoring.models import FailoverRecord, Group, Node, Operation
from monitoring.service import downtime, drains, journal, phases
from monitoring.service.facts import FORGOTTEN
from monitoring.service.lock import Held
from monitoring.service.snapshot import GroupRows, changed_fields

GROUP_STATE_CHANGED = 1674


def save(held: Held, rows: GroupRows, group: Group, before: GroupView, decision: Decision) -> None:
    """Write what `decision` changes of `group`, and gather what has to be told."""
    after = decision.group
    nodes = rows.nodes
    _records(held, group, before, decision, nodes)
    _resources(held, rows, group, before, after)
    operation = _operation(before, after) if decision.events else None
    for event in decision.events:
        _event(held, rows, group, event, nodes, operation)
    for outcome in decision.outcomes:
        finish(held, outcome)
    _group(held, rows, group, before, decision)
    if after.transit is None and group.record_id is not None:
        group.record = None
        group.save(update_fields=["record"])
    _messages(held, rows, group, decision, nodes)


def _key(transit: Transit | None) -> tuple[object, ...]:
    return () if transit is None else (transit.kind, transit.started, transit.operation)


def _records(held: Held, group: Group, before: GroupView, decision: Decision, nodes: dict[int, Node]) -> None:
    """Close the history record of a transit that ended, open that of one that began."""
    after = decision.group.transit
    for end in decision.ended:
        if group.record is not None and _key(end.transit) == _key(before.transit):
            group.record.finished = held.now
            group.record.state, group.record.outcome = end.state, end.text
            if end.state == "done" and group.record.down_since is not None and group.persistent_online:
                group.record.up_at = group.record.up_at or held.now
            group.record.save(update_fields=["finished", "state", "outcome", "up_at"])
    if after is None:
        return
    if _key(after) != _key(before.transit):
        source = nodes.get(after.source or 0)
        group.record = FailoverRecord.objects.create(
            group=group,
            group_name=group.name,
            kind=after.kind,
            source=source.name if source else "",
            target=nodes[after.target].name,
            cause=after.cause,
            rule=after.rule,
            requested_by=after.requested_by,
            operation_id=after.operation,
            started=held.now,
            stopped=held.now if after.stage is Stage.STARTING else None,
            lost_at=source.state_since if source and source.state == NodeState.DOWN else None,
            **downtime.already(held, group),
        )
        group.save(update_fields=["record"])
    elif group.record is not None and before.transit is not None and after.stage != before.transit.stage:
        group.record.stopped = held.now
        group.record.target = nodes[after.target].name
        group.record.save(update_fields=["stopped", "target"])


def _resources(held: Held, rows: GroupRows, group: Group, before: GroupView, after: GroupView) -> None:
    """Write changed resources; a state that the decision set itself is a line of the history."""
    if after.resources is before.resources:
        return
    new_epoch = after.epoch != before.epoch
    for row in rows.resources[group.pk]:
        view = after.by_id[row.pk]
        state_before = ResourceState(row.state)
        values: dict[str, object] = {
            "persistent_online": view.persistent_online,
            "state": view.state,
            "running": view.running,
            "attempt": view.attempt,
            "failure": view.failure,
            "last_failure": view.last_failure,
            "failures": list(view.failures),
            "restart_at": view.restart_at,
            "retry_at": view.retry_at,
            "simulate": view.simulate,
            "simulate_at": view.simulate_at,
        }
        if new_epoch:
            values |= {"sequence": 0, "failed_attempt": 0, "progress": "", **FORGOTTEN}
        changed = changed_fields(row, values)
        if "state" in changed:
            row.state_since = held.now
            changed.append("state_since")
            phases.note(held, group, row, state_before, elapsed=0.0)
        if changed:
            row.save(update_fields=changed)
            held.resources.add(row.pk)
            held.groups.add(group.pk)


def _operation(before: GroupView, after: GroupView) -> Operation | None:
    """Whose intent the events of a decision belong to: one that begins with it, goes on or ends."""
    for view in (after, before):
        if view.transit is not None:
            return Operation.objects.filter(pk=view.transit.operation or 0).first()
        if view.operation is not None:
            return Operation.objects.filter(pk=view.operation.operation).first()
    return None


def _event(
    held: Held,
    rows: GroupRows,
    group: Group,
    event: Event,
    nodes: dict[int, Node],
    operation: Operation | None,
) -> None:
    resource = next((r for r in rows.resources[group.pk] if r.pk == event.resource), None)
    node = nodes.get(event.node or group.owner_id or 0)
    journal.add(
        held,
        event.text,
        code=event.code,
        severity=event.severity,
        group=group,
        resource=resource,
        node=node,
        operation=operation,
        record=group.record,
        by=operation.requested_by if operation else "",
    )


def finish(held: Held, outcome: Outcome) -> None:
    """End an operation; a drain ends with the last of its parts."""
    row = Operation.objects.filter(pk=outcome.operation, state="running").first()
    if row is None:
        return
    row.state, row.outcome, row.finished_at = outcome.state, outcome.text, held.now
    row.save(update_fields=["state", "outcome", "finished_at"])
    held.operations.add(row.pk)
    if outcome.state == "failed":
        subject = row.group or (row.resource.group if row.resource else None)
        text = f"{row.get_kind_display()} of {row.subject} failed: {outcome.text}"
        journal.add(held, text, severity=Severity.ERROR, group=subject, operation=row, by=row.requested_by)
    if row.parent_id is not None:
        drains.part_ended(held, row.parent_id)


def _group(held: Held, rows: GroupRows, group: Group, before: GroupView, decision: Decision) -> None:
    after = decision.group
    transit = after.transit
    changed = changed_fields(
        group,
        {
            "owner_id": after.owner,
            "epoch": after.epoch,
            "serial": after.serial,
            "applied_serial": after.applied_serial,
            "wanted": [list(item) for item in after.wanted],
            "watch_only": after.watch_only,
            "sent_at": after.sent_at,
            "maintenance": after.maintenance,
            "wake_at": decision.wake_at,
            "persistent_online": after.persistent_online,
            "given_up": after.given_up,
            "failovers": list(after.failovers),
            "failback_to_id": after.failback_to,
            "operation_id": after.operation.operation if after.operation else None,
            "transit_kind": transit.kind.value if transit else "",
            "transit_stage": transit.stage.value if transit else "",
            "transit_source_id": transit.source if transit else None,
            "transit_target_id": transit.target if transit else None,
            "transit_cause": transit.cause if transit else "",
            "transit_rule": transit.rule if transit else "",
            "transit_started": transit.started if transit else None,
            "transit_operation_id": transit.operation if transit else None,
            "transit_by": transit.requested_by if transit else "",
        },
    )
    if after.operation and after.operation.stopped and not (before.operation and before.operation.stopped):
        Operation.objects.filter(pk=after.operation.operation).update(options={"stopped": True})
    if changed:
        group.save(update_fields=[name.removesuffix("_id") for name in changed])
    if set(changed) - {"wake_at", "sent_at", "applied_serial", "serial", "wanted", "watch_only"}:
        held.groups.add(group.pk)
        held.nodes.update(
            n for n in (before.owner, after.owner) if n is not None and before.owner != after.owner
        )
    note_group_state(held, rows, group, before, after)


def note_group_state(held: Held, rows: GroupRows, group: Group, before: GroupView, after: GroupView) -> None:
    """Write the group's computed state where it or the owner changed: one line of the history each.

    The line tells which operation stands behind it: whether a downtime was planned follows from that.
    """
    moved = before.owner != after.owner
    state = group_state(after.resources)
    old = GroupState(group.last_state)
    if state == old and not moved:
        return
    downtime.note(held, rows, group, before, state)
    group.last_state, group.state_since = state, held.now
    group.save(update_fields=["last_state", "state_since", "down_since", "proof_at"])
    where = f" on {group.owner.name}" if group.owner else ""
    if moved and state == old:
        text = f"{group.name} is now owned by {group.owner.name if group.owner else 'no node'}."
    else:
        text = f"{group.name} is {state.label}{where} (was {old.label})."
    severity = Severity.ERROR if state is GroupState.FAILED else Severity.INFORMATION
    operation = _operation(before, after)
    journal.add(
        held,
        text,
        code=GROUP_STATE_CHANGED,
        severity=severity,
        group=group,
        node=group.owner,
        operation=operation,
        record=group.record,
        by=operation.requested_by if operation else "",
        change=(old.label, state.label),
    )


def _messages(held: Held, rows: GroupRows, group: Group, decision: Decision, nodes: dict[int, Node]) -> None:
    after = decision.group
    owner = nodes.get(after.owner or 0)
    if decision.send and owner is not None:
        operation = group.transit_operation_id or group.operation_id
        held.send(owner.name, owner.signing_key, rows.assignment(after, owner.incarnation, operation))
    for rid, asked_by in decision.fail:
        if owner is not None:
            reason = _why_simulated(asked_by)
            message = FailResource(owner.incarnation, group.pk, rid, after.epoch, asked_by, reason)
            held.send(owner.name, owner.signing_key, message)
    for node_id in decision.release:
        node = nodes[node_id]
        held.send(node.name, node.signing_key, Release(node.incarnation, group.pk, after.epoch))


def _why_simulated(operation: int) -> str:
    """What the node reports as the cause of a simulated failure. One query."""
    row = Operation.objects.get(pk=operation)
    return f"a failure was simulated, asked for by {row.requested_by}" + (
        f": {row.reason}" if row.reason else ""
    )
