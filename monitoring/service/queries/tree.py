"""Puts the resources of a group in dependency order, as an indented tree and as layers.

Pure: it knows ids and requirements only. Both shapes read in the order in which the
resources come online: providers first (semantics 4.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Requires = tuple[tuple[int, ...], ...]
"""A dependency expression: an AND of OR sets of resource ids."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the indented tree.

    A resource hangs below the provider that comes online last. `guides` are the connector
    pieces left of the name, outermost first: "line", "blank", then "tee" or "elbow" for the
    resource itself; none for a root.
    """

    id: int
    depth: int
    guides: tuple[str, ...]


def providers(requires: Requires) -> tuple[int, ...]:
    """All resources that the expression names, in its order."""
    return tuple(dict.fromkeys(provider for clause in requires for provider in clause))


def ranks(graph: Mapping[int, Requires]) -> dict[int, int]:
    """How many steps each resource is from those that need nothing, by its longest way.

    A circle cannot be created; should one be found all the same, its resources rank 0, so
    that the page which is needed to repair it can be shown.
    """
    found: dict[int, int] = {}

    def rank(id: int, above: frozenset[int]) -> int:
        if id in found:
            return found[id]
        if id in above or id not in graph:
            return -1
        found[id] = max((rank(p, above | {id}) for p in providers(graph[id])), default=-1) + 1
        return found[id]

    for id in graph:
        rank(id, frozenset())
    return found


def layers(graph: Mapping[int, Requires]) -> list[list[int]]:
    """Columns of resources that can come online at the same time, providers first.

    A resource that others need stands just before the first that needs it, so that no line
    crosses a column without need. Within a column the neighbours of the column before
    decide the order.
    """
    rank = ranks(graph)
    dependents: dict[int, list[int]] = {id: [] for id in graph}
    for id, requires in graph.items():
        for provider in providers(requires):
            if provider in graph:
                dependents[provider].append(id)
    column = dict(rank)
    for id in sorted(graph, key=lambda id: -rank[id]):
        if dependents[id]:
            column[id] = max(rank[id], min(column[d] for d in dependents[id]) - 1)
    result: list[list[int]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for id in graph:
        result[column[id]].append(id)
    place: dict[int, float] = {}
    for row in result:
        row.sort(key=lambda id: (_middle(providers(graph[id]), place), id))
        place.update({id: index - (len(row) - 1) / 2 for index, id in enumerate(row)})
    return result


def _middle(ids: Sequence[int], place: Mapping[int, float]) -> float:
    known = [place[id] for id in ids if id in place]
    return sum(known) / len(known) if known else 0.0


def branches(graph: Mapping[int, Requires]) -> list[Branch]:
    """The indented tree, line by line, providers above what needs them."""
    rank = ranks(graph)
    below: dict[int | None, list[int]] = {}
    parents: dict[int, int | None] = {}
    for id, requires in graph.items():
        known = [p for p in providers(requires) if p in graph and rank[p] < rank[id]]
        parents[id] = max(known, key=lambda p: rank[p], default=None)
        below.setdefault(parents[id], []).append(id)
    height = _heights(below)
    lines: list[Branch] = []

    def walk(parent: int | None, prefix: tuple[str, ...]) -> None:
        # Short branches first: what hangs deep may need them too, and so reads after them.
        children = sorted(below.get(parent, ()), key=lambda id: (height[id], id))
        for child in children:
            last = child == children[-1]
            own = () if parent is None else (*prefix, "elbow" if last else "tee")
            lines.append(Branch(child, len(own), own))
            walk(child, () if parent is None else (*prefix, "blank" if last else "line"))

    walk(None, ())
    return lines


def _heights(below: Mapping[int | None, Sequence[int]]) -> dict[int, int]:
    heights: dict[int, int] = {}

    def height(id: int) -> int:
        heights[id] = 1 + max((height(child) for child in below.get(id, ())), default=-1)
        return heights[id]

    for root in below.get(None, ()):
        height(root)
    return heights
