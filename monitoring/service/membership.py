"""Nodes that come, fall silent, are lost, leave: the observer's side of the leases.

One observer a process, and as many as there are workers of the cluster service (`observe` is
called by their tickers); other processes take the states that they wrote. Each observer goes by
what it has seen itself, by its own monotonic clock; what they conclude meets under the lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from monitoring.core.membership import STARTUP_GRACE, Grants, LeaseTerms, Watch
from monitoring.core.nodes import returns_to
from monitoring.core.states import NodeState, Severity
from monitoring.models import Cluster, Group, Node
from monitoring.service import clock, decide, journal, quarantine, snapshot
from monitoring.service.fencing import fences
from monitoring.service.lock import Held, cluster_lock

NODE_JOINED = 1062
NODE_LOST = 1135
CONTACT_LOST = 1592
ISOLATED, NOT_ISOLATED = 1673, 1680
MEMBERS = (NodeState.UP, NodeState.PAUSED)


@dataclass(slots=True)
class Observer:
    """What this process has seen of the nodes. Several processes may observe, each for itself."""

    watch: Watch
    looked: float = float("-inf")
    """Monotonic seconds of its last look."""
    grants: Grants = field(default_factory=Grants)


_observer: Observer | None = None


def observe() -> None:
    """Make this process an observer of the nodes, from now on."""
    global _observer
    _observer = Observer(Watch.start(clock.monotonic()))


def awaited_until(node: int) -> float:
    """Cluster time until which groups wait for a node that may still be starting, as this cluster is."""
    if _observer is None or is_heard(node):
        return 0.0
    return clock.at(_observer.watch.started) + STARTUP_GRACE


def is_heard(node: int) -> bool:
    """False where this process observes, and has not yet seen the node alive."""
    return _observer is None or _observer.watch.has_heard(node)


def settled() -> bool:
    """True where this process has heard of all members, or has waited long enough for them. One query."""
    if _observer is None or clock.monotonic() - _observer.watch.started > STARTUP_GRACE:
        return True
    members = Node.objects.filter(state__in=MEMBERS).values_list("pk", flat=True)
    return all(_observer.watch.has_heard(node) for node in members)


def terms(cluster: Cluster) -> LeaseTerms:
    """The cluster's lease settings, in seconds."""
    return LeaseTerms(cluster.heartbeat_interval_ms / 1000, cluster.lease_ms / 1000, cluster.margin_ms / 1000)


def look_if_due(interval: float) -> None:
    """Look at the heartbeats where the last look is about an interval ago."""
    assert _observer is not None
    at = clock.monotonic()
    if at - _observer.looked >= interval * 0.9:
        _observer.looked = at
        look(_observer)


def look(observer: Observer) -> None:
    """Look at all heartbeats once; act where a node is newly heard, silent or lost. Two queries at rest."""
    cluster = Cluster.objects.get()
    nodes = list(Node.objects.all())
    at, lease = clock.monotonic(), terms(cluster)
    _shorten(observer, cluster, nodes, at)
    before = observer.watch
    watch = observer.watch = before.look(((n.pk, n.incarnation, n.heartbeat) for n in nodes), at, lease)
    members = [n for n in nodes if n.state in MEMBERS]
    no_contact = bool(members) and watch.contact_lost(at, lease) and at - watch.started > lease.gap
    newly = [n for n in members if watch.has_heard(n.pk) and not before.has_heard(n.pk)]
    lost = [n for n in members if watch.lost(n.pk, at, lease, n.granted_ms / 1000)]
    silences = {n.pk: 0.0 if no_contact else watch.silence(n.pk, at) for n in members}
    changed = any(_is_news(n, silences[n.pk], lease) for n in members)
    released = [n for n in nodes if n.quarantined_until is not None and n.quarantined_until <= clock.now()]
    if newly or lost or changed or released or no_contact != (cluster.contact_lost_since is not None):
        with cluster_lock() as held:
            same = _as_seen(members)
            _note_contact(held, no_contact and len(same) == len(members))
            over = {n.pk for n in lost}  # of these there is more to say
            for node in same:
                if node.pk not in over:
                    _note_silence(held, node, silences[node.pk], lease)
            _heard(held, newly)
            held.heard = {n.pk: held.now - silences[n.pk] for n in lost}
            _lose(held, lost)
            for node in released:
                end_quarantine(held, node.pk, "its time is over")


