"""The cluster as it was at a moment, as far as the history holds it, and what two moments differ in.

Of groups and resources that exist now: their states and owners by the newest line before the moment.
Of nodes only whether they were members: a pause changes no line's state. Names are those of now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from monitoring.models import Event, Group, Node, Resource
from monitoring.service.apply import GROUP_STATE_CHANGED
from monitoring.service.membership import NODE_JOINED, NODE_LOST
from monitoring.service.phases import RESOURCE_STATE_CHANGED

UNKNOWN_OF = (
    "Groups, resources and nodes that were deleted since are not shown.",
    "Names are those of today.",
    "Whether a node was paused is not held; it is shown as it last joined or went down.",
)
"""What the history does not know of a moment."""


@dataclass(frozen=True, slots=True)
class Was:
    """What something was. `state` is empty where the history holds nothing before the moment."""

    id: int
    name: str
    state: str = ""
    node: str = ""
    since: float | None = None
    event: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    at: float
    groups: tuple[Was, ...]
    resources: tuple[Was, ...]
    nodes: tuple[Was, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was otherwise at one moment than at another. `kind`: group, resource or node."""

    kind: str
    before: Was
    after: Was


def moment(at: float) -> Moment:
    """How everything stood. Six queries."""
    groups = _was(Group.objects.order_by("name"), "group", Q(code=GROUP_STATE_CHANGED), at)
    resources = _was(Resource.objects.order_by("name"), "resource", Q(code=RESOURCE_STATE_CHANGED), at)
    members = Q(code__in=(NODE_JOINED, NODE_LOST)) & ~Q(state_to="")
    return Moment(at, groups, resources, _was(Node.objects.order_by("id"), "node", members, at))


def _was(rows: QuerySet[Any], kind: str, lines: Q, at: float) -> tuple[Was, ...]:
    """The newest fitting line of each row before the moment. Two queries."""
    newest = Event.objects.filter(lines, at__lte=at, **{kind: OuterRef("pk")}).order_by("-seq").values("seq")
    found = list(rows.annotate(line=Subquery(newest[:1])).values_list("pk", "name", "line"))
    columns = ("seq", "state_to", "node_name", "at")
    told = Event.objects.filter(pk__in=[line for _, _, line in found if line]).values_list(*columns)
    by_number = {seq: (state, node, since, seq) for seq, state, node, since in told}
    return tuple(Was(pk, name, *by_number.get(line, ())) for pk, name, line in found)


def differences(first: Moment, second: Moment) -> tuple[Difference, ...]:
    """What is in another state or on another node in the second moment. No query."""
    kinds = (
        ("group", first.groups, second.groups),
        ("resource", first.resources, second.resources),
        ("node", first.nodes, second.nodes),
    )
    return tuple(
        Difference(kind, before, after)
        for kind, old, new in kinds
        for before, after in zip(old, new, strict=False)
        if (before.state, before.node) != (after.state, after.node)
    )
