"""What an action will do, before it is asked for: in sentences, from the very rules that will decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from monitoring.core import nodes as node_rules
from monitoring.core import placement
from monitoring.core.intents import request
from monitoring.core.model import Candidate, GroupView, Intent, Refused, World
from monitoring.core.state import in_order
from monitoring.core.states import ResourceState
from monitoring.models import FailoverRecord, FenceStep, Group, Node, Operation, Resource
from monitoring.service import membership, rotation, snapshot
from monitoring.service.fencing import fences
from monitoring.service.intents import CLUSTER_KINDS, GROUP_KINDS, NODE_KINDS, RESOURCE_KINDS, under_way
from monitoring.service.lock import Held, cluster_lock

UNDO = {
    "move": "move",
    "online": "offline",
    "offline": "online",
    "resource-online": "resource-offline",
    "resource-offline": "resource-online",
    "pause": "resume",
    "drain": "resume",
    "resume": "pause",
    "maintenance": "end-maintenance",
    "end-maintenance": "maintenance",
}
_MAINTENANCE = (
    "Its resources are watched and reported as before. Nothing is restarted, moved or failed over, "
    "and no action on it is taken, until maintenance ends.",
    "What you stop or break by hand stays as you left it. A node that loses its lease still ends what it "
    "runs, and nothing starts elsewhere.",
)
_END = "What failed meanwhile is dealt with at once, as if it failed now."


@dataclass(frozen=True)
class Preview:
    """What would happen. `seconds`: how long it took of late, None where history does not say."""

    kind: str
    title: str
    sentences: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    seconds: float | None = None
    candidates: tuple[Candidate, ...] = ()
    undo: str = ""
    busy: str = ""
    refused: str = ""


@dataclass
class _Notes:
    sentences: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)


def of(
    kind: str, *, group: int | None = None, resource: int | None = None, node: int | None = None
) -> Preview:
    """Say what `kind` would do; changes nothing. Refused where what it is about does not exist."""
    with cluster_lock() as held:
        if kind in CLUSTER_KINDS and group is None:
            return _of_cluster(held, kind)
        if kind in GROUP_KINDS:
            return _of_group(held, kind, group, node)
        if kind in RESOURCE_KINDS:
            return _of_resource(held, kind, resource)
        if kind in NODE_KINDS:
            return _of_node(held, kind, node)
    raise Refused("kind", f"There is no action named {kind!r}.")


def typical_seconds(group: int, kinds: tuple[str, ...]) -> float | None:
    """Median duration of the last ten such passages of the group that went well. One query."""
    records = FailoverRecord.objects.filter(group_id=group, kind__in=kinds, state="done")
    last = records.order_by("-id").values_list("started", "finished")[:10]
    spans = [finished - started for started, finished in last if finished is not None]
    return median(spans) if spans else None


def _one(held: Held, group_id: int | None) -> tuple[Group, GroupView, World]:
    try:
        _, group, view, world = snapshot.one(held, group_id or 0)
    except Group.DoesNotExist:
        raise Refused("group", "There is no such group.") from None
    return group, view, world


def _trial(view: GroupView, intent: Intent, world: World, now: float) -> str:
    """Why the intent would be refused, empty where it would be accepted."""
    try:
        request(view, intent, world, now)
    except Refused as refused:
        return refused.message
    return ""


def _running(view: GroupView) -> list[str]:
    ordered = reversed(in_order(view.resources))
    by_id = view.by_id
    return [by_id[r.id].name for r in ordered if r.state not in (ResourceState.OFFLINE, ResourceState.FAILED)]


def _of_group(held: Held, kind: str, group_id: int | None, target: int | None) -> Preview:
    group, view, world = _one(held, group_id)
    where = group.owner.name if group.owner else "no node"
    stops = _running(view) if kind != "online" else []
    sentences = {
        "move": f"All of {group.name} goes offline on {where}, and comes online on the node you choose.",
        "offline": f"All of {group.name} goes offline on {where} and stays so until it is brought online, "
        "also across restarts and failovers.",
        "online": f"{group.name} comes online on {where}, without what operators have stopped in it.",
        "restart": f"All of {group.name} goes offline on {where}, then comes online there again.",
    }
    if kind in CLUSTER_KINDS:
        return _of_maintenance(held, kind, group, view, world)
    kinds = ("restart",) if kind == "restart" else ("move", "failback", "drain")
    choices = tuple(placement.candidates(view, world)) if kind == "move" else ()
    seconds = typical_seconds(group.pk, kinds) if kind in ("move", "restart") else None
    return Preview(
        kind=kind,
        title=f"{dict(Operation.KINDS)[kind]} {group.name}",
        sentences=(sentences[kind],),
        stops=tuple(stops),
        seconds=seconds,
        candidates=choices,
        undo=UNDO.get(kind, ""),
        busy=under_way(group),
        refused=_trial(view, Intent(0, kind, "", node=target), world, held.now),
    )


def _of_maintenance(held: Held, kind: str, group: Group, view: GroupView, world: World) -> Preview:
    begins = kind == "maintenance"
    return Preview(
        kind=kind,
        title=f"{'Start' if begins else 'End'} maintenance of {group.name}",
        sentences=_MAINTENANCE if begins else (_END,),
        undo=UNDO[kind],
        busy=under_way(group),
        refused=_trial(view, Intent(0, kind, ""), world, held.now),
    )


def _of_cluster(held: Held, kind: str) -> Preview:
    begins, cluster = kind == "maintenance", held.cluster
    state = "in maintenance already" if begins else "not in maintenance"
    return Preview(
        kind=kind,
        title=f"{'Start' if begins else 'End'} maintenance of {cluster.name}",
        sentences=tuple(text.replace("Its resources", "All groups") for text in _MAINTENANCE)
        if begins
        else (_END, "Groups that are in maintenance by themselves stay so."),
        undo=UNDO[kind],
        refused=f"The cluster is {state}." if cluster.maintenance == begins else "",
    )


def _of_resource(held: Held, kind: str, resource_id: int | None) -> Preview:
    row = Resource.objects.filter(pk=resource_id or 0).first()
    if row is None:
        raise Refused("resource", "There is no such resource.")
    group, view, world = _one(held, row.group_id)
    stops = _with_dependents(view, row.pk) if kind != "resource-online" else []
    others = len(stops) - 1
    also = f", and with it {others} that depend{'s' if others == 1 else ''} on it" if others > 0 else ""
    sentences = {
        "resource-online": f"{row.name} comes online, and what it depends on where that is stopped.",
        "resource-offline": f"{row.name} goes offline{also}; it stays so until somebody brings it online.",
        "resource-restart": f"{row.name} goes offline{also}, then all of it comes online again.",
        "resource-fail": f"{row.name} is made to fail, so that its whole failure policy runs: "
        f"restart, and failover of {group.name} where the restarts are used up.",
    }
    title = {"resource-fail": "Simulate a failure of"}.get(
        kind, dict(Operation.KINDS)[kind].split()[-1].title()
    )
    return Preview(
        kind=kind,
        title=f"{title} {row.name}",
        sentences=(sentences[kind],),
        stops=tuple(stops),
        undo=UNDO.get(kind, ""),
        busy=under_way(group),
        refused=_trial(view, Intent(0, kind, "", resource=row.pk), world, held.now),
    )


def _with_dependents(view: GroupView, rid: int) -> list[str]:
    """Names of what goes offline with a resource, first to stop first."""
    falls = {rid}
    for r in in_order(view.resources):
        if any(all(p in falls for p in clause) for clause in r.requires):
            falls.add(r.id)
    by_id = view.by_id
    ordered = [by_id[r.id] for r in reversed(in_order(view.resources)) if r.id in falls]
    return [r.name for r in ordered if not r.state.is_down]


def _of_node(held: Held, kind: str, node_id: int | None) -> Preview:
    node = Node.objects.filter(pk=node_id or 0).first()
    if node is None:
        raise Refused("node", "There is no such node.")
    world = snapshot.world(held, {row.pk: row for row in Node.objects.all()})
    hosted = list(Group.objects.filter(owner=node).order_by("name"))
    notes = _Notes()
    _ON_NODES[kind](node, hosted, world, notes)
    refused = ""
    try:
        if kind == "fence":
            fences.check_fence(node)
        elif kind == "evict":
            fences.check_evict(node)
        elif kind == rotation.KIND:
            rotation.check(node, is_member=node.state in membership.MEMBERS)
        elif kind == "confirm-off":
            fences.check_seen_off(node, "to be given", node.name)
        draining = node.drain_status == "running"
        node_rules.check(kind, world.nodes[node.pk], world, draining=draining, hosts=len(hosted))
    except Refused as error:
        refused = error.message
    seconds = (
        [typical_seconds(g.pk, ("move", "failback", "drain")) for g in hosted] if kind == "drain" else []
    )
    known = [s for s in seconds if s is not None]
    return Preview(
        kind=kind,
        title=f"Rotate the key of {node.name}"
        if kind == rotation.KIND
        else f"{dict(Operation.KINDS)[kind]} {node.name}",
        sentences=tuple(notes.sentences),
        stops=tuple(notes.stops),
        seconds=max(known) if known else None,
        undo=UNDO.get(kind, ""),
        refused=refused,
    )


def _pause(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    names = ", ".join(g.name for g in hosted)
    notes.sentences.append(
        f"{node.name} takes no groups, and nothing new comes online there, until it is resumed."
    )
    if names:
        notes.sentences.append(f"What runs there stays: {names}. A failure there leads to a failover.")


def _drain(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    notes.sentences.append(f"{node.name} is paused, and all its groups move to other nodes.")
    rows = snapshot.GroupRows(g.pk for g in hosted)
    for group in rows.groups:
        view = rows.view(group)
        choice = placement.best(view, world, node.pk)
        if choice is None:
            notes.sentences.append(f"{group.name} has to stay: no other node can take it.")
        else:
            notes.sentences.append(f"{group.name} goes to {world.nodes[choice[0]].name}.")
            notes.stops.extend(_running(view))


def _resume(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    notes.sentences.append(f"Groups may come online on {node.name} again.")
    homeless = Group.objects.filter(preferred_owners=node).exclude(owner=node).order_by("name")
    names = ", ".join(homeless.values_list("name", flat=True))
    if names:
        notes.sentences.append(f"Away from {node.name}, which they prefer: {names}.")


def _evict(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    notes.sentences.append(
        f"{node.name} is removed from the cluster and from every list of owners. "
        "Its agent is refused until the node is added again."
    )


def _fence(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    names: dict[int, list[str]] = {}
    for step in FenceStep.objects.filter(node=node).select_related("device"):
        names.setdefault(step.level, []).append(step.device.name)
    chain = "; if that fails, by ".join(" and ".join(devices) for _, devices in sorted(names.items()))
    notes.sentences.append(
        f"{node.name} is turned off by {chain or 'nothing'}. What runs there ends as in a loss of power."
    )
    if hosted:
        comes = "comes" if len(hosted) == 1 else "come"
        groups = ", ".join(group.name for group in hosted)
        notes.sentences.append(f"Once it is confirmed off, {groups} {comes} online elsewhere.")
        rows = snapshot.GroupRows(g.pk for g in hosted)
        for group in rows.groups:
            notes.stops.extend(_running(rows.view(group)))
    notes.sentences.append("The cluster does not turn it on again.")


def _confirm_off(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    groups = ", ".join(group.name for group in hosted) or "no group"
    notes.sentences.append(f"You say that {node.name} is off, because you have seen it.")
    notes.sentences.append(f"Elsewhere, at once, comes online: {groups}.")
    notes.sentences.append(
        f"If {node.name} runs all the same, two nodes serve the same clients and write to the same disks."
    )


def _clear_quarantine(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    times = len(node.departures)
    notes.sentences.append(
        f"{node.name} takes groups again at once, though it dropped out {times} times within an hour. "
        "The count begins anew."
    )


def _rotate_key(node: Node, hosted: list[Group], world: World, notes: _Notes) -> None:
    if node.state in membership.MEMBERS:
        notes.sentences.append(
            f"{node.name} and the cluster service agree upon a new key. What runs there goes on, and the old "
            "key is void once the node uses the new one."
        )
    else:
        notes.sentences.append(
            f"{node.name} is down: it gets a new key at once, which has to be put in place by hand. "
            "Until then its agent is refused."
        )


_ON_NODES: dict[str, Callable[[Node, list[Group], World, _Notes], None]] = {
    "pause": _pause,
    "drain": _drain,
    "resume": _resume,
    "evict": _evict,
    "fence": _fence,
    "confirm-off": _confirm_off,
    "clear-quarantine": _clear_quarantine,
    "rotate-key": _rotate_key,
}
