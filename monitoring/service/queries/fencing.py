"""Fencing as pages, the API and the command line show it: devices, levels, what is being done.

No secret leaves this module: a device is told with the names of the secrets that it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.core.states import NodeState
from monitoring.fencing import registry
from monitoring.fencing.api import FenceError, FenceMethod
from monitoring.models import Fence, FenceDevice, FenceStep, Node
from monitoring.service.fencing.fences import MAINTENANCE
from monitoring.service.queries.common import NodeRef


@dataclass(frozen=True, slots=True)
class Test:
    """The last test of a device, or that one is under way. Times are cluster time."""

    running: bool
    at: float | None
    ok: bool | None
    text: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device. `parameters` are those that differ from the defaults, `hidden` names the secrets among them.

    `problem`: why it cannot be used on this machine, "" where it can.
    """

    id: int
    name: str
    description: str
    method: str
    kind: str
    parameters: Mapping[str, Any]
    hidden: tuple[str, ...]
    problem: str
    test: Test
    nodes: tuple[NodeRef, ...]

    @property
    def what(self) -> str:
        """The agent's name, or the method's."""
        return self.kind or self.method


@dataclass(frozen=True, slots=True)
class StepRow:
    """A device in a level of a node. Times in seconds."""

    id: int
    level: int
    device: int
    device_name: str
    what: str
    parameters: Mapping[str, Any]
    hidden: tuple[str, ...]
    delay: float
    timeout: float
    retries: int
    test: Test


@dataclass(frozen=True, slots=True)
class FenceRow:
    """A fence that is open, or the last one. `waiting`: the groups of the node wait for it."""

    state: str
    cause: str
    since: float
    finished: float | None
    doing: str
    error: str
    outcome: str
    rounds: int
    next_at: float
    waiting: bool

    @property
    def open(self) -> bool:
        return self.finished is None

    @property
    def can_be_hastened(self) -> bool:
        """Nothing is being done now: an operator may have it tried at once."""
        return self.open and (self.state == "failed" or self.doing == MAINTENANCE)

    @property
    def tone(self) -> str:
        return "bad" if self.state == "failed" else "busy"

    @property
    def headline(self) -> str:
        """What it has come to, as the beginning of a sentence about the node."""
        if self.rounds:
            return "could not be fenced"
        return "is being fenced"


@dataclass(frozen=True, slots=True)
class NodeFencing:
    """How a node is fenced, and how it is going. `watchdog` in seconds, 0 for none."""

    node: NodeRef
    levels: tuple[tuple[int, tuple[StepRow, ...]], ...]
    fence: FenceRow | None
    watchdog: float

    @property
    def configured(self) -> bool:
        return bool(self.levels)

    @property
    def open(self) -> FenceRow | None:
        return self.fence if self.fence is not None and self.fence.open else None


def device_list() -> tuple[DeviceRow, ...]:
    """All devices by name. Two queries."""
    nodes: dict[int, list[NodeRef]] = defaultdict(list)
    for step in FenceStep.objects.select_related("node").order_by("node_id", "level"):
        ref = NodeRef(step.node_id, step.node.name, NodeState(step.node.state))
        if ref not in nodes[step.device_id]:
            nodes[step.device_id].append(ref)
    return tuple(_device(row, nodes[row.pk]) for row in FenceDevice.objects.all())


def node_fencing(id: int) -> NodeFencing | None:
    """How one node is fenced, None where there is no such node. Three queries."""
    node = Node.objects.filter(pk=id).first()
    if node is None:
        return None
    levels: dict[int, list[StepRow]] = defaultdict(list)
    for step in FenceStep.objects.filter(node=id).select_related("device"):
        levels[step.level].append(_step(step))
    last = Fence.objects.filter(node=id).order_by("-id").first()
    return NodeFencing(
        node=NodeRef(node.pk, node.name, NodeState(node.state), node.unfenced),
        levels=tuple((level, tuple(rows)) for level, rows in sorted(levels.items())),
        fence=_fence(last, node.unfenced) if last else None,
        watchdog=node.watchdog_ms / 1000,
    )


def open_fences(unfenced: Collection[int]) -> Mapping[int, FenceRow]:
    """The fences for which the groups of these nodes wait. One query, none for no node."""
    if not unfenced:
        return {}
    rows = Fence.objects.filter(node__in=unfenced, finished=None)
    return {row.node_id: _fence(row, True) for row in rows}


def _fence(row: Fence, waiting: bool) -> FenceRow:
    return FenceRow(
        state=row.state,
        cause=row.cause,
        since=row.started,
        finished=row.finished,
        doing=row.doing,
        error=row.error,
        outcome=row.outcome,
        rounds=row.rounds,
        next_at=row.next_at,
        waiting=waiting,
    )


def _test(row: FenceDevice) -> Test:
    running = row.test_operation_id is not None
    return Test(running, row.tested_at, row.tested_ok, row.tested_text, row.tested_seconds)


def _device(row: FenceDevice, nodes: Collection[NodeRef]) -> DeviceRow:
    shown, hidden, problem = without_secrets(row.method, row.kind, row.parameters)
    return DeviceRow(
        id=row.pk,
        name=row.name,
        description=row.description,
        method=row.method,
        kind=row.kind,
        parameters=shown,
        hidden=hidden,
        problem=problem,
        test=_test(row),
        nodes=tuple(nodes),
    )


def _step(row: FenceStep) -> StepRow:
    shown, hidden, _ = without_secrets(row.device.method, row.device.kind, row.parameters)
    return StepRow(
        id=row.pk,
        level=row.level,
        device=row.device_id,
        device_name=row.device.name,
        what=row.device.kind or row.device.method,
        parameters=shown,
        hidden=hidden,
        delay=row.delay_ms / 1000,
        timeout=row.timeout_ms / 1000,
        retries=row.retries,
        test=_test(row.device),
    )


def without_secrets(
    method: str, kind: str, values: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...], str]:
    """What may be shown of the values, the names of what may not, and why the device is of no use here.

    Where its method is not installed nobody knows which of the values are secrets: none is shown.
    """
    try:
        found: type[FenceMethod] = registry.get(method)
        secret = {prop.name for prop in found.properties(kind) if prop.secret}
        known = {prop.name for prop in found.properties(kind)}
    except FenceError as error:
        return {}, tuple(sorted(values)), str(error)
    shown = {name: value for name, value in values.items() if name in known and name not in secret}
    return shown, tuple(sorted(set(values) - set(shown))), ""
