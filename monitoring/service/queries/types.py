"""Which resource types there are, on which nodes they are missing, and which plugins could not be loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from monitoring.models import NodeTypes
from monitoring.resource_dlls import registry

HERE = "this dashboard"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that could not be loaded: what is wrong, and where that is so."""

    text: str
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """Which types the nodes have, as their agents last said. A node that never said is left out."""

    nodes: tuple[tuple[str, frozenset[str]], ...]
    broken: tuple[BrokenPlugin, ...]

    def missing_on(self, type_name: str) -> tuple[str, ...]:
        """The nodes that could not bring a resource of the type online."""
        return tuple(node for node, names in self.nodes if type_name not in names)


def spread() -> Spread:
    """What the nodes have, and what is broken there and here. One query."""
    rows = list(NodeTypes.objects.select_related("node").order_by("node_id"))
    nodes = tuple((row.node.name, frozenset(row.names)) for row in rows)
    here = [(HERE, str(plugin)) for plugin in registry.broken()]
    return Spread(nodes, _by_text([*here, *((row.node.name, text) for row in rows for text in row.broken)]))


def _by_text(found: Iterable[tuple[str, str]]) -> tuple[BrokenPlugin, ...]:
    where: dict[str, list[str]] = {}
    for place, text in found:
        where.setdefault(text, []).append(place)
    return tuple(BrokenPlugin(text, tuple(places)) for text, places in where.items())
