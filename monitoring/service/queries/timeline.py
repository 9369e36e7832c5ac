"""What states groups were in, and on which node, between two moments: lanes of spans.

Read from the lines that tell of groups' states alone. The number of queries is the same for any
number of groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.db.models import OuterRef, Q, Subquery

from monitoring.core import availability as core
from monitoring.core.model import Refused
from monitoring.core.states import GroupState
from monitoring.models import Event, Group
from monitoring.service import watching
from monitoring.service.apply import GROUP_STATE_CHANGED

CHANGES = 50_000
"""The most changes of state that one view reads."""
STATES = {state.label: state for state in GroupState}


@dataclass(frozen=True, slots=True)
class Span:
    """A group was in a state on a node. `until` is None where it still is.

    `event` is the number of the line that began it, `cause` what the history says of it, `before`
    the state that it came from. What began before the view has its true beginning.
    """

    event: int
    since: float
    until: float | None
    state: GroupState
    before: GroupState
    node: str
    record: int | None
    by: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """The spans of a group in their order, the first from before the view where one is known.

    `group` is None where it was deleted.
    """

    group: int | None
    name: str
    spans: tuple[Span, ...]

    def was_on(self, node: str) -> bool:
        return any(span.node == node for span in self.spans)

    @property
    def troubled(self) -> bool:
        """True where it was not Online all the time."""
        return any(span.state is not GroupState.ONLINE for span in self.spans)


@dataclass(frozen=True, slots=True)
class Timeline:
    since: float
    until: float
    lanes: tuple[Lane, ...]
    unwatched: core.Times


_Key = tuple[int | None, str]


def timeline(since: float, until: float, now: float, group: int | None = None) -> Timeline:
    """Lanes of all groups, or one, by name. Five queries. Refused where too much happened.

    Causes are left out: `with_causes` reads them for the lanes that are shown.
    """
    end = min(until, now)
    rows = Group.objects.all() if group is None else Group.objects.filter(pk=group)
    lines = Event.objects.filter(code=GROUP_STATE_CHANGED)
    before = lines.filter(group=OuterRef("pk"), at__lt=since).order_by("-seq").values("seq")
    groups = dict(rows.values_list("pk", "name"))
    opened = [seq for seq in rows.annotate(o=Subquery(before[:1])).values_list("o", flat=True) if seq]
    within = Q(at__gte=since, at__lt=end) if group is None else Q(at__gte=since, at__lt=end, group_id=group)
    columns = ("group_id", "group_name", "seq", "at", "state_to", "state_from", "node_name", "record_id")
    found: list[tuple[_Key, Span]] = []
    for part in (lines.filter(pk__in=opened), lines.filter(within)):
        for line in part.order_by("seq").values_list(*columns, "requested_by")[: CHANGES + 1]:
            id, name, seq, at, state, was, node, record, by = line
            key = (id, groups[id]) if id in groups else (None, name)
            found.append((key, Span(seq, at, None, STATES[state], STATES[was], node, record, by)))
    if len(found) > CHANGES:
        raise Refused(
            "span", f"More than {CHANGES} changes of state: look at a shorter time or at one group."
        )
    lanes = [
        Lane(id, name, spans) for (id, name), spans in _lanes(found, groups, end, now, group is None).items()
    ]
    lanes.sort(key=lambda lane: lane.name.lower())
    return Timeline(since, until, tuple(lanes), watching.unwatched(since, end))


def _lanes(
    found: Iterable[tuple[_Key, Span]], groups: Mapping[int, str], end: float, now: float, gone: bool
) -> dict[_Key, tuple[Span, ...]]:
    lanes: dict[_Key, list[Span]] = {(id, name): [] for id, name in groups.items()}
    for key, span in found:
        if key[0] is None and not gone:
            continue
        lane = lanes.setdefault(key, [])
        if lane:
            lane[-1] = replace(lane[-1], until=span.since)
        lane.append(span)
    for key, lane in lanes.items():
        if lane and key[0] is None:
            lane[-1] = replace(lane[-1], until=lane[-1].since)  # deleted: nothing is known after it
        elif lane and end < now:
            lane[-1] = replace(lane[-1], until=end)
    return {key: tuple(lane) for key, lane in lanes.items()}


def with_causes(lanes: Iterable[Lane]) -> tuple[Lane, ...]:
    """The same lanes with what the history says of each span. One query."""
    kept = tuple(lanes)
    numbers = [span.event for lane in kept for span in lane.spans][:5000]
    lines = Event.objects.filter(pk__in=numbers).values_list("pk", "text", "record__cause")
    texts = {seq: cause or text for seq, text, cause in lines}
    return tuple(
        replace(lane, spans=tuple(replace(span, cause=texts.get(span.event, "")) for span in lane.spans))
        for lane in kept
    )
