"""Availability in the REST API: the report, and what operators say about outages."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from django.contrib.auth.models import User
from django.utils import timezone

from monitoring.api.auth import name_of
from monitoring.api.endpoint import endpoint
from monitoring.api.problems import ProblemError
from monitoring.api.requests import Reason
from monitoring.core.model import Refused
from monitoring.models.roles import Role
from monitoring.service import clock, lookup, outages
from monitoring.service.queries import availability, moment_out, timeline_out
from monitoring.service.queries.availability_out import ReportOut, of_report


class ReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Months written 2026-11, both inclusive; without them the present one and the two before."""

    group: str = ""
    since: str = ""
    until: str = ""


class MarkIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an outage was planned, and why somebody says so."""

    planned: bool | None = None
    reason: Reason = ""


class MarkedOut(msgspec.Struct, frozen=True):
    """What was said about an outage."""

    outage: int
    group: str
    planned: bool
    reason: str
    by: str


def read(group: str, since: str, until: str) -> ReportOut:
    """The report by names. Refused with the field of a wrong month."""
    now, zone = clock.now(), timezone.get_default_timezone()
    windows = availability.months(since, until, now, zone)
    found = availability.report(windows, now, lookup.group(group).pk if group else None)
    return of_report(found, timezone.get_default_timezone_name())


def mark(number: int, planned: bool, reason: str, by: str) -> MarkedOut:
    """Mark an outage. Refused without a reason, or where none began with this event."""
    made = outages.mark(number, planned=planned, reason=reason, by=by)
    return MarkedOut(made.event, made.group_name, made.planned, made.reason, made.requested_by)


@endpoint("GET", Role.VIEWER, ReportQuery)
def report(user: User, asked: ReportQuery) -> object:
    try:
        return read(asked.group, asked.since, asked.until)
    except Refused as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, error.message, error.field) from None


class MomentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times in RFC 3339; `to` is another moment to compare with."""

    at: str
    to: str = ""


@endpoint("GET", Role.VIEWER, MomentQuery)
def moment(user: User, asked: MomentQuery) -> object:
    try:
        return moment_out.read(asked.at, asked.to, clock.now())
    except Refused as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, error.message, error.field) from None


class TimelineQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times in RFC 3339; without them the last day. Without a group all."""

    group: str = ""
    since: str = ""
    until: str = ""


@endpoint("GET", Role.VIEWER, TimelineQuery)
def timeline(user: User, asked: TimelineQuery) -> object:
    group = lookup.group(asked.group).pk if asked.group else None
    try:
        return timeline_out.read(group, asked.since, asked.until, clock.now())
    except Refused as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, error.message, error.field) from None


@endpoint("POST", Role.OPERATOR, MarkIn)
def mark_outage(user: User, asked: MarkIn, number: int) -> object:
    try:
        outages.beginning(number)
        if asked.planned is None:
            raise Refused("planned", "Say whether it was planned: true or false.")
        return mark(number, asked.planned, asked.reason, name_of(user))
    except Refused as error:
        status = HTTPStatus.NOT_FOUND if error.field == "outage" else HTTPStatus.BAD_REQUEST
        raise ProblemError(status, error.message, error.field) from None
