"""The cluster at a glance: every node with the groups that it hosts, troubled groups first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Cluster, Dependency, Event, FenceStep, Group, Node, Resource
from monitoring.service.queries.common import NodeRef, preferred_owners
from monitoring.service.queries.fencing import FenceRow, open_fences
from monitoring.service.queries.groups import Asked
from monitoring.service.queries.history import EventRow, event_row
from monitoring.service.queries.lines import DOWN, Line, is_troubled, lines
from monitoring.service.queries.nodes import storage_groups
from monitoring.service.queries.progress import Doing, Journey, Step, doing
from monitoring.service.queries.tree import Requires, ranks
from monitoring.service.whatif import weak_points

TICKER = 12
TOO_FINE = Q(code=1637) | Q(code=1674, state_to=GroupState.PENDING.label)
"""Every step of every resource: too much for the overview, where the cards show it."""
NAMED = 3


@dataclass(frozen=True, slots=True)
class Spot:
    """One resource at a glance; `wanted` is False where an operator took it offline.

    `failure` is why it failed last, where it is Failed now. `warning`: what it warns of while it
    is up. Times are cluster time.
    """

    id: int
    name: str
    type_name: str
    state: ResourceState
    wanted: bool
    restart_at: float | None
    retry_at: float | None
    failure: str
    warning: str


@dataclass(frozen=True, slots=True)
class Card:
    """One group at a glance; `spots` are its resources, providers before what needs them.

    `node` is the column that it stands in, None among those that need attention.
    """

    id: int
    name: str
    state: GroupState
    since: float
    owner: NodeRef | None
    preferred: NodeRef | None
    node: int | None
    spots: tuple[Spot, ...]
    doing: Doing
    asked: Asked | None
    cause: str
    given_up: bool
    wanted: bool
    maintenance: bool
    place: str = ""
    """The list of the page that it stands in, and `order` its place there."""
    order: str = ""

    @property
    def retry_at(self) -> float | None:
        """Cluster time of the next try, where a resource failed and its restarts are used up."""
        return min((spot.retry_at for spot in self.spots if spot.retry_at is not None), default=None)

    @property
    def failure(self) -> str:
        """Why the first of its failed resources failed, "" where none is."""
        return next((f"{spot.name}: {spot.failure}" for spot in self.spots if spot.failure), "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its resources warn of."""
        return tuple(f"{spot.name}: {spot.warning}" for spot in self.spots if spot.warning)

    @property
    def away(self) -> bool:
        """True where it runs on another node than the first of its preferred ones."""
        return self.preferred is not None and self.owner is not None and self.owner.id != self.preferred.id

    @property
    def stopped(self) -> int:
        """How many of its resources an operator took offline by themselves."""
        return sum(not spot.wanted for spot in self.spots)

    @property
    def online(self) -> int:
        return sum(spot.state is ResourceState.ONLINE for spot in self.spots)


@dataclass(frozen=True, slots=True)
class Column:
    """One node at a glance: its state and its load."""

    id: int
    name: str
    description: str
    state: NodeState
    since: float
    paused: bool
    drain_status: str
    hosted: int
    storage_groups: int
    isolated: bool
    quarantined_until: float | None
    fenceable: bool
    fence: FenceRow | None
    """The fence for which its groups wait."""

    @property
    def down(self) -> bool:
        return self.state in DOWN


@dataclass(frozen=True, slots=True)
class Health:
    """How the cluster is in one sentence; `tone` is "ok", "busy", "warn", "bad" or "off"."""

    tone: str
    sentence: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    health: Health
    columns: tuple[Column, ...]
    cards: tuple[Card, ...]
    ticker: tuple[EventRow, ...]
    total: int
    """Groups of the whole cluster, also where `cards` are only some of them."""
    heartbeat_ms: int
    lease_ms: int
    storage_limit: int
    maintenance: bool
    weak: tuple[str, ...] = ()
    """Sentences: whose loss would leave which groups without a home."""


