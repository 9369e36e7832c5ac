"""What the REST API and the command line tell of fencing. Secrets are never told, only their names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from monitoring.api import schema
from monitoring.core.model import Refused
from monitoring.fencing import fence_agent
from monitoring.fencing.api import Property
from monitoring.models import FenceDevice, FenceStep, Node
from monitoring.service import lookup
from monitoring.service.queries import fencing


class TestOut(msgspec.Struct, frozen=True):
    """The last test of a device, and whether one is under way."""

    running: bool
    at: datetime | None
    ok: bool | None
    text: str
    seconds: float | None


class DeviceOut(msgspec.Struct, frozen=True):
    """A fence device. `secrets` are the names of secret properties that are set."""

    id: int
    name: str
    description: str
    method: str
    kind: str
    properties: Mapping[str, Any]
    secrets: tuple[str, ...]
    problem: str
    nodes: tuple[str, ...]
    test: TestOut


class StepOut(msgspec.Struct, frozen=True):
    """A device in a level of a node; times in seconds."""

    id: int
    level: int
    device: str
    properties: Mapping[str, Any]
    secrets: tuple[str, ...]
    delay: float
    timeout: float
    retries: int
    test: TestOut


class FenceOut(msgspec.Struct, frozen=True):
    """A fence: open until `finished`. Failed and open: nothing moves, and it is tried again at `next`."""

    state: str
    cause: str
    started: datetime
    finished: datetime | None
    doing: str
    error: str
    outcome: str
    rounds: int
    next: datetime | None


class NodeFencingOut(msgspec.Struct, frozen=True):
    """How a node is fenced. `waiting`: its groups wait until it is confirmed off."""

    node: str
    waiting: bool
    watchdog: float
    levels: tuple[StepOut, ...]
    fence: FenceOut | None


class PropertyOut(msgspec.Struct, frozen=True):
    """What can be set of a device. `per_node`: each node may have its own."""

    name: str
    kind: str
    required: bool
    secret: bool
    default: Any
    choices: tuple[str, ...]
    unit: str
    help: str
    per_node: bool


class AgentOut(msgspec.Struct, frozen=True):
    """A fence agent as its metadata describes it."""

    name: str
    title: str
    description: str
    actions: tuple[str, ...]
    properties: tuple[PropertyOut, ...]


def device_list() -> list[DeviceOut]:
    """All devices by name. Two queries."""
    return [_device(row) for row in fencing.device_list()]


def device_out(device: FenceDevice) -> DeviceOut:
    return next(row for row in device_list() if row.id == device.pk)


def node_out(node: Node) -> NodeFencingOut:
    """How a node is fenced. Three queries."""
    found = fencing.node_fencing(node.pk)
    if found is None:
        raise lookup.UnknownNameError("node", node.name, [])
    return NodeFencingOut(
        node=found.node.name,
        waiting=found.node.unfenced,
        watchdog=found.watchdog,
        levels=tuple(_step(step) for _, steps in found.levels for step in steps),
        fence=_fence(found.fence) if found.fence else None,
    )


def agent_out(name: str) -> AgentOut:
    """What an agent says of itself; FenceError where it does not."""
    about = fence_agent.metadata(name)
    return AgentOut(
        name=name,
        title=about.title,
        description=about.description,
        actions=tuple(sorted(about.actions)),
        properties=tuple(_property(name, prop) for prop in about.properties),
    )


def step_of(node: Node, device: FenceDevice, level: int) -> FenceStep:
    """The entry of a level; Refused where the device is not in it."""
    found = FenceStep.objects.filter(node=node, device=device, level=level).first()
    if found is None:
        raise Refused("device", f"{device} is not in level {level} of {node}.")
    return found


def _test(test: fencing.Test) -> TestOut:
    return TestOut(test.running, schema.maybe(test.at), test.ok, test.text, test.seconds)


def _device(row: fencing.DeviceRow) -> DeviceOut:
    return DeviceOut(
        id=row.id,
        name=row.name,
        description=row.description,
        method=row.method,
        kind=row.kind,
        properties=row.parameters,
        secrets=row.hidden,
        problem=row.problem,
        nodes=tuple(node.name for node in row.nodes),
        test=_test(row.test),
    )


def _step(step: fencing.StepRow) -> StepOut:
    return StepOut(
        id=step.id,
        level=step.level,
        device=step.device_name,
        properties=step.parameters,
        secrets=step.hidden,
        delay=step.delay,
        timeout=step.timeout,
        retries=step.retries,
        test=_test(step.test),
    )


def _fence(row: fencing.FenceRow) -> FenceOut:
    return FenceOut(
        state=row.state,
        cause=row.cause,
        started=schema.time(row.since),
        finished=schema.maybe(row.finished),
        doing=row.doing,
        error=row.error,
        outcome=row.outcome,
        rounds=row.rounds,
        next=schema.time(row.next_at) if row.open else None,
    )


def _property(agent: str, prop: Property) -> PropertyOut:
    return PropertyOut(
        name=prop.name,
        kind=prop.kind,
        required=prop.required,
        secret=prop.secret,
        default=prop.default,
        choices=prop.choices,
        unit=prop.unit,
        help=prop.help,
        per_node=fence_agent.FenceAgent.is_per_node(agent, prop.name),
    )
