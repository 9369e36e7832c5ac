"""One failover with all that explains it: what led to it, where the time went, who said what about it.

Twelve queries, however long the passage was and however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Min, Q

from monitoring.core import waterfall
from monitoring.core.chain import Line, Passage, Step, chain
from monitoring.core.unserved import Unserved, unserved
from monitoring.core.waterfall import Measure, Span, Took, Work
from monitoring.models import Event, FailoverNote, FailoverRecord, Phase, Resource, ResourceOutput
from monitoring.service.notes import NOTED
from monitoring.service.queries.common import requirements
from monitoring.service.queries.history import (
    EventRow,
    PhaseRow,
    RecordRow,
    event_row,
    phase_row,
    record_row,
)
from monitoring.service.queries.tree import providers

EARLIER = 9
"""How many earlier passages of the group one is compared with."""
LINES = 500
"""The most lines of the history that are read of the time around a passage."""
BEFORE, AFTER = 60.0, 5.0
"""Seconds of the history that belong to a passage at the least, before it and after it."""
LONGEST_BEFORE = 4 * 3600.0
"""The longest time before a passage in which failures of a resource count together."""


@dataclass(frozen=True, slots=True)
class NoteRow:
    """What somebody wrote about a failover; `text` is empty where it was deleted."""

    id: int
    author: str
    text: str
    at: float
    edited_at: float | None
    deleted_at: float | None


@dataclass(frozen=True, slots=True)
class OutputRow:
    """What the processes of a resource printed, as it was read; its last line is of `written_at`."""

    resource: int
    resource_name: str
    node: str
    written_at: float
    text: str


@dataclass(frozen=True, slots=True)
class EarlierRow:
    """An earlier passage of the group, to compare with."""

    record: RecordRow
    took: Took


@dataclass(frozen=True, slots=True)
class Flight:
    """A failover as it is told: chain, phases, path, time without service, comparison, lines, notes.

    `critical` holds ids of phases in their order. `lines` are all of the group and of its nodes in that
    time, by number; `cut` where there were more.
    """

    record: RecordRow
    phases: tuple[PhaseRow, ...]
    chain: tuple[Step, ...]
    spans: tuple[Span, ...]
    critical: tuple[int, ...]
    unserved: Unserved | None
    earlier: tuple[EarlierRow, ...]
    took: Took
    measures: tuple[Measure, ...]
    blame: Measure | None
    lines: tuple[EventRow, ...]
    outputs: tuple[OutputRow, ...]
    notes: tuple[NoteRow, ...]
    cut: bool

    @property
    def first_sign(self) -> float:
        """When the first thing happened that belongs to it."""
        return min([self.record.started, *(step.at for step in self.chain)])


def flight(id: int, now: float) -> Flight | None:
    """The failover of that number, None where there is none."""
    row = FailoverRecord.objects.select_related("operation__parent").filter(pk=id).first()
    if row is None:
        return None
    record = record_row(row)
    phases = tuple(map(phase_row, Phase.objects.filter(record_id=id).order_by("started", "id")))
    resources = list(Resource.objects.filter(group_id=row.group_id)) if row.group_id else []
    found = _events(record, resources)
    around = _around(record)
    passage = _passage(row, around, found)
    proof = _before(record.proof_at, record.started)
    spans = waterfall.spans(passage, proof, record.lost_at)
    took = _took(record, spans, now)
    earlier = _earlier(around.before, now)
    measures = waterfall.compare(took, [one.took for one in earlier])
    return Flight(
        record=record,
        phases=phases,
        chain=chain(passage, [_line(event, id) for event in found]),
        spans=spans,
        critical=_critical(row.group_id, resources, phases, now),
        unserved=unserved(passage, record.down_since, record.up_at, record.proof_at, now),
        earlier=earlier,
        took=took,
        measures=measures,
        blame=waterfall.blame(measures),
        lines=tuple(map(event_row, found)),
        outputs=_outputs(resources, found, record),
        notes=notes(id),
        cut=len(found) >= LINES,
    )


def notes(record: int) -> tuple[NoteRow, ...]:
    """All notes on a failover, the oldest first. One query."""
    rows = FailoverNote.objects.filter(record_id=record)
    return tuple(NoteRow(n.pk, n.author, n.text, n.at, n.edited_at, n.deleted_at) for n in rows)


def _before(at: float | None, limit: float) -> float | None:
    return at if at is not None and at < limit else None


# What happened in that time


def _events(record: RecordRow, resources: Sequence[Resource]) -> list[Event]:
    """The lines of the group and of the nodes that it went between, around its passage. Four queries."""
    period = max((row.restart_period_ms / 1000 for row in resources), default=0.0)
    since = record.started - min(max(period + BEFORE, BEFORE), LONGEST_BEFORE)
    signs = [at for at in (record.proof_at, record.down_since) if at is not None]
    since = max(min([since, *signs]), record.started - LONGEST_BEFORE)
    first = Event.objects.filter(at__gte=since).aggregate(n=Min("seq"))["n"] or 0
    within = Q(seq__gte=first, at__gte=since)
    if record.finished is not None:
        within &= Q(at__lte=record.finished + AFTER)
    about = Q(group_id=record.group) if record.group else Q(group=None, group_name=record.group_name)
    names = {record.source, record.target} - {""}
    own = Event.objects.filter(record_id=record.id).exclude(code=NOTED).order_by("seq")[:LINES]
    groups = Event.objects.filter(about, within).exclude(code=NOTED).order_by("-seq")[:LINES]
    nodes = Event.objects.filter(within, node__name__in=names, group_name="").order_by("-seq")[:LINES]
    found = {event.seq: event for event in [*nodes, *groups, *own]}
    return [found[seq] for seq in sorted(found)]


def _line(event: Event, record: int) -> Line:
    row = event_row(event)
    return Line(
        seq=row.seq,
        at=row.at,
        code=row.code,
        text=row.text,
        severity=row.severity,
        own=row.record == record,
        resource=row.resource,
        resource_name=row.resource_name,
        node=row.node,
        node_name=row.node_name,
        group_name=row.group_name,
    )


def _outputs(
    resources: Iterable[Resource], found: Sequence[Event], record: RecordRow
) -> tuple[OutputRow, ...]:
    """Output that was read, as far as its last line is of that time. One query."""
    names = {row.pk: row.name for row in resources}
    since = found[0].at if found else record.started
    rows = ResourceOutput.objects.filter(resource_id__in=list(names), written_at__gte=since)
    until = None if record.finished is None else record.finished + AFTER
    return tuple(
        OutputRow(row.resource_id, names[row.resource_id], row.node_name, row.written_at, row.text)
        for row in rows
        if row.written_at is not None and (until is None or row.written_at <= until)
    )


# Other passages of the group


@dataclass(frozen=True, slots=True)
class _Around:
    before: tuple[RecordRow, ...]
    """Newest first."""
    after: RecordRow | None


def _around(record: RecordRow) -> _Around:
    """The passages of the group before and after this one. Two queries."""
    same = FailoverRecord.objects.select_related("operation")
    same = same.filter(group_id=record.group) if record.group else same.filter(group_name=record.group_name)
    before = same.filter(pk__lt=record.id).order_by("-id")[: 3 * EARLIER]
    after = same.filter(pk__gt=record.id).order_by("id").first()
    return _Around(tuple(map(record_row, before)), record_row(after) if after else None)


def _passage(row: FailoverRecord, around: _Around, found: Sequence[Event]) -> Passage:
    operation = row.operation
    earlier = around.before[0] if around.before else None
    goes_on = earlier is not None and earlier.state == "continued" and earlier.finished == row.started
    return Passage(
        kind=row.kind,
        group=row.group_name,
        source=row.source,
        target=row.target,
        cause=row.cause,
        rule=row.rule,
        started=row.started,
        stopped=row.stopped,
        finished=row.finished,
        state=row.state,
        outcome=row.outcome,
        by=row.requested_by,
        reason=operation.reason if operation else "",
        asked_at=operation.requested_at if operation else None,
        before=(earlier.id, earlier.target) if goes_on and earlier else None,
        after=(around.after.id, around.after.target) if row.state == "continued" and around.after else None,
    )


def _took(record: RecordRow, spans: Sequence[Span], now: float) -> Took:
    end = now if record.finished is None else record.finished
    down = None
    if record.down_since is not None:
        down = max(0.0, (now if record.up_at is None else record.up_at) - record.down_since)
    return waterfall.took(record.id, down, spans, max(0.0, end - record.started), now)


def _earlier(before: Iterable[RecordRow], now: float) -> tuple[EarlierRow, ...]:
    """The newest that were done, oldest first."""
    done = [record for record in before if record.state == "done" and record.finished is not None]
    rows = []
    for record in done[:EARLIER]:
        passage = Passage(
            *(record.kind, record.group_name, record.source, record.target, "", ""),
            *(record.started, record.stopped, record.finished),
        )
        spans = waterfall.spans(passage, _before(record.proof_at, record.started), record.lost_at)
        rows.append(EarlierRow(record, _took(record, spans, now)))
    return tuple(reversed(rows))


# Where the time went


def _critical(
    group: int | None, resources: Iterable[Resource], phases: Iterable[PhaseRow], now: float
) -> tuple[int, ...]:
    """Ids of the phases that decided how long it took, by the dependencies of today. One query."""
    names = {row.pk: row.name for row in resources}
    needs: Mapping[str, frozenset[str]] = {
        names[id]: frozenset(names[one] for one in providers(expression) if one in names)
        for id, expression in (requirements(group) if group else {}).items()
        if id in names
    }
    work = [Work(one.id, _now(one, names), one.direction, one.started, one.finished) for one in phases]
    return waterfall.critical(work, needs, now)


def _now(phase: PhaseRow, names: Mapping[int, str]) -> str:
    """The name that the resource has today, since dependencies are told by it."""
    return names.get(phase.resource or 0, phase.resource_name)
