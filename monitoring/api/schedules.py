"""What is scheduled, in the REST API: list, one, made, changed, and what is done with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

import msgspec
from django.contrib.auth.models import User
from django.urls import reverse

from monitoring.api.auth import name_of
from monitoring.api.endpoint import Reply, endpoint
from monitoring.api.problems import ProblemError
from monitoring.api.requests import Nothing
from monitoring.models import Schedule, ScheduleRun
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries import schedules, schedules_out
from monitoring.service.schedules import drafts, edits, runs

Days = tuple[Annotated[str, msgspec.Meta(max_length=3)], ...]


class ScheduleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is scheduled; of a change only what is to be different. Times are local, by `zone`."""

    kind: str | None = None
    group: str | None = None
    node: str | None = None
    at: str | None = None
    ends: str | None = None
    zone: str | None = None
    repeat: str | None = None
    every: int | None = None
    days: Days | None = None
    nth: str | None = None
    until: str | None = None
    failback: str | None = None
    tolerance_minutes: int | None = None
    reason: str | None = None

    def over(self, draft: drafts.Draft) -> drafts.Draft:
        """`draft` with what is given here in its place."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return replace(draft, **given)


class RunsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Runs before one of that number, the newest first."""

    schedule: int | None = None
    before: int | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


def author(user: User) -> edits.Author:
    """In whose name it is done later: the user's, and their token's where one was used."""
    return edits.Author(name_of(user), user.pk, vars(user).get("token"))


def find(pk: int) -> Schedule:
    row = Schedule.objects.select_related("group", "node").filter(pk=pk).first()
    if row is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no schedule {pk}.", "id")
    return row


@endpoint("GET", Role.VIEWER, Nothing)
def listed(user: User, asked: Nothing) -> object:
    return {"schedules": schedules_out.listed()}


@endpoint("GET", Role.VIEWER, Nothing)
def one(user: User, asked: Nothing, id: int) -> object:
    return schedules_out.detail(find(id))


@endpoint("GET", Role.VIEWER, RunsQuery)
def run_list(user: User, asked: RunsQuery) -> object:
    rows = schedules.runs(asked.schedule, limit=asked.limit, before=asked.before)
    return {"runs": [schedules_out.of_run(row) for row in rows]}


@endpoint("GET", Role.VIEWER, Nothing)
def calendar(user: User, asked: Nothing) -> Reply:
    return Reply(schedules_out.calendar().encode(), content_type="text/calendar; charset=utf-8")


@endpoint("POST", Role.OPERATOR, ScheduleIn)
def check(user: User, asked: ScheduleIn) -> object:
    return schedules_out.of_foreseen(drafts.read(asked.over(drafts.Draft()), clock.now()))


@endpoint("POST", Role.OPERATOR, ScheduleIn)
def add(user: User, asked: ScheduleIn) -> Reply:
    made = edits.create(asked.over(drafts.Draft()), author(user))
    place = reverse("api:schedule", kwargs={"id": made.pk})
    return Reply(schedules_out.detail(made), HTTPStatus.CREATED, {"Location": place})


@endpoint("POST", Role.OPERATOR, ScheduleIn)
def change(user: User, asked: ScheduleIn, id: int) -> object:
    row = find(id)
    return schedules_out.detail(edits.change(id, asked.over(drafts.draft_of(row)), author(user)))


VERBS: dict[str, Callable[[int, str], object]] = {
    "run": runs.run_now,
    "end": runs.end_now,
    "skip": edits.skip,
    "pause": edits.pause,
    "go-on": edits.go_on,
    "delete": edits.delete,
}


@endpoint("POST", Role.OPERATOR, Nothing)
def act(user: User, asked: Nothing, id: int, verb: str) -> object:
    title = schedules_out.of_row(find(id)).title
    VERBS[verb](id, name_of(user))
    return {"deleted": title} if verb == "delete" else schedules_out.detail(find(id))


@endpoint("POST", Role.OPERATOR, Nothing)
def note(user: User, asked: Nothing, run: int) -> object:
    if not ScheduleRun.objects.filter(pk=run).exists():
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no run {run}.", "run")
    noted = edits.note_failure(run, name_of(user))
    return schedules_out.of_run(schedules.run_of(noted))