def _shorten(observer: Observer, cluster: Cluster, nodes: list[Node], at: float) -> None:
    """Of a lease that was made shorter, the longer one counts until it is over everywhere."""
    leases = [(n.pk, n.granted_ms / 1000, n.lease_ms(cluster) / 1000) for n in nodes]
    observer.grants, over = observer.grants.look(leases, at)
    for node in nodes:
        if node.pk in over:
            unchanged = Node.objects.filter(pk=node.pk, granted_ms=node.granted_ms)
            unchanged.update(granted_ms=node.lease_ms(cluster))


def _is_news(node: Node, silence: float, lease: LeaseTerms) -> bool:
    silent, isolated = silence > lease.gap, silence > lease.isolation
    return (node.silent_since is not None) != silent or node.isolated != isolated


def _as_seen(nodes: list[Node]) -> list[Node]:
    """Those of `nodes` about which what was seen still holds, as they are now. One query.

    The lock may have come late: the node may have been heard since, or another observer may have
    acted on the same evidence.
    """
    now = Node.objects.in_bulk([n.pk for n in nodes])
    pairs = ((n, now[n.pk]) for n in nodes if n.pk in now)
    return [new for old, new in pairs if _heart(new) == _heart(old)]


def _heart(node: Node) -> tuple[object, ...]:
    return node.state, node.incarnation, node.heartbeat


def _note_contact(held: Held, gone: bool) -> None:
    """Say loudly when no node at all is heard: the broker is gone, not they."""
    cluster = held.cluster
    if gone == (cluster.contact_lost_since is not None):
        return
    cluster.contact_lost_since = clock.now() if gone else None
    cluster.save(update_fields=["contact_lost_since"])
    if gone:
        text = "No node is heard at all: the broker is out of reach, not the nodes. Nothing is moved."
        journal.add(held, text, code=CONTACT_LOST, severity=Severity.SEVERE)
    else:
        journal.add(held, "The nodes are heard again.", code=CONTACT_LOST)
    held.nodes.update(Node.objects.values_list("pk", flat=True))


def _note_silence(held: Held, node: Node, silence: float, lease: LeaseTerms) -> None:
    """Say what a node's silence means, each time that it comes to mean something else."""
    if not _is_news(node, silence, lease):
        return
    left = max(lease.lease, node.granted_ms / 1000) + lease.margin - silence
    if silence > lease.isolation:
        node.isolated = True
        node.silent_since = node.silent_since or held.now - silence
        text = (
            f"{node.name} is isolated: it was not heard for {silence:.1f} s. Its groups stay with it; "
            f"it is given up in {left:.0f} s if no heartbeat comes."
        )
        journal.add(held, text, code=ISOLATED, severity=Severity.ERROR, node=node)
    elif silence > lease.gap:
        node.silent_since = held.now - silence
        text = f"Heartbeats of {node.name} are missed; it is given up in {left:.1f} s if none comes."
        journal.add(held, text, code=CONTACT_LOST, severity=Severity.WARNING, node=node)
    else:
        code = NOT_ISOLATED if node.isolated else CONTACT_LOST
        text = f"{node.name} is no longer isolated." if node.isolated else f"{node.name} is heard again."
        node.isolated, node.silent_since = False, None
        journal.add(held, text, code=code, node=node)
    node.save(update_fields=["isolated", "silent_since"])


def _heard(held: Held, nodes: list[Node]) -> None:
    """First heard since this service started: its groups, and those without a home, are looked at."""
    if nodes:
        decide.run(held, Group.objects.values_list("pk", flat=True))


def _lose(held: Held, nodes: list[Node]) -> None:
    """The leases of these nodes are over; not of one that was heard this very moment, or that another
    observer lost first.

    All are Down before any group is decided about: none goes to a node that is lost as well.
    """
    how = "no heartbeat came, and its lease is over"
    waits = {node.pk: fences.is_needed(node) for node in nodes}
    for node in [node for node in nodes if _set_lost(held, node, waits[node.pk])]:
        _went_down(held, node, how, waits=waits[node.pk])
        if waits[node.pk]:
            fences.node_lost(held, node, how)


