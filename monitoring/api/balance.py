"""Balance in the REST API: what is suggested, and having it done."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from django.contrib.auth.models import User

from monitoring.api import schema
from monitoring.api.auth import name_of
from monitoring.api.endpoint import Reply, endpoint
from monitoring.api.requests import Nothing, Reason
from monitoring.models.roles import Role
from monitoring.service import balance


class MoveOut(msgspec.Struct, frozen=True):
    """A move that is suggested. `kind`: rule, home, spread. `downtime_s` as such moves usually take."""

    group: str
    source: str
    target: str
    kind: str
    reasons: tuple[str, ...]
    waits_for: tuple[str, ...]
    downtime_s: float | None


class LoadOut(msgspec.Struct, frozen=True):
    """What a node carries now and would carry then."""

    node: str
    groups: int
    groups_then: int
    storage_groups: int
    storage_groups_then: int


class LeftOut(msgspec.Struct, frozen=True):
    """A group that stays away from an owner that it prefers, and why."""

    group: str
    why: str


class BalanceOut(msgspec.Struct, frozen=True):
    """The suggestion; `more`: there is more to move after it."""

    moves: tuple[MoveOut, ...]
    not_moved: tuple[LeftOut, ...]
    nodes: tuple[LoadOut, ...]
    more: bool


class ApplyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the suggested moves to ask for, by the groups' names; all where none is named."""

    groups: tuple[str, ...] = ()
    reason: Reason = ""


def read() -> BalanceOut:
    """What is suggested now."""
    found = balance.suggestion()
    return BalanceOut(
        tuple(
            MoveOut(
                step.name, step.source, step.target, step.kind, step.reasons, step.waits_for, step.seconds
            )
            for step in found.steps
        ),
        tuple(LeftOut(one.name, one.why) for one in found.left),
        tuple(
            LoadOut(
                node.name,
                node.before.groups,
                node.after.groups,
                node.before.storage_groups,
                node.after.storage_groups,
            )
            for node in found.nodes
        ),
        found.more,
    )


@endpoint("GET", Role.VIEWER, Nothing)
def suggested(user: User, asked: Nothing) -> object:
    return read()


@endpoint("POST", Role.OPERATOR, ApplyIn)
def apply(user: User, asked: ApplyIn) -> Reply:
    steps = balance.named(balance.suggestion(), asked.groups)
    done = balance.do(steps, by=name_of(user), reason=asked.reason)
    refused = [{"group": name, "why": why} for name, why in done.refused]
    body = {"operations": [schema.of_operation(one) for one in done.asked], "refused": refused}
    return Reply(body, HTTPStatus.ACCEPTED)
