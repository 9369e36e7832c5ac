"""The suggestion of `core.balance` for the cluster as it stands, and the moves that somebody chose of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitoring.core import balance
from monitoring.core.balance import Left, Load, Move
from monitoring.core.model import Refused
from monitoring.core.states import GroupState, NodeState
from monitoring.models import Cluster, Group, Node, Operation
from monitoring.service import clock, intents, lookup, snapshot, whatif
from monitoring.service.lock import Held
from monitoring.service.queries.history import typical_seconds
from monitoring.service.schedules import edits
from monitoring.service.schedules.drafts import Draft

_TROUBLED = {
    GroupState.FAILED: "It has failed: see to that first.",
    GroupState.PARTIAL_ONLINE: "It is only partly online: see to that first.",
    GroupState.PENDING: "It is on its way.",
    GroupState.UNKNOWN: "Its state is not known.",
}


@dataclass(frozen=True)
class Step:
    """A move with names; `seconds`: how long its clients usually wait, None where history does not say."""

    group: int
    name: str
    source: str
    source_id: int
    target: str
    target_id: int
    kind: str
    reasons: tuple[str, ...]
    waits_for: tuple[str, ...]
    seconds: float | None

    @property
    def key(self) -> str:
        """What a form sends for it: it is done only where the group still is where it was seen."""
        return f"{self.group}-{self.source_id}-{self.target_id}"


@dataclass(frozen=True)
class NodeLoad:
    """A node before and after."""

    id: int
    name: str
    state: NodeState
    before: Load
    after: Load


@dataclass(frozen=True)
class Suggestion:
    """What to move, what stays away from home and why, and the picture. `limit` of storage groups."""

    steps: tuple[Step, ...]
    left: tuple[Left, ...]
    nodes: tuple[NodeLoad, ...]
    most: int
    limit: int
    more: bool

    @property
    def stores(self) -> bool:
        """True where anything holds storage groups."""
        return any(node.before.storage_groups for node in self.nodes)


@dataclass(frozen=True)
class Done:
    """What was asked for, and what was refused with the reason, by the names of the groups."""

    asked: tuple[Operation, ...]
    refused: tuple[tuple[str, str], ...]


def suggestion() -> Suggestion:
    """Look at the cluster as it stands. Reads only; nine queries, however many groups there are."""
    cluster = Cluster.objects.first() or Cluster()
    rows = {node.pk: node for node in Node.objects.order_by("pk")}
    world = snapshot.world(Held(cluster, clock.now()), rows)
    groups = whatif.light_views(rows)
    up_for = {pk: _words(clock.now() - row.state_since) for pk, row in rows.items() if row.state_since}
    found = balance.suggest(groups, world, _stays(), up_for)
    typical = typical_seconds([move.group for move in found.moves])
    loads = [
        NodeLoad(pk, row.name, world.nodes[pk].state, found.before[pk], found.after[pk])
        for pk, row in rows.items()
    ]
    most = max((load.groups for both in loads for load in (both.before, both.after)), default=0)
    return Suggestion(
        tuple(_step(move, rows, typical) for move in found.moves),
        found.left,
        tuple(loads),
        max(most, 1),
        cluster.max_storage_groups_per_node,
        found.more,
    )


def _step(move: Move, rows: Mapping[int, Node], typical: Mapping[int, float]) -> Step:
    return Step(
        move.group,
        move.name,
        rows[move.source].name,
        move.source,
        rows[move.target].name,
        move.target,
        move.kind,
        move.reasons,
        move.waits_for,
        typical.get(move.group),
    )


def _stays() -> Mapping[int, str]:
    """Groups that are left alone as they are now, and why. One query."""
    found = {}
    for pk, state, transit, given_up in Group.objects.values_list(
        "pk", "last_state", "transit_kind", "given_up"
    ):
        why = "It is on its way." if transit else _TROUBLED.get(GroupState(state), "")
        if given_up:
            why = "It is given up: bring it online first."
        if why:
            found[pk] = why
    return found


def _words(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def chosen(suggested: Suggestion, keys: Iterable[str]) -> list[Step]:
    """The steps that somebody chose, in order; Refused where one is not suggested any more."""
    wanted = set(keys)
    found = [step for step in suggested.steps if step.key in wanted]
    if not wanted:
        raise Refused("moves", "Choose at least one move.")
    if len(found) < len(wanted):
        raise Refused("moves", "The cluster has changed since: look again at what is suggested now.")
    return found


def named(suggested: Suggestion, names: Sequence[str]) -> list[Step]:
    """The same by the names of groups; all where none is named. Refused for one that is not to be moved."""
    if not names:
        return list(suggested.steps)
    ids = {lookup.group(name).pk for name in names}
    found = [step for step in suggested.steps if step.group in ids]
    if len(found) < len(ids):
        missing = Group.objects.filter(pk__in=ids - {step.group for step in found}).values_list(
            "name", flat=True
        )
        raise Refused("groups", f"No move of {', '.join(missing)} is suggested.")
    return found


def do(steps: Sequence[Step], *, by: str, reason: str = "") -> Done:
    """Ask for each as an operator does; what is refused keeps none of the others from it."""
    asked, refused = [], []
    for step in steps:
        try:
            owner = Group.objects.values_list("owner_id", flat=True).get(pk=step.group)
            if owner != step.source_id:
                raise Refused("group", f"{step.name} is not on {step.source} any more.")
            why = reason or "balance: " + " ".join(step.reasons)
            accepted = intents.submit("move", by=by, reason=why, group=step.group, node=step.target_id)
            asked.append(accepted.operation)
        except Group.DoesNotExist:
            refused.append((step.name, "It was deleted."))
        except Refused as error:
            refused.append((step.name, error.message))
    return Done(tuple(asked), tuple(refused))


def schedule(steps: Sequence[Step], at: str, zone: str, author: edits.Author, reason: str = "") -> int:
    """Schedule each for that time instead. ValidationError by field; how many."""
    for step in steps:
        why = (reason or "balance: " + " ".join(step.reasons))[:500]
        draft = Draft(kind="move", group=step.name, node=step.target, at=at, zone=zone, reason=why)
        edits.create(draft, author)
    return len(steps)
