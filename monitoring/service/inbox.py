"""Messages from nodes: checked, applied once, answered. The only way in for what nodes know."""

from __future__ import annotations

from django.db.models.functions import Greatest

from monitoring.core.messages import (
    Envelope,
    Heartbeat,
    HeartbeatAck,
    LifeOver,
    LogEntry,
    MessageError,
    Output,
    Report,
    Upward,
    read_envelope,
)
from monitoring.core.states import Severity
from monitoring.models import Cluster, Event, Node, Resource
from monitoring.service import journal, membership, output, refusals, reports, rotation
from monitoring.service.lock import cluster_lock


def receive(raw: object) -> HeartbeatAck | LifeOver | None:
    """Take one message in; return the answer that its sender waits for, if any.

    MessageError where it is malformed, or not from whom it says: it is counted, and
    changes nothing.
    """
    node, message = _open(raw)
    if isinstance(message, Heartbeat):
        return _heartbeat(node, message)
    if isinstance(message, Report):
        reports.take(node.pk, message)
    elif isinstance(message, Output):
        output.take(node, message)
    else:
        _log_entry(node, message)
    return None


def _open(raw: object) -> tuple[Node, Upward]:
    node: Node | None = None
    try:
        envelope = read_envelope(raw)
        node = _member(envelope)
        return node, rotation.opened(envelope, node)
    except MessageError as error:
        refusals.count(node.pk if node else None, str(error))
        raise


def _member(envelope: Envelope) -> Node:
    node = Node.objects.filter(name=envelope.node).first()
    if node is None:
        raise MessageError(f"envelope: {envelope.node} is not a member of the cluster")
    return node


def _of_another_life(node: Node, message: Heartbeat | LogEntry) -> None:
    refusals.count(node.pk, f"{type(message).__name__} of life {message.incarnation}")


def _heartbeat(node: Node, beat: Heartbeat) -> HeartbeatAck | LifeOver | None:
    """Renew the lease of a member; let a new life in. One that was declared lost is told so."""
    cluster = Cluster.objects.get()
    lease_ms = node.lease_ms(cluster)
    if beat.leaving and beat.incarnation <= node.incarnation:
        _leaving(node, beat)
        return None
    joined = beat.incarnation > node.incarnation and _join(node, beat, lease_ms)
    if not joined and not _renew(node, beat, lease_ms):
        _of_another_life(node, beat)
        return LifeOver(beat.incarnation) if beat.incarnation == node.incarnation else None
    return HeartbeatAck(
        incarnation=beat.incarnation,
        number=beat.number,
        interval_ms=cluster.heartbeat_interval_ms,
        lease_ms=lease_ms,
        margin_ms=cluster.margin_ms,
        resend=beat.incarnation == node.incarnation and beat.reports > node.reports,
        rekey=rotation.offer_to(node),
    )


def _join(node: Node, beat: Heartbeat, lease_ms: int) -> bool:
    """Let a new life of the node in; False where that has happened, or a newer one has begun."""
    with cluster_lock() as held:
        fresh = Node.objects.get(pk=node.pk)
        if beat.incarnation <= fresh.incarnation:
            return False
        membership.join(held, fresh, beat.incarnation, beat.number, lease_ms)
        Node.objects.filter(pk=node.pk).update(watchdog_ms=beat.watchdog_ms)
        return True


def _renew(node: Node, beat: Heartbeat, lease_ms: int) -> bool:
    """Note the heartbeat of a member's present life, and what its answer grants; False for others."""
    granted = Greatest("granted_ms", lease_ms)
    alive = Node.objects.filter(pk=node.pk, incarnation=beat.incarnation, state__in=membership.MEMBERS)
    newer = alive.filter(heartbeat__lt=beat.number)
    news = {"heartbeat": beat.number, "refused_by_node": beat.refused, "granted_ms": granted}
    news["watchdog_ms"] = beat.watchdog_ms
    return bool(newer.update(**news) or alive.update(granted_ms=granted))


def _leaving(node: Node, beat: Heartbeat) -> None:
    with cluster_lock() as held:
        fresh = Node.objects.get(pk=node.pk)
        if fresh.incarnation == beat.incarnation and fresh.state in membership.MEMBERS:
            membership.leave(held, fresh)


def _log_entry(node: Node, entry: LogEntry) -> None:
    with cluster_lock() as held:
        if entry.incarnation != node.incarnation:
            _of_another_life(node, entry)
            return
        if entry.number and Event.objects.filter(node=node, number_at_node=entry.number).exists():
            return  # it came twice
        # A node speaks of what it runs: nothing is written beside the groups of others
        own = Resource.objects.filter(pk=entry.resource or 0, group__owner=node)
        resource = own.select_related("group").first()
        journal.add(
            held,
            entry.text,
            code=entry.code,
            severity=Severity(entry.level),
            group=resource.group if resource else None,
            resource=resource,
            node=node,
            number_at_node=entry.number or None,
            output=entry.output if resource else "",
            record=resource.group.record if resource and entry.output else None,
        )
