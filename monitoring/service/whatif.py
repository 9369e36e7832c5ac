"""What if nodes fail or are drained, and disks break: the real decisions, asked without the lock.

Reads only. What is read while the cluster changes may be a moment apart, as on any page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import Q

from monitoring.core.homes import SinglePoint, single_points
from monitoring.core.model import GroupView, NodeView, ResourceView, World
from monitoring.core.whatif import Answer, Fate, Question, Verdict
from monitoring.core.whatif import ask as play
from monitoring.models import Cluster, FenceStep, Group, Node, PossibleOwner, PreferredOwner, Resource
from monitoring.models.topology import STORAGE_GROUPS
from monitoring.service import clock, lookup, membership, snapshot
from monitoring.service.lock import Held
from monitoring.service.queries.history import typical_seconds

DISK = "Physical Disk"
"""The resource type that is offered as a disk that may break. Any resource can be asked about."""
NAMED = 3
BROKEN = (Verdict.DOWN, Verdict.PARTLY, Verdict.UNSETTLED)


@dataclass(frozen=True)
class Asked:
    """The question by rows. A node that is to fail and to be drained fails."""

    fails: tuple[Node, ...] = ()
    drained: tuple[Node, ...] = ()
    disks: tuple[Resource, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.fails or self.drained or self.disks)


@dataclass(frozen=True)
class Downtime:
    """How long clients of a group would wait. `at_least`: more is to come that history does not tell.

    `seconds` is None where it stays down; `text` says of what it is made, or until when.
    """

    seconds: float | None
    at_least: bool
    text: str


@dataclass(frozen=True)
class Line:
    """What becomes of one group, with the names of its nodes; "" for none. `via` are nodes in between."""

    group: int
    name: str
    source: str
    target: str
    via: tuple[str, ...]
    verdict: Verdict
    why: str
    down: tuple[str, ...]
    whole: bool
    """All of it is down."""
    downtime: Downtime | None

    @property
    def tone(self) -> str:
        """The tone of what becomes of it, for a page."""
        if self.verdict in BROKEN:
            return "warn" if self.verdict is Verdict.PARTLY else "bad"
        return "busy" if self.verdict is Verdict.MOVES else "off"


@dataclass(frozen=True)
class Result:
    """The answer, the worst first. `untouched`: how many groups it is not about."""

    lines: tuple[Line, ...]
    refused: tuple[str, ...]
    rules: tuple[str, ...]
    untouched: int

    def count(self, *verdicts: Verdict) -> int:
        return sum(line.verdict in verdicts for line in self.lines)

    @property
    def down(self) -> int:
        return self.count(*BROKEN)

    @property
    def moves(self) -> int:
        return self.count(Verdict.MOVES)

    @property
    def tone(self) -> str:
        if self.down:
            return "bad"
        return "warn" if self.refused or self.rules else "ok"

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        parts = []
        if down := self.count(Verdict.DOWN, Verdict.UNSETTLED):
            parts.append(f"{_groups(down)} {'stays' if down == 1 else 'stay'} down")
        if partly := self.count(Verdict.PARTLY):
            parts.append(f"{_groups(partly)} {'is' if partly == 1 else 'are'} partly down")
        if self.moves:
            parts.append(f"{_groups(self.moves)} {'moves' if self.moves == 1 else 'move'}")
        if stays := self.count(Verdict.STAYS):
            parts.append(f"{_groups(stays)} {'stays where it is' if stays == 1 else 'stay where they are'}")
        if not parts:
            return "No group would notice"
        return ", ".join(parts)


def _groups(count: int) -> str:
    return f"{count} group{'s' if count != 1 else ''}"


def named(fail: Iterable[str], drain: Iterable[str], disk: Iterable[str]) -> Asked:
    """The question by names or ids; UnknownNameError for one that does not exist. One query a name."""
    return Asked(
        tuple(lookup.node(name) for name in dict.fromkeys(fail)),
        tuple(lookup.node(name) for name in dict.fromkeys(drain)),
        tuple(lookup.resource(name) for name in dict.fromkeys(disk)),
    )


def ask(asked: Asked) -> Result:
    """Play it through. Thirteen queries at most, and one for each group with an action under way."""
    if asked.empty:
        return Result((), (), (), Group.objects.count())
    question = Question(
        frozenset(node.pk for node in asked.fails),
        frozenset(node.pk for node in asked.drained),
        frozenset(disk.pk for disk in asked.disks),
    )
    nodes = question.fails | question.drained
    groups = Group.objects.filter(
        Q(owner__in=nodes) | Q(transit_target__in=nodes) | Q(pk__in={d.group_id for d in asked.disks})
    )
    rows = snapshot.GroupRows(groups.values_list("pk", flat=True))
    held = Held(Cluster.objects.get(), clock.now())  # as the decisions have it, but nothing is locked
    views = [rows.view(group) for group in rows.groups]
    answer = play(question, views, snapshot.world(held, rows.nodes), held.now)
    return _result(answer, rows.nodes, held.cluster, {view.id: view for view in views})


def _result(
    answer: Answer, nodes: Mapping[int, Node], cluster: Cluster, views: Mapping[int, GroupView]
) -> Result:
    typical = typical_seconds(fate.group for fate in answer.fates)
    fenced = set(FenceStep.objects.values_list("node_id", flat=True))
    lines = []
    for fate in answer.fates:
        view = views[fate.group]
        lines.append(
            Line(
                fate.group,
                fate.name,
                _name(nodes, fate.source),
                _name(nodes, fate.owner),
                tuple(_name(nodes, hop.target) for hop in fate.hops[:-1]),
                fate.verdict,
                fate.why,
                fate.down,
                fate.verdict is Verdict.DOWN,
                _downtime(fate, view, nodes, cluster, typical.get(fate.group), fenced),
            )
        )
    return Result(tuple(lines), answer.refused, answer.rules, Group.objects.count() - len(lines))


def _name(nodes: Mapping[int, Node], node: int | None) -> str:
    found = nodes.get(node or 0)
    return found.name if found else ""


def _downtime(
    fate: Fate,
    view: GroupView,
    nodes: Mapping[int, Node],
    cluster: Cluster,
    typical: float | None,
    fenced: Collection[int],
) -> Downtime | None:
    """None where clients of the group notice nothing, or are served nothing anyway."""
    if not view.persistent_online:
        return None
    if fate.verdict is Verdict.UNSETTLED:
        return Downtime(None, False, "until somebody stops it")
    if fate.down:
        back = f"until {_name(nodes, fate.owner) or 'a node that can take it'} is back"
        back = back if fate.unowned else "until it is repaired"
        return Downtime(None, False, back)
    if not fate.hops:
        return None
    parts, known = [], fate.restarts
    at_least = typical is None
    lost = nodes.get(fate.source or 0) if fate.hops[0].after_loss else None
    if lost is not None:
        wait = max(lost.lease_ms(cluster), lost.granted_ms) / 1000 + membership.terms(cluster).margin
        known += wait
        parts.append(f"{_seconds(wait)} until the lease of {lost.name} is over")
        if lost.pk in fenced:
            at_least = True
            parts.append("the time until it is confirmed off")
    if typical is None:
        parts.append("the passage, of which there is no earlier one")
    else:
        known += typical * len(fate.hops)
        usual = f"{_seconds(typical)} as its passages usually take"
        parts.append(usual if len(fate.hops) == 1 else f"{len(fate.hops)} times {usual}")
    return Downtime(known, at_least, ", then ".join(parts))


def _seconds(length: float) -> str:
    return f"{length:.2g} s" if length < 1 else f"{length:.1f} s" if length < 10 else f"{length:.0f} s"


# The red line: each node by itself


def weak_points(cluster: Cluster | None = None, nodes: Iterable[Node] | None = None) -> tuple[str, ...]:
    """Sentences: whose loss would leave which groups without a home. Six queries.

    Four where `cluster` and all its `nodes` are at hand.
    """
    if cluster is None:
        cluster = Cluster.objects.first() or Cluster()
    if cluster.maintenance:
        return ()
    rows = {node.pk: node for node in (Node.objects.order_by("pk") if nodes is None else nodes)}
    views = snapshot.world(Held(cluster, clock.now()), rows).nodes
    limit, apart = cluster.max_storage_groups_per_node, cluster.enforced_anti_affinity
    return _points(light_views(rows), tuple(views.values()), limit, apart)


@lru_cache(maxsize=2)
def _points(
    groups: tuple[GroupView, ...], nodes: tuple[NodeView, ...], limit: int, apart: bool
) -> tuple[str, ...]:
    """Kept, since most changes of a cluster leave all of this as it was.

    A thousand groups with storage groups take 0.25 s, and as many without 5 ms.
    """
    world = World({n.id: n for n in nodes}, max_storage_groups_per_node=limit, enforced_anti_affinity=apart)
    return tuple(map(told, single_points(groups, world)))


def told(point: SinglePoint) -> str:
    """A single point of failure in a sentence."""
    names = point.groups
    if point.whole:
        who = f"all its {len(names)} groups stay"
    elif len(names) == 1:
        who = f"{names[0]} stays"
    elif len(names) <= NAMED:
        who = f"{', '.join(names[:-1])} and {names[-1]} stay"
    else:
        who = f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more stay"
    why = point.why if len(names) == 1 else point.why.replace("may run it", "may run them")
    return f"If {point.name} fails, {who} down: {why}."


def light_views(nodes: Collection[int]) -> tuple[GroupView, ...]:
    """All groups, with what a choice of nodes looks at and nothing else. Four queries."""
    preferred: dict[int, list[int]] = defaultdict(list)
    rows = PreferredOwner.objects.order_by("group_id", "position")
    for group, node in rows.values_list("group_id", "node_id"):
        preferred[group].append(node)
    owners: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    links = PossibleOwner.objects.values_list("resource__group_id", "resource_id", "node_id")
    for group, resource, node in links:
        owners[group][resource].add(node)
    stores: dict[int, int] = defaultdict(int)
    for store in Resource.objects.filter(properties__has_key=STORAGE_GROUPS):
        stores[store.group_id] += store.storage_groups
    every = frozenset(nodes)
    fields = ("pk", "name", "owner_id", "persistent_online", "anti_affinity", "priority", "maintenance")
    return tuple(
        GroupView(
            id=pk,
            name=name,
            owner=owner,
            persistent_online=wanted,
            resources=(ResourceView(0, "", "", storage_groups=stores[pk]),) if stores.get(pk) else (),
            preferred=tuple(preferred.get(pk, ())),
            possible=every.intersection(*owners[pk].values()) if pk in owners else every,
            anti_affinity=snapshot.classes(classes),
            priority=priority,
            maintenance=maintenance,
        )
        for pk, name, owner, wanted, classes, priority, maintenance in Group.objects.order_by(
            "-priority", "pk"
        ).values_list(*fields)
    )


__all__ = ["Asked", "Downtime", "Line", "Result", "ask", "named", "weak_points"]