def overview(only: Collection[int] | None = None, known: Collection[Line] | None = None) -> Overview:
    """All of it, or with the cards of some groups `only`. Fifteen queries, one more for fences.

    Two less where the lines of all groups are `known`.
    """
    cluster = Cluster.objects.first() or Cluster()
    fenceable = Exists(FenceStep.objects.filter(node=OuterRef("pk")))
    nodes = list(Node.objects.order_by("id").annotate(fenceable=fenceable))
    fences = open_fences([node.pk for node in nodes if node.unfenced])
    all_groups = lines() if known is None else known
    hosted = Counter(line.owner for line in all_groups)
    stores = storage_groups([node.pk for node in nodes])
    return Overview(
        health=_not_fenced(nodes, fences, [(line.name, line.owner) for line in all_groups])
        or _health(nodes, [(line.name, line.state, line.wanted) for line in all_groups], _warning()),
        columns=tuple(
            _column(node, hosted[node.pk], stores.get(node.pk, 0), fences.get(node.pk)) for node in nodes
        ),
        cards=cards(only),
        ticker=tuple(map(event_row, Event.objects.exclude(TOO_FINE).order_by("-seq")[:TICKER])),
        total=len(all_groups),
        heartbeat_ms=cluster.heartbeat_interval_ms,
        lease_ms=cluster.lease_ms,
        storage_limit=cluster.max_storage_groups_per_node,
        maintenance=cluster.maintenance,
        weak=weak_points(cluster, nodes),
    )


def cards(only: Collection[int] | None = None) -> tuple[Card, ...]:
    """Cards of all groups or some, by name. Four queries."""
    groups = Group.objects.select_related(
        "owner", "transit_target", "operation", "transit_operation"
    ).order_by("name")
    resources = Resource.objects.order_by("id")
    if only is not None:
        groups = groups.filter(id__in=list(only))
        resources = resources.filter(group_id__in=list(only))
    spots: dict[int, list[Spot]] = defaultdict(list)
    fields = (
        *("group_id", "id", "name", "type__name", "state", "persistent_online"),
        *("restart_at", "retry_at", "last_failure", "warning"),
    )
    for group, id, name, kind, number, wanted, restart, retry, failure, warning in resources.values_list(
        *fields
    ):
        state = ResourceState(number)
        why = failure if state is ResourceState.FAILED else ""
        spots[group].append(Spot(id, name, kind, state, wanted, restart, retry, why, warning))
    needs = _requirements(only)
    preferred = preferred_owners(only)
    return tuple(
        _card(group, spots[group.pk], needs.get(group.pk, {}), next(iter(preferred.get(group.pk, ())), None))
        for group in groups
    )


def _card(
    group: Group,
    spots: list[Spot],
    needs: Mapping[int, Requires],
    preferred: NodeRef | None,
) -> Card:
    rank = ranks({spot.id: needs.get(spot.id, ()) for spot in spots})
    state = GroupState(group.last_state)
    owner = NodeRef.of(group.owner)
    restarting = any(spot.restart_at is not None for spot in spots)
    troubled = is_troubled(
        state,
        at_rest=not group.transit_kind and not restarting,
        node=owner.state if owner else None,
        wanted=group.persistent_online,
    )
    target = group.transit_target.name if group.transit_target else ""
    return Card(
        id=group.pk,
        name=group.name,
        state=state,
        since=group.state_since,
        owner=owner,
        preferred=preferred,
        node=None if troubled or owner is None else owner.id,
        spots=tuple(sorted(spots, key=lambda spot: (rank[spot.id], spot.id))),
        doing=doing(
            Journey(group.transit_kind, group.transit_stage, target),
            [Step(spot.name, spot.state, spot.wanted, spot.restart_at) for spot in spots],
        ),
        asked=Asked.of(group.transit_operation) or Asked.of(group.operation),
        cause=group.transit_cause,
        given_up=group.given_up,
        wanted=group.persistent_online,
        maintenance=group.maintenance,
    )


def _column(node: Node, hosted: int, stores: int, fence: FenceRow | None) -> Column:
    return Column(
        id=node.pk,
        name=node.name,
        description=node.description,
        state=NodeState(node.state),
        since=node.state_since,
        paused=node.paused,
        drain_status=node.drain_status,
        hosted=hosted,
        storage_groups=stores,
        isolated=node.isolated,
        quarantined_until=node.quarantined_until,
        fenceable=node.fenceable,  # type: ignore[attr-defined]  # annotated by overview
        fence=fence,
    )


