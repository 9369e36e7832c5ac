"""Operators' intents: checked, recorded, and put into effect in one transaction.

What `submit` accepted is never lost: the operation is a row before anything is done about
it, and ends as done, failed or superseded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitoring.core import nodes as node_rules
from monitoring.core.intents import MAINTENANCE, request
from monitoring.core.model import Intent, Refused
from monitoring.core.states import NodeState
from monitoring.models import Group, Node, Operation, Resource
from monitoring.service import decide, drains, journal, membership, rotation, snapshot
from monitoring.service.fencing import fences
from monitoring.service.lock import Held, again, cluster_lock
from monitoring.service.topology import rules

GROUP_KINDS = ("move", "online", "offline", "restart", *MAINTENANCE)
RESOURCE_KINDS = ("resource-online", "resource-offline", "resource-restart", "resource-fail")
NODE_KINDS = ("pause", "drain", "resume", "evict", "clear-quarantine", "fence", "confirm-off", "rotate-key")
CLUSTER_KINDS = MAINTENANCE
"""Kinds that are about the whole cluster where neither group, resource nor node is named."""
NODE_EVICTED = 1011


@dataclass(frozen=True, slots=True)
class Accepted:
    """An intent that will be carried out, or reported as failed.

    `notice` says what was under way before it and by whom that was asked, empty for nothing.
    """

    operation: Operation
    notice: str = ""


@again
def submit(
    kind: str,
    *,
    by: str,
    reason: str = "",
    group: int | None = None,
    resource: int | None = None,
    node: int | None = None,
    failback: str = "none",
    confirm: str = "",
) -> Accepted:
    """Accept an intent, or raise Refused naming the field that was wrong.

    `kind` is one of GROUP_KINDS (with `group`, and `node` as the target of a move, None for
    the best), RESOURCE_KINDS (with `resource`), NODE_KINDS (with `node`; `failback` of a
    resume is none, immediate or policy; `confirm` of a confirm-off is the node's name once more)
    or CLUSTER_KINDS (with none of them).
    """
    reason = reason.strip()
    with cluster_lock() as held:
        if kind in CLUSTER_KINDS and group is None:
            return _for_cluster(held, kind, by, reason)
        if kind in GROUP_KINDS:
            return _for_group(held, kind, group, by, reason, target=node)
        if kind in RESOURCE_KINDS:
            return _for_resource(held, kind, resource, by, reason)
        if kind in NODE_KINDS:
            return _for_node(held, kind, node, by, reason, failback, confirm)
        raise Refused("kind", f"There is no action named {kind!r}.")


def under_way(group: Group) -> str:
    """What is being done with the group now and who asked for it, as a sentence; empty for nothing."""
    for operation in (group.transit_operation, group.operation):
        if operation is not None and operation.state == "running":
            what = operation.get_kind_display().lower()
            target = f" to {group.transit_target.name}" if what == "move" and group.transit_target else ""
            return f"{what}{target} of {operation.subject}, asked for by {operation.requested_by}"
    if group.transit_kind:
        return f"{group.get_transit_kind_display().lower()}: {group.transit_cause}"
    return ""


def _for_group(
    held: Held,
    kind: str,
    group_id: int | None,
    by: str,
    reason: str,
    *,
    target: int | None = None,
    resource: Resource | None = None,
    parent: Operation | None = None,
) -> Accepted:
    try:
        rows, group, view, world = snapshot.one(held, group_id or 0)
    except Group.DoesNotExist:
        raise Refused("group", "There is no such group.") from None
    before = under_way(group)
    operation = Operation.objects.create(
        kind=kind,
        group=group,
        resource=resource,
        node_id=target if target in world.nodes else None,
        subject=resource.name if resource else group.name,
        requested_by=by,
        reason=reason,
        requested_at=held.now,
        parent=parent,
    )
    intent = Intent(
        operation.pk,
        "drain" if parent else kind,
        by,
        reason,
        node=target,
        resource=resource.pk if resource else None,
    )
    decision = request(view, intent, world, held.now)  # Refused ends the transaction, or the part of a drain
    decide.save(held, rows, group, view, decision)
    held.operations.add(operation.pk)
    decide.run(held, [group.pk])
    operation.refresh_from_db()
    return Accepted(operation, f"This takes the place of {before}." if before else "")


def _for_resource(held: Held, kind: str, resource_id: int | None, by: str, reason: str) -> Accepted:
    resource = Resource.objects.filter(pk=resource_id or 0).first()
    if resource is None:
        raise Refused("resource", "There is no such resource.")
    return _for_group(held, kind, resource.group_id, by, reason, resource=resource)


def _for_node(
    held: Held, kind: str, node_id: int | None, by: str, reason: str, failback: str, confirm: str
) -> Accepted:
    node = Node.objects.filter(pk=node_id or 0).first()
    if node is None:
        raise Refused("node", "There is no such node.")
    if failback not in node_rules.FAILBACK_MODES:
        raise Refused("failback", f"{failback!r} is none of {', '.join(node_rules.FAILBACK_MODES)}.")
    world = snapshot.world(held, {row.pk: row for row in Node.objects.all()})
    hosts = Group.objects.filter(owner=node).count()
    draining = node.drain_status == "running"
    node_rules.check(kind, world.nodes[node.pk], world, draining=draining, hosts=hosts)
    if kind == "evict":
        fences.check_evict(node)
    elif kind == "fence":
        fences.check_fence(node)
    elif kind == rotation.KIND:
        rotation.check(node, is_member=node.state in membership.MEMBERS)
    elif kind == "confirm-off":
        fences.check_seen_off(node, reason, confirm)
    if kind == "evict" and (bound := rules.bound_to(node)):
        names = ", ".join(group.name for group in bound)
        raise Refused("node", f"Only {node.name} may run {names}: change the possible owners first.")
    coming = Group.objects.filter(transit_target=node).exclude(transit_kind="").first()
    if kind == "evict" and coming is not None:
        raise Refused("node", f"{coming.name} is on its way to {node.name}: move it elsewhere first.")
    operation = Operation.objects.create(
        kind=kind,
        node=node,
        subject=node.name,
        requested_by=by,
        reason=reason,
        requested_at=held.now,
        options={"failback": failback} if kind == "resume" else {},
    )
    held.operations.add(operation.pk)
    _ON_NODES[kind](held, node, operation)
    operation.refresh_from_db()
    return Accepted(operation)


def _for_cluster(held: Held, kind: str, by: str, reason: str) -> Accepted:
    """Maintenance of the whole cluster begins or ends; each group's own stays as it is."""
    begins, cluster = kind == "maintenance", held.cluster
    if cluster.maintenance == begins:
        state = "in maintenance already" if begins else "not in maintenance"
        raise Refused("cluster", f"The cluster is {state}.")
    operation = Operation.objects.create(
        kind=kind, subject=cluster.name, requested_by=by, reason=reason, requested_at=held.now
    )
    held.operations.add(operation.pk)
    cluster.maintenance = begins
    cluster.save(update_fields=["maintenance"])
    _told(held, None, operation, f"{cluster.name} is put in maintenance" if begins else "Maintenance ends")
    held.nodes.update(Node.objects.values_list("pk", flat=True))
    decide.run(held, Group.objects.values_list("pk", flat=True))
    what = "watched, and left as they are" if begins else "looked after again"
    _done(held, operation, f"All groups are {what}.")
    operation.refresh_from_db()
    return Accepted(operation)


def _done(held: Held, operation: Operation, text: str) -> None:
    decide.end_operation(held, operation, "done", text)


def _told(
    held: Held,
    node: Node | None,
    operation: Operation,
    text: str,
    code: int = 0,
    change: tuple[str, str] = ("", ""),
) -> None:
    why = f": {operation.reason}" if operation.reason else ""
    text = f"{text}, asked for by {operation.requested_by}{why}"
    by = operation.requested_by
    journal.add(held, text, code=code, node=node, operation=operation, by=by, change=change)


def _set_paused(held: Held, node: Node, paused: bool) -> tuple[str, str]:
    """Pause or resume, lastingly; what runs stays as it is. The node's state before and after, by label."""
    before = NodeState(node.state)
    node.paused = paused
    node.drain_status = "none"
    node.state = node.standing
    node.state_since = held.now
    node.save(update_fields=["paused", "drain_status", "state", "state_since"])
    after = NodeState(node.state)
    return (before.label, after.label) if after is not before else ("", "")


def _pause(held: Held, node: Node, operation: Operation) -> None:
    if not node.paused:
        change = _set_paused(held, node, True)
        _told(held, node, operation, f"{node.name} is paused", change=change)
        decide.run(held, Group.objects.filter(owner=node).values_list("pk", flat=True))
    _done(held, operation, f"{node.name} is paused; its groups stay and run.")


def _drain(held: Held, node: Node, operation: Operation) -> None:
    """Pause the node and move every group away, each as a part of this operation."""
    change = _set_paused(held, node, True)
    node.drain_status = "running"
    node.save(update_fields=["drain_status"])
    _told(held, node, operation, f"{node.name} is drained", change=change)
    for group in Group.objects.filter(owner=node).order_by("-priority", "name"):
        try:
            _for_group(held, "move", group.pk, operation.requested_by, operation.reason, parent=operation)
        except Refused as refused:
            part = Operation.objects.filter(parent=operation, group=group, state="running")
            part.update(state="failed", outcome=f"it stays: {refused.message}", finished_at=held.now)
            journal.add(
                held, f"{group.name} cannot leave {node.name}: {refused.message}", code=1137, group=group
            )
    drains.part_ended(held, operation.pk)


def _resume(held: Held, node: Node, operation: Operation) -> None:
    change = _set_paused(held, node, False)
    _told(held, node, operation, f"{node.name} is resumed", change=change)
    _end_drain(held, node, operation)
    failback = operation.options["failback"]
    if failback == "immediate":
        _bring_home(held, node, operation)
    membership.came_up(held, node, by_policy=failback == "policy")
    _done(held, operation, f"{node.name} is {node.standing.label.lower()}.")


def _clear_quarantine(held: Held, node: Node, operation: Operation) -> None:
    _told(held, node, operation, f"The quarantine of {node.name} is cleared")
    membership.end_quarantine(held, node.pk, f"cleared by {operation.requested_by}")
    _done(held, operation, f"{node.name} may take groups.")


def _end_drain(held: Held, node: Node, operation: Operation) -> None:
    """A drain under way gives way: what has not left yet stays, what has is not called back."""
    for drain in Operation.objects.filter(kind="drain", node=node, state="running"):
        text = f"Superseded by resume, asked for by {operation.requested_by}."
        decide.end_operation(held, drain, "superseded", text)
        leaving = Group.objects.filter(transit_operation__parent=drain, transit_stage="stopping", owner=node)
        for group in leaving:
            if not (group.maintenance or held.cluster.maintenance):  # else it goes where it is going
                _for_group(held, "move", group.pk, operation.requested_by, operation.reason, target=node.pk)


def _bring_home(held: Held, node: Node, operation: Operation) -> None:
    """Move all groups here that prefer this node to the one that they are on."""
    rows = snapshot.GroupRows(Group.objects.filter(preferred_owners=node).values_list("pk", flat=True))
    world = snapshot.world(held, rows.nodes)
    for group in rows.groups:
        if node_rules.returns_to(rows.view(group), node.pk, world, by_policy=False):
            why = operation.reason or f"{node.name} was resumed with immediate failback"
            _for_group(held, "move", group.pk, operation.requested_by, why, target=node.pk)


def _rotate_key(held: Held, node: Node, operation: Operation) -> None:
    is_member = node.state in membership.MEMBERS
    if is_member:
        _told(held, node, operation, f"{node.name} is to have a new key")
    rotation.begin(held, node, operation, is_member=is_member)


def _evict(held: Held, node: Node, operation: Operation) -> None:
    name = node.name
    for rotated in Operation.objects.filter(kind=rotation.KIND, node=node, state="running"):
        decide.end_operation(
            held, rotated, "superseded", f"Superseded by evict: {name} is no member any more."
        )
    _told(held, node, operation, f"{name} is evicted from the cluster", NODE_EVICTED)
    node.delete()
    operation.node = None
    _done(held, operation, f"{name} is no longer a member of the cluster.")


_ON_NODES: dict[str, Callable[[Held, Node, Operation], None]] = {
    "pause": _pause,
    "drain": _drain,
    "resume": _resume,
    "evict": _evict,
    "rotate-key": _rotate_key,
    "fence": fences.asked,
    "confirm-off": fences.seen_off,
    "clear-quarantine": _clear_quarantine,
}
