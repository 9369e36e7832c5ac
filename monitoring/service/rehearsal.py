"""What would be made, before it is: the very edits, in a transaction that is given up at its end.

So the validation is the one that counts, the drawing is that of the group's page, and the place
is chosen by the rules that will choose it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from monitoring.core import placement
from monitoring.core.model import Candidate, GroupView, World
from monitoring.core.states import NodeState
from monitoring.models import Group, Resource
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Property
from monitoring.service import clock, making, snapshot
from monitoring.service.lock import Held, cluster_lock
from monitoring.service.queries import types
from monitoring.service.queries.groups import GroupDetail, group_detail

STAND_IN = "Rehearsal-1"
"""For a secret that has to be given and that was not given yet."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource as it would be made. Of secrets only that they are set."""

    name: str
    type_name: str
    needs: tuple[str, ...]
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would be made, what to know before, and where it would come online.

    `place` is "" where no node could take it now; then `warnings` say why.
    """

    detail: GroupDetail
    resources: tuple[Shown, ...]
    warnings: tuple[str, ...]
    place: str
    rule: str
    places: tuple[Candidate, ...]


class _GivenUpError(Exception):
    """Nothing went wrong: the rehearsal is over."""


@contextmanager
def undone() -> Iterator[Held]:
    """Hold the cluster for edits of which nothing is left: no row, no event, no message."""
    try:
        with cluster_lock() as held:
            yield held
            raise _GivenUpError
    except _GivenUpError:
        pass


def rehearse(wanted: making.Plan, *, by: str) -> Rehearsal:
    """Make the group of `wanted`, look at it, and give it up. ValidationError as `making.make`."""
    registry.all_types()
    found: list[Rehearsal] = []
    with undone() as held:
        group = making.make(_complete(wanted), by=by)
        found.append(_look(held, group, wanted))
    return found[0]


def _complete(wanted: making.Plan) -> making.Plan:
    """The plan with something in place of secrets that must be given, and are asked for last."""
    parts = []
    for each in wanted.parts:
        needed = [p for p in making.properties_of(each.part, each.type_name) if p.secret and p.required]
        own = {p.name: STAND_IN for p in needed if each.properties.get(p.name) in (None, "")}
        parts.append(making.PartPlan(each.part, each.type_name, {**each.properties, **own}))
    return making.Plan(
        wanted.template, wanted.name, tuple(parts), wanted.settings, wanted.preferred, wanted.possible
    )


def _look(held: Held, group: Group, wanted: making.Plan) -> Rehearsal:
    _, _, view, world = snapshot.one(held, group.pk)
    rows = list(group.resources.select_related("type").order_by("pk"))
    detail = group_detail(group.pk, clock.now())
    assert detail is not None
    needs = {line.row.id: line.needs for line in detail.lines}
    choice = placement.best(view, world, None)
    return Rehearsal(
        detail=detail,
        resources=tuple(Shown(r.name, r.type.name, needs.get(r.pk, ()), _public(r)) for r in rows),
        warnings=tuple(_warnings(view, world, rows, wanted)),
        place=world.nodes[choice[0]].name if choice else "",
        rule=choice[1] if choice else "",
        places=tuple(placement.candidates(view, world)),
    )


def _public(resource: Resource) -> dict[str, Any]:
    """The properties without what secrets hold."""
    known: dict[str, Property] = {
        p.name: p for dll in [making.dll_of(resource)] if dll for p in dll.properties
    }
    return {
        name: bool(value) if name not in known or known[name].secret else value
        for name, value in resource.properties.items()
    }


def _warnings(view: GroupView, world: World, rows: Sequence[Resource], wanted: making.Plan) -> Iterator[str]:
    """What is allowed and should be known. Three queries."""
    if not rows:
        yield "The group has no resources yet: there is nothing that could come online."
    if not world.nodes:
        yield "The cluster has no nodes yet."
        return
    yield from _of_owners(view, world, wanted)
    spread = types.spread()
    for name in sorted({row.type.name for row in rows}):
        missing = [node for node in spread.missing_on(name) if node in _names(world, view.possible)]
        if missing:
            nodes = ", ".join(missing)
            yield f"{nodes} cannot bring {_article(name)} online: the type is not installed there."
        dll = registry.all_types().get(name)
        if dll is not None and dll.notice:
            yield f"{name}: {dll.notice}"
    yield from _same_addresses(rows)
    if rows and placement.best(view, world, None) is None:
        reasons = [placement.refusal(view, node, world) for node in placement.node_list(view, world)]
        yield f"No node could take it now. {' '.join(reasons)}"


def _article(name: str) -> str:
    return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"


def _names(world: World, nodes: frozenset[int]) -> set[str]:
    return {world.nodes[node].name for node in nodes if node in world.nodes}


def _of_owners(view: GroupView, world: World, wanted: making.Plan) -> Iterator[str]:
    possible = sorted(_names(world, view.possible))
    if len(possible) == 1:
        only = "the only node" if len(world.nodes) == 1 else "the only possible owner"
        yield f"{possible[0]} is {only}: there is nowhere to fail over to."
    if wanted.preferred and wanted.preferred[0] not in view.possible:
        name = world.nodes[wanted.preferred[0]].name
        yield f"{name} is preferred, and is no possible owner: it would never get the group."
    first = world.nodes.get(view.preferred[0]) if view.preferred else None
    if first is not None and first.id in view.possible and first.state is not NodeState.UP:
        yield f"{first.name}, which it prefers, is {first.state.label.lower()}."


def _same_addresses(rows: Sequence[Resource]) -> Iterator[str]:
    """An address that a resource of another type has: the rule of unique values looks at one type."""
    group = rows[0].group_id if rows else 0
    mine = {value: row for row in rows for value in _addresses(row)}
    if not mine:
        return
    for other in Resource.objects.exclude(group_id=group).select_related("type", "group"):
        for value in _addresses(other):
            if value in mine:
                yield f"{value} is an address of {other} in the group {other.group} already."


def _addresses(row: Resource) -> list[str]:
    """Addresses that a resource brings with it: those of IP Address, and of OCF's IPaddr and the like."""
    dll = making.dll_of(row)
    kinds = {p.name for p in dll.properties if p.kind == "ip" and p.unique} if dll else set()
    if row.type.name.rpartition(":")[2].startswith(("IPaddr", "IPv6addr")):
        kinds |= {"ip", "ipv6addr"}
    return [str(row.properties[name]) for name in sorted(kinds) if row.properties.get(name)]
