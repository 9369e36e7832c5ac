"""Fencing in the REST API: devices, the levels of nodes, tests; what is asked, and the views."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from django.contrib.auth.models import User
from django.urls import reverse

from monitoring.api import schema
from monitoring.api.auth import name_of
from monitoring.api.endpoint import Reply, endpoint
from monitoring.api.fencing_schema import agent_out, device_list, device_out, node_out, step_of
from monitoring.api.problems import ProblemError
from monitoring.api.requests import ActionIn, Nothing, Reason
from monitoring.fencing import fence_agent
from monitoring.fencing.api import FenceError
from monitoring.models.roles import Role
from monitoring.service import intents, lookup, topology
from monitoring.service.fencing import devices as device_tests

Level = Annotated[int, msgspec.Meta(ge=1, le=9)]
Properties = dict[str, str | int | bool | None]


class TestIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test of a device, and of the power of a node where one is named."""

    node: str = ""
    reason: Reason = ""


class NewDeviceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new device; `kind` of a fence agent is its name."""

    name: str
    method: str = fence_agent.FenceAgent.method_name
    kind: str = ""
    description: str = ""
    properties: Properties = {}
    reason: Reason = ""


class ChangeDeviceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; a property that is null or "" goes back to its default."""

    name: str | None = None
    description: str | None = None
    properties: Properties = {}
    reason: Reason = ""


class NewStepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device for a level of a node; times in seconds."""

    device: str = ""
    level: Level = 1
    delay: float = 0.0
    timeout: float = 60.0
    retries: int = 1
    properties: Properties = {}
    reason: Reason = ""


class ChangeStepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of the device in `level`; `to_level` puts it into another one."""

    device: str = ""
    level: Level = 1
    to_level: Level | None = None
    delay: float | None = None
    timeout: float | None = None
    retries: int | None = None
    properties: Properties | None = None
    reason: Reason = ""


class RemoveStepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device to take out of a level."""

    device: str = ""
    level: Level = 1
    reason: Reason = ""


class ConfirmOffIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody has seen that the node is off: its name once more, and how it was seen."""

    confirm: str = ""
    reason: Reason = ""


@endpoint("GET", Role.VIEWER, Nothing)
def agents(user: User, asked: Nothing) -> object:
    return {"agents": fence_agent.installed()}


@endpoint("GET", Role.VIEWER, Nothing)
def agent(user: User, asked: Nothing, agent: str) -> object:
    try:
        fence_agent.find(agent)
        return agent_out(agent)
    except FenceError as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"{_capital(str(error))}.", "agent") from None


@endpoint("GET", Role.VIEWER, Nothing)
def devices(user: User, asked: Nothing) -> object:
    return {"devices": device_list()}


@endpoint("GET", Role.VIEWER, Nothing)
def device(user: User, asked: Nothing, device: str) -> object:
    return device_out(lookup.fence_device(device))


@endpoint("POST", Role.ADMINISTRATOR, NewDeviceIn)
def add_device(user: User, asked: NewDeviceIn) -> Reply:
    made = topology.create_fence_device(
        {"name": asked.name, "description": asked.description},
        method=asked.method,
        kind=asked.kind,
        properties=asked.properties,
        by=name_of(user),
        reason=asked.reason,
    )
    place = reverse("api:fence_device", kwargs={"device": made.pk})
    return Reply(device_out(made), HTTPStatus.CREATED, {"Location": place})


@endpoint("POST", Role.ADMINISTRATOR, ChangeDeviceIn)
def change_device(user: User, asked: ChangeDeviceIn, device: str) -> object:
    given = {"name": asked.name, "description": asked.description}
    changed = topology.edit_fence_device(
        lookup.fence_device(device).pk,
        {name: value for name, value in given.items() if value is not None},
        properties=asked.properties,
        by=name_of(user),
        reason=asked.reason,
    )
    return device_out(changed)


@endpoint("POST", Role.ADMINISTRATOR, ActionIn)
def delete_device(user: User, asked: ActionIn, device: str) -> object:
    found = lookup.fence_device(device)
    topology.delete_fence_device(found.pk, by=name_of(user), reason=asked.reason)
    return {"deleted": found.name}


@endpoint("POST", Role.OPERATOR, TestIn)
def test_device(user: User, asked: TestIn, device: str) -> Reply:
    operation = device_tests.request_test(
        lookup.fence_device(device).pk,
        node=lookup.node(asked.node).pk if asked.node else None,
        by=name_of(user),
        reason=asked.reason,
    )
    place = reverse("api:operation", kwargs={"id": operation.pk})
    body = {"operation": schema.of_operation(operation), "notice": ""}
    return Reply(body, HTTPStatus.ACCEPTED, {"Location": place})


@endpoint("GET", Role.VIEWER, Nothing)
def node(user: User, asked: Nothing, node: str) -> object:
    return node_out(lookup.node(node))


@endpoint("POST", Role.ADMINISTRATOR, NewStepIn)
def add_step(user: User, asked: NewStepIn, node: str) -> Reply:
    found = lookup.node(node)
    topology.add_fence_step(
        found.pk,
        lookup.fence_device(asked.device).pk,
        {"level": asked.level, **_times(asked.delay, asked.timeout, asked.retries)},
        properties=asked.properties,
        by=name_of(user),
        reason=asked.reason,
    )
    return Reply(node_out(found), HTTPStatus.CREATED)


@endpoint("POST", Role.ADMINISTRATOR, ChangeStepIn)
def change_step(user: User, asked: ChangeStepIn, node: str) -> object:
    found = lookup.node(node)
    values = _times(asked.delay, asked.timeout, asked.retries)
    if asked.to_level is not None:
        values["level"] = asked.to_level
    topology.edit_fence_step(
        step_of(found, lookup.fence_device(asked.device), asked.level).pk,
        values,
        properties=asked.properties,
        by=name_of(user),
        reason=asked.reason,
    )
    return node_out(found)


@endpoint("POST", Role.ADMINISTRATOR, RemoveStepIn)
def remove_step(user: User, asked: RemoveStepIn, node: str) -> object:
    found = lookup.node(node)
    step = step_of(found, lookup.fence_device(asked.device), asked.level)
    topology.remove_fence_step(step.pk, by=name_of(user), reason=asked.reason)
    return node_out(found)


@endpoint("POST", Role.OPERATOR, ConfirmOffIn)
def confirm_off(user: User, asked: ConfirmOffIn, node: str) -> Reply:
    accepted = intents.submit(
        "confirm-off",
        by=name_of(user),
        reason=asked.reason,
        node=lookup.node(node).pk,
        confirm=asked.confirm,
    )
    place = reverse("api:operation", kwargs={"id": accepted.operation.pk})
    body = {"operation": schema.of_operation(accepted.operation), "notice": accepted.notice}
    return Reply(body, HTTPStatus.ACCEPTED, {"Location": place})


def _times(delay: float | None, timeout: float | None, retries: int | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if delay is not None:
        values["delay_ms"] = round(delay * 1000)
    if timeout is not None:
        values["timeout_ms"] = round(timeout * 1000)
    if retries is not None:
        values["retries"] = retries
    return values


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
