"""The history: events by number, failover records with their phases; newest first.

Lists are read page by page behind a key (the number of the last row), so that a page deep
in a long history costs what the first one costs and new rows never shift it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

from django.db.models import F, Max, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from monitoring.core.states import Severity
from monitoring.models import Event, FailoverRecord, Phase

PAGE = 50
TYPICAL_OF = 9
SEARCHED = 100_000
"""How many lines one page of a search by text looks through, however long the history is."""
WORDS = 8
"""The most words of a search."""

_FAILURES = (1034, 1038, 1039, 1049, 1054, 1055, 1069, 1146, 1230, 1232, 1233, 1254, 1635, 1638)
FAILED_SIGN_INS = 4625
EVENT_KINDS: Mapping[str, tuple[str, Q]] = {
    "failure": ("Resource failures", Q(code__in=_FAILURES)),
    "passage": ("Failovers and moves", Q(code__in=(1137, 1153, 1155, 1254, 1641))),
    "state": ("Changes of state", Q(code__in=(1200, 1201, 1203, 1204, 1205, 1637, 1674))),
    "node": ("Nodes", Q(code__in=(1007, 1011, 1062, 1135, 1592, 1677, 9001))),
    "fencing": ("Fencing", Q(code=9001)),
    "edit": ("Edits of the topology", Q(operation__kind="edit")),
    "sign-in": ("Failed sign-ins", Q(code=FAILED_SIGN_INS)),
    "asked": ("Asked for by somebody", ~Q(requested_by="")),
}
"""Names of the kinds of events, and what belongs to each; numbers are event ids (semantics 7)."""

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the history is wanted; times in cluster time, None and "" leave it open.

    `kind` is one of EVENT_KINDS for events, of FailoverRecord.KINDS for failovers.
    """

    group: int | None = None
    node: int | None = None
    resource: int | None = None
    kind: str = ""
    severity: Severity = Severity.INFORMATION
    since: float | None = None
    until: float | None = None
    text: str = ""
    """Words that must all occur in the sentence or in a name, whatever their case."""


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """Rows, newest first; `next` is the key of the following page, None at the end."""

    rows: tuple[RowT, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the history. An id is None where the thing is gone; its name stays."""

    seq: int
    at: float
    code: int
    severity: Severity
    text: str
    group: int | None
    group_name: str
    resource: int | None
    resource_name: str
    node: int | None
    node_name: str
    record: int | None
    requested_by: str
    state_from: str
    state_to: str
    output: str = ""
    """What processes of the resource printed; for operators and administrators only."""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One passage of a group. `stopped` is when all was offline and the owner changed."""

    id: int
    group: int | None
    group_name: str
    kind: str
    kind_label: str
    source: str
    target: str
    cause: str
    rule: str
    requested_by: str
    reason: str
    started: float
    stopped: float | None
    finished: float | None
    state: str
    state_label: str
    outcome: str
    proof_at: float | None = None
    down_since: float | None = None
    """Since when the group did not serve; None where it was not meant to, or nobody kept it."""
    up_at: float | None = None
    lost_at: float | None = None

    @property
    def down_seconds(self) -> float | None:
        """How long the group did not serve; None where it is not known, or not over."""
        known = self.down_since is not None and self.up_at is not None
        return max(0.0, self.up_at - self.down_since) if known else None  # type: ignore[operator]

    @property
    def seconds(self) -> float | None:
        """Duration, None while it is under way."""
        return None if self.finished is None else self.finished - self.started


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One resource going offline or coming online; `outcome` the state that it ended in."""

    resource: int | None
    resource_name: str
    node_name: str
    direction: str
    started: float
    finished: float | None
    outcome: str
    id: int = 0


def matching(wanted: Filter) -> QuerySet[Event]:
    """The events that a filter lets through. No query yet."""
    rows = Event.objects.filter(_about(wanted, "at"), severity__gte=wanted.severity)
    if wanted.node is not None:
        rows = rows.filter(node_id=wanted.node)
    if wanted.resource is not None:
        rows = rows.filter(resource_id=wanted.resource)
    if wanted.kind:
        rows = rows.filter(EVENT_KINDS[wanted.kind][1])
    return rows.filter(_holds(wanted.text, _EVENT_TEXTS)) if wanted.text else rows


_EVENT_TEXTS = ("text", "group_name", "resource_name", "node_name", "requested_by")
_RECORD_TEXTS = ("cause", "rule", "outcome", "group_name", "source", "target", "requested_by")


def _holds(text: str, fields: Iterable[str]) -> Q:
    """Every word of `text` occurs in one of the fields."""
    held = Q()
    for word in text.split()[:WORDS]:
        one = Q()
        for field in fields:
            one |= Q(**{f"{field}__icontains": word})
        held &= one
    return held


def _floor(rows: QuerySet[Any], wanted: Filter, before: int | None) -> int:
    """The number from which a page of a search looks; 0 for all. One query where it searches."""
    if not wanted.text:
        return 0
    top = before if before is not None else (rows.model._default_manager.aggregate(n=Max("pk"))["n"] or 0) + 1
    return max(0, top - SEARCHED)


def _page(found: list[Any], limit: int, floor: int, row: Callable[[Any], RowT]) -> Page[RowT]:
    """A search that found less goes on below what it looked through."""
    following = found[limit - 1].pk if len(found) > limit else floor or None
    return Page(tuple(map(row, found[:limit])), following)


def events(wanted: Filter, before: int | None = None, limit: int = PAGE) -> Page[EventRow]:
    """A page of events. One query, two for a search by text."""
    rows = matching(wanted)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    floor = _floor(rows, wanted, before)
    if floor:
        rows = rows.filter(seq__gte=floor)
    return _page(list(rows.order_by("-seq")[: limit + 1]), limit, floor, event_row)


def records(
    wanted: Filter, before: int | None = None, limit: int = PAGE, node_name: str = ""
) -> Page[RecordRow]:
    """A page of failover records; `node_name` is the name of `wanted.node`. One query, two for a search."""
    rows = FailoverRecord.objects.filter(_about(wanted, "started")).select_related("operation")
    if wanted.node is not None:
        rows = rows.filter(Q(source=node_name) | Q(target=node_name))
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    if wanted.text:
        rows = rows.filter(_holds(wanted.text, _RECORD_TEXTS))
    floor = _floor(rows, wanted, before)
    if floor:
        rows = rows.filter(pk__gte=floor)
    return _page(list(rows.order_by("-id")[: limit + 1]), limit, floor, record_row)


def events_after(seq: int, limit: int = PAGE) -> tuple[EventRow, ...]:
    """The newest events behind number `seq`, newest first. One query."""
    return tuple(map(event_row, Event.objects.filter(seq__gt=seq).order_by("-seq")[:limit]))


def records_after(seq: int, limit: int = PAGE) -> tuple[RecordRow, ...]:
    """Failover records that an event behind `seq` belongs to, or that are under way. One query."""
    touched = Event.objects.filter(seq__gt=seq, record__isnull=False).values("record_id")
    rows = FailoverRecord.objects.filter(Q(pk__in=touched) | Q(state="running")).select_related("operation")
    return tuple(map(record_row, rows.order_by("-id")[:limit]))


def typical_seconds(groups: Iterable[int] | None = None) -> Mapping[int, float]:
    """How long a passage of each group usually takes: the median of the newest that were done. One query."""
    done = FailoverRecord.objects.filter(state="done", finished__isnull=False, group_id__isnull=False)
    if groups is not None:
        done = done.filter(group_id__in=list(groups))
    place = Window(RowNumber(), partition_by=F("group_id"), order_by=F("id").desc())
    newest = done.annotate(place=place).filter(place__lte=TYPICAL_OF)
    seconds: dict[int, list[float]] = {}
    took = newest.annotate(took=F("finished") - F("started"))
    for group, length in took.values_list("group_id", "took"):
        seconds.setdefault(group, []).append(length)
    return {group: median(found) for group, found in seconds.items()}


def _about(wanted: Filter, time: str) -> Q:
    """The part of a filter that events and records have in common."""
    about = Q()
    if wanted.group is not None:
        about &= Q(group_id=wanted.group)
    if wanted.since is not None:
        about &= Q(**{f"{time}__gte": wanted.since})
    if wanted.until is not None:
        about &= Q(**{f"{time}__lte": wanted.until})
    return about


def event_row(event: Event) -> EventRow:
    return EventRow(
        seq=event.seq,
        at=event.at,
        code=event.code,
        severity=Severity(event.severity),
        text=event.text,
        group=event.group_id,
        group_name=event.group_name,
        resource=event.resource_id,
        resource_name=event.resource_name,
        node=event.node_id,
        node_name=event.node_name,
        record=event.record_id,
        requested_by=event.requested_by,
        state_from=event.state_from,
        state_to=event.state_to,
        output=event.output,
    )


def record_row(record: FailoverRecord) -> RecordRow:
    """`record` with its operation loaded."""
    return RecordRow(
        id=record.pk,
        group=record.group_id,
        group_name=record.group_name,
        kind=record.kind,
        kind_label=record.get_kind_display(),
        source=record.source,
        target=record.target,
        cause=record.cause,
        rule=record.rule,
        requested_by=record.requested_by,
        reason=record.operation.reason if record.operation else "",
        started=record.started,
        stopped=record.stopped,
        finished=record.finished,
        state=record.state,
        state_label=record.get_state_display(),
        outcome=record.outcome,
        proof_at=record.proof_at,
        down_since=record.down_since,
        up_at=record.up_at,
        lost_at=record.lost_at,
    )


def phase_row(phase: Phase) -> PhaseRow:
    return PhaseRow(
        resource=phase.resource_id,
        resource_name=phase.resource_name,
        node_name=phase.node_name,
        direction=phase.direction,
        started=phase.started,
        finished=phase.finished,
        outcome=phase.outcome,
        id=phase.pk,
    )