def _requirements(only: Collection[int] | None) -> Mapping[int, Mapping[int, Requires]]:
    """Providers of each resource, by group; order of clauses does not matter here. One query."""
    rows = Dependency.objects.order_by()
    if only is not None:
        rows = rows.filter(resource__group_id__in=list(only))
    found: dict[int, dict[int, Requires]] = defaultdict(dict)
    for group, resource, provider in rows.values_list("resource__group_id", "resource_id", "provider_id"):
        found[group][resource] = (*found[group].get(resource, ()), (provider,))
    return found


def _not_fenced(
    nodes: Iterable[Node], fences: Mapping[int, FenceRow], groups: Iterable[tuple[str, int | None]]
) -> Health | None:
    """Louder than all else: groups that wait until a node is confirmed off."""
    silent = [node for node in nodes if node.unfenced]
    if not silent:
        return None
    waiting = [name for name, owner in groups if owner in {node.pk for node in silent}]
    failed = [node.name for node in silent if node.pk in fences and fences[node.pk].rounds]
    names = failed or [node.name for node in silent]
    what = "could not be fenced" if failed else f"{_is(names)} being fenced"
    waits = f": {_names(waiting)} wait{'s' if len(waiting) == 1 else ''}" if waiting else ""
    detail = "Nothing is moved until it is confirmed that the node is off"
    return Health("bad" if failed else "warn", f"{_names(names)} {what}{waits}", detail)


def _warning() -> str:
    """Which resources warn of something. One query."""
    names = list(Resource.objects.exclude(warning="").order_by("name").values_list("name", flat=True))
    return f"{_names(names)} warn{'s' if len(names) == 1 else ''}" if names else ""


def _health(nodes: Iterable[Node], groups: Collection[tuple[str, GroupState, bool]], warning: str) -> Health:
    nodes = list(nodes)
    down = [node.name for node in nodes if node.state in DOWN]
    paused = [node.name for node in nodes if node.state == NodeState.PAUSED and node.paused]
    kept_out = [node.name for node in nodes if node.quarantined_until is not None]
    isolated = [node.name for node in nodes if node.isolated]
    detail = ". ".join(
        part
        for part in (
            f"{_names(down)} {_is(down)} down" if down else "",
            f"{_names(isolated)} {_is(isolated)} isolated" if isolated else "",
            f"{_names(kept_out)} {_is(kept_out)} quarantined" if kept_out else "",
            f"{_names(paused)} {_is(paused)} paused" if paused else "",
            warning,
        )
        if part
    )
    named: dict[GroupState, list[str]] = defaultdict(list)
    for name, state, _ in groups:
        named[state].append(name)
    count = len(groups)
    online = len(named[GroupState.ONLINE])
    missing = [name for name, state, wanted in groups if wanted and state is GroupState.OFFLINE]
    if not nodes:
        return Health("off", "This cluster has no nodes yet")
    if not groups:
        return Health("warn" if down else "ok", f"{_count(nodes, 'node')}, no groups yet", detail)
    for state, tone, words in (
        (GroupState.FAILED, "bad", "failed"),
        (GroupState.UNKNOWN, "bad", "cannot be seen"),
        (GroupState.PARTIAL_ONLINE, "warn", "only partly online"),
    ):
        if named[state]:
            return Health(
                tone,
                f"{len(named[state])} of {_count(groups, 'group')} {words}: {_names(named[state])}",
                detail,
            )
    if missing and not named[GroupState.PENDING]:
        return Health(
            "bad", f"{len(missing)} of {_count(groups, 'group')} should be online: {_names(missing)}", detail
        )
    if named[GroupState.PENDING]:
        return Health(
            "busy",
            f"{online} of {_count(groups, 'group')} online, {_names(named[GroupState.PENDING])} on the way",
            detail,
        )
    tone = "warn" if down or paused or kept_out or isolated or warning else "ok"
    up = len(nodes) - len(down)
    if online == count:
        which = f"All {count} groups" if count > 1 else "The group is"
        return Health(tone, f"{which} online on {_count(range(up), 'node')}", detail)
    stopped = _names(named[GroupState.OFFLINE])
    return Health(tone, f"{online} of {_count(groups, 'group')} online, {stopped} offline on request", detail)


def _names(names: list[str]) -> str:
    shown = names[:NAMED]
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _count(things: Collection[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
