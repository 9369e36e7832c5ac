"""One failover in the REST API and on the command line: all that its page tells, and its notes."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

import msgspec
from django.contrib.auth.models import User

from monitoring.api import requests as ask
from monitoring.api import schema
from monitoring.api.auth import name_of
from monitoring.api.endpoint import Reply, endpoint
from monitoring.api.problems import ProblemError
from monitoring.core.model import Refused
from monitoring.models import FailoverNote, FailoverRecord
from monitoring.models.roles import Role
from monitoring.service import clock, notes
from monitoring.service.queries import flight as read
from monitoring.service.queries.flight import Flight


class StepOut(msgspec.Struct, frozen=True):
    """A sentence of the chain of causes: `about` is its kind, `event` the line of the history behind it."""

    at: datetime
    text: str
    about: str
    event: int | None
    failover: int | None


class StageOut(msgspec.Struct, frozen=True):
    """A phase of the group as a whole: detect, lease, fence, offline or online."""

    name: str
    started: datetime
    finished: datetime | None
    seconds: float


class PathOut(msgspec.Struct, frozen=True):
    """A phase on the critical path: what decided how long it took."""

    resource: str
    direction: str
    seconds: float


class WithoutServiceOut(msgspec.Struct, frozen=True):
    """When the group did not serve. `last_proof`: clients were without it for `at_most_s`; `why` explains."""

    since: datetime
    until: datetime | None
    seconds: float
    last_proof: datetime | None
    at_most_s: float
    why: tuple[str, ...]


class ComparedOut(msgspec.Struct, frozen=True):
    """A number beside that of earlier passages of the group: total, down, or a phase's name."""

    name: str
    seconds: float
    median_s: float
    slowest_s: float
    verdict: str


class NoteOut(msgspec.Struct, frozen=True):
    """A note; one that was deleted has no text."""

    id: int
    author: str
    text: str
    at: datetime
    changed: datetime | None
    deleted: datetime | None


class FlightOut(msgspec.Struct, frozen=True):
    """A failover with its chain of causes, phases, time without service, comparison and notes.

    `compared_with` are the numbers of the earlier passages that it is compared with.
    """

    record: schema.RecordOut
    chain: tuple[StepOut, ...]
    stages: tuple[StageOut, ...]
    phases: tuple[schema.PhaseOut, ...]
    critical_path: tuple[PathOut, ...]
    without_service: WithoutServiceOut | None
    compared: tuple[ComparedOut, ...]
    compared_with: tuple[int, ...]
    notes: tuple[NoteOut, ...]


class NoteIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written about a failover."""

    text: str = ""


def one(number: int) -> FlightOut:
    """A failover by its number. Refused where there is none."""
    now = clock.now()
    found = read.flight(number, now)
    if found is None:
        raise Refused("id", f"There is no failover record {number}.")
    return _of_flight(found, now)


def _of_flight(found: Flight, now: float) -> FlightOut:
    by_id = {phase.id: phase for phase in found.phases}
    path = [by_id[id] for id in found.critical]
    return FlightOut(
        record=schema.of_record(found.record),
        chain=tuple(
            StepOut(schema.time(step.at), step.text, step.role.value, step.seq, step.record)
            for step in found.chain
        ),
        stages=tuple(
            StageOut(one.name, schema.time(one.since), schema.maybe(one.until), one.seconds(now))
            for one in found.spans
        ),
        phases=tuple(map(schema.of_phase, found.phases)),
        critical_path=tuple(
            PathOut(one.resource_name, one.direction, (one.finished or now) - one.started) for one in path
        ),
        without_service=_without(found),
        compared=tuple(
            ComparedOut(one.name, one.seconds, one.median, one.slowest, one.verdict) for one in found.measures
        ),
        compared_with=tuple(row.record.id for row in found.earlier),
        notes=tuple(map(of_note, found.notes)),
    )


def _without(found: Flight) -> WithoutServiceOut | None:
    down = found.unserved
    if down is None:
        return None
    return WithoutServiceOut(
        schema.time(down.since),
        schema.maybe(down.until),
        down.seconds,
        schema.maybe(down.proof),
        down.at_most,
        down.why,
    )


def of_note(note: read.NoteRow | FailoverNote) -> NoteOut:
    number = note.pk if isinstance(note, FailoverNote) else note.id
    times = (schema.time(note.at), schema.maybe(note.edited_at), schema.maybe(note.deleted_at))
    return NoteOut(number, note.author, note.text, *times)


@endpoint("GET", Role.VIEWER, ask.Nothing)
def record(user: User, asked: ask.Nothing, id: int) -> object:
    try:
        return one(id)
    except Refused as refused:
        raise ProblemError(HTTPStatus.NOT_FOUND, refused.message, refused.field) from None


@endpoint("GET", Role.VIEWER, ask.Nothing)
def note_list(user: User, asked: ask.Nothing, id: int) -> object:
    _exists(id)
    return {"notes": tuple(map(of_note, read.notes(id)))}


@endpoint("POST", Role.OPERATOR, NoteIn)
def add_note(user: User, asked: NoteIn, id: int) -> object:
    _exists(id)
    try:
        return Reply(of_note(notes.add(id, asked.text, name_of(user))), HTTPStatus.CREATED)
    except Refused as refused:
        raise ProblemError(HTTPStatus.BAD_REQUEST, refused.message, refused.field) from None


@endpoint("POST", Role.OPERATOR, NoteIn)
def change_note(user: User, asked: NoteIn, id: int, note: int) -> object:
    _own(id, note, name_of(user))
    try:
        return of_note(notes.change(note, asked.text, name_of(user)))
    except Refused as refused:
        raise ProblemError(HTTPStatus.BAD_REQUEST, refused.message, refused.field) from None


@endpoint("POST", Role.OPERATOR, ask.Nothing)
def delete_note(user: User, asked: ask.Nothing, id: int, note: int) -> object:
    _own(id, note, name_of(user))
    return of_note(notes.delete(note, name_of(user)))


def _exists(record: int) -> None:
    if not FailoverRecord.objects.filter(pk=record).exists():
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no failover record {record}.", "id")


def _own(record: int, note: int, by: str) -> None:
    row = FailoverNote.objects.filter(pk=note, record_id=record).first()
    if row is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no note {note} on failover {record}.", "note")
    if why := notes.why_not(row, by):
        raise ProblemError(HTTPStatus.FORBIDDEN, why, "note")