def _set_lost(held: Held, node: Node, unfenced: bool) -> bool:
    """Write that the node is Down, where what was seen of it still holds."""
    seen = {"incarnation": node.incarnation, "heartbeat": node.heartbeat, "state__in": MEMBERS}
    down = {"state": NodeState.DOWN, "state_since": held.now, "silent_since": None, "isolated": False}
    return bool(Node.objects.filter(pk=node.pk, **seen).update(**down, unfenced=unfenced))


def leave(held: Held, node: Node) -> None:
    """The node stopped in order: it runs nothing any more."""
    Node.objects.filter(pk=node.pk).update(
        state=NodeState.DOWN, state_since=held.now, silent_since=None, isolated=False
    )
    _went_down(held, node, "its agent was stopped", in_order=True)


def _went_down(held: Held, node: Node, how: str, *, in_order: bool = False, waits: bool = False) -> None:
    """`waits`: it has fence devices, and its groups wait until it is confirmed off."""
    change = (NodeState(node.state).label, NodeState.DOWN.label)
    severity = Severity.WARNING if in_order else Severity.SEVERE
    held.losses[node.pk] = how
    text = f"{node.name} went down: {how}."
    if waits:
        text += " Its groups wait until it is confirmed off: it is fenced."
    journal.add(held, text, code=NODE_LOST, severity=severity, node=node, change=change)
    if not in_order:
        quarantine.dropped_out(held, node.pk)
    decide.run(held, Group.objects.filter(owner=node).values_list("pk", flat=True))


def join(held: Held, node: Node, incarnation: int, number: int, lease_ms: int) -> None:
    """A new life of the node begins, with a lease of `lease_ms`. Whatever its earlier life ran is gone.

    Where that life ended unseen, its groups are started again where they are: a restart of the
    whole cluster, or of its broker, must not look like the loss of every node.
    """
    owned = list(Group.objects.filter(owner=node).values_list("pk", flat=True))
    seen = _observer is not None and _observer.watch.saw_end(node.pk, clock.monotonic(), terms(held.cluster))
    if node.state in MEMBERS and seen:
        Node.objects.filter(pk=node.pk).update(state=NodeState.DOWN, silent_since=None, isolated=False)
        _went_down(held, node, "its agent ended, and a new one started")
        node.refresh_from_db()
    else:
        decide.restarted_in_place(held, owned)
    fences.node_came(held, node)
    before = NodeState(node.state).label
    node.state = node.standing
    node.state_since, node.silent_since, node.isolated = held.now, None, False
    node.incarnation, node.heartbeat, node.reports = incarnation, number, 0
    node.granted_ms = lease_ms
    node.save()
    if _observer is not None:  # a node that joins through this process was heard by it
        _observer.watch = _observer.watch.heard(node.pk, incarnation, number, clock.monotonic())
    label = NodeState(node.state).label
    journal.add(
        held, f"{node.name} joined and is {label}.", code=NODE_JOINED, node=node, change=(before, label)
    )
    came_up(held, node, by_policy=True)


def end_quarantine(held: Held, node: int, why: str) -> None:
    """The node may take groups again."""
    if (row := quarantine.end(held, node, why)) is not None:
        came_up(held, row, by_policy=True)


def came_up(held: Held, node: Node, *, by_policy: bool) -> None:
    """Something may come online on the node again: groups that wait for it, or want to return."""
    rows = snapshot.GroupRows(Group.objects.values_list("pk", flat=True))
    world = snapshot.world(held, rows.nodes)
    wanted = []
    for group in rows.groups:
        view = rows.view(group)
        if returns_to(view, node.pk, world, by_policy=by_policy):
            group.failback_to = node
            group.save(update_fields=["failback_to"])
            wanted.append(group.pk)
        owner = world.nodes.get(group.owner_id or 0)
        if group.owner_id == node.pk or owner is None or owner.lost:
            wanted.append(group.pk)
    if _observer is None:  # others may be starting too: only who observes knows whom to wait for
        held.dirty.update(wanted)
    else:
        decide.run(held, wanted)
