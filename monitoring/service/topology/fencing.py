"""Fence devices, and the levels of each node.

A device keeps only what differs from its method's defaults. Secrets are written and never told:
the history names the parameter that changed, and nothing else.

What a fence agent can be told is asked of the agent, a program that may take seconds: every edit
has that done before it takes the lock (`_ask_agents`); inside, the answers are at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.db.models import Q

from monitoring.fencing import registry
from monitoring.fencing.api import FenceError, FenceMethod, Property, PropertyError
from monitoring.models import FenceDevice, FenceStep, Node
from monitoring.service.topology.edits import assign, edit, refuse

SETTINGS = frozenset({"name", "description"})
STEP_SETTINGS = frozenset({"level", "delay_ms", "timeout_ms", "retries"})


def create_fence_device(
    values: Mapping[str, Any],
    *,
    method: str,
    kind: str = "",
    properties: Mapping[str, Any] | None = None,
    by: str,
    reason: str = "",
) -> FenceDevice:
    """Add a device. `kind` of a fence agent is the name of its program."""
    _ask_agents([(method, kind)])
    with edit(by, reason) as change:
        found = _method(method, kind)
        device = FenceDevice(method=method, kind=kind)
        assign(device, values, SETTINGS)
        _check_name(device)
        device.parameters = _clean(found, kind, properties or {}, complete=False)
        device.save()
        what = kind or method
        change.record(f"added the fence device {device} ({what})", device)
    return device


def edit_fence_device(
    device_id: int,
    values: Mapping[str, Any],
    *,
    properties: Mapping[str, Any] | None = None,
    by: str,
    reason: str = "",
) -> FenceDevice:
    """Change a device; properties that are not named stay, one that is "" goes back to its default."""
    _ask_agents(FenceDevice.objects.filter(pk=device_id).values_list("method", "kind"))
    with edit(by, reason) as change:
        device = device_of(device_id)
        name = device.name
        changes = assign(device, values, SETTINGS)
        _check_name(device)
        if properties:
            found = _method(device.method, device.kind)
            before = device.parameters
            device.parameters = _clean(found, device.kind, {**before, **properties}, complete=False)
            changes += _differences(found.properties(device.kind), before, device.parameters)
            for step in device.steps.select_related("node"):
                _check_complete(step)
        if changes:
            device.save()
            change.record(f"changed the fence device {name}: {', '.join(changes)}", device)
    return device


def delete_fence_device(device_id: int, *, by: str, reason: str = "") -> None:
    """Remove a device that no node uses."""
    with edit(by, reason) as change:
        device = device_of(device_id)
        used = sorted({step.node.name for step in device.steps.select_related("node")})
        if used:
            raise refuse("device", f"{device} fences {', '.join(used)}: take it out of their levels first.")
        if device.test_operation_id is not None:
            raise refuse("device", f"{device} is being tested: wait until that has ended.")
        change.record(f"deleted the fence device {device}", device)
        device.delete()


def add_fence_step(
    node_id: int,
    device_id: int,
    values: Mapping[str, Any],
    *,
    properties: Mapping[str, Any] | None = None,
    by: str,
    reason: str = "",
) -> FenceStep:
    """Add a device to a level of a node, with what the node sets for itself, such as its plug."""
    _ask_agents(FenceDevice.objects.filter(pk=device_id).values_list("method", "kind"))
    _ask_agents_of(Q(node=node_id))
    with edit(by, reason) as change:
        step = FenceStep(node=_node(node_id), device=device_of(device_id, "device"))
        assign(step, values, STEP_SETTINGS)
        if FenceStep.objects.filter(node=step.node, level=step.level, device=step.device).exists():
            raise refuse("device", f"{step.device} is in level {step.level} of {step.node} already.")
        step.parameters = dict(properties or {})
        _check_complete(step)
        step.save()
        _check_levels(step.node)
        change.record(f"added {step.device} to level {step.level} of the fencing of {step.node}", step.node)
    return step


def edit_fence_step(
    step_id: int,
    values: Mapping[str, Any],
    *,
    properties: Mapping[str, Any] | None = None,
    by: str,
    reason: str = "",
) -> FenceStep:
    """Change the level, the times, or what the node sets for itself."""
    _ask_agents_of(Q(pk=step_id) | Q(node__fence_steps=step_id))
    with edit(by, reason) as change:
        step = step_of(step_id)
        title = str(step)
        changes = assign(step, values, STEP_SETTINGS)
        same = FenceStep.objects.filter(node=step.node, level=step.level, device=step.device)
        if same.exclude(pk=step.pk).exists():
            raise refuse("level", f"{step.device} is in level {step.level} of {step.node} already.")
        if properties is not None:
            before = step.parameters
            step.parameters = {**before, **properties}
            _check_complete(step)
            method = _method(step.device.method, step.device.kind)
            changes += _differences(method.properties(step.device.kind), before, step.parameters)
        if changes:
            step.save()
            _check_levels(step.node)
            change.record(f"changed the fencing by {title}: {', '.join(changes)}", step.node)
    return step


def remove_fence_step(step_id: int, *, by: str, reason: str = "") -> None:
    """Take a device out of a level. A fence that is open stays so, whatever is left."""
    _ask_agents_of(Q(node__fence_steps=step_id))
    with edit(by, reason) as change:
        step = step_of(step_id)
        step.delete()
        _check_levels(step.node)
        text = f"took {step.device} out of level {step.level} of the fencing of {step.node}"
        change.record(text, step.node)


def _ask_agents(kinds: Iterable[tuple[str, str]]) -> None:
    """Have these methods tell what can be set; what is wrong with one is said where it is needed."""
    for method, kind in kinds:
        with suppress(FenceError):
            registry.get(method).properties(kind)


def _ask_agents_of(steps: Q) -> None:
    rows = FenceStep.objects.filter(steps)
    _ask_agents(rows.values_list("device__method", "device__kind").order_by().distinct())


def device_of(device_id: int, field: str = "device") -> FenceDevice:
    """The device with this id."""
    found = FenceDevice.objects.filter(pk=device_id).first()
    if found is None:
        raise refuse(field, "This fence device does not exist any more.")
    return found


def step_of(step_id: int) -> FenceStep:
    """The entry of a level with this id, with its node and device."""
    found = FenceStep.objects.select_related("node", "device").filter(pk=step_id).first()
    if found is None:
        raise refuse("step", "This entry does not exist any more.")
    return found


def _node(node_id: int) -> Node:
    found = Node.objects.filter(pk=node_id).first()
    if found is None:
        raise refuse("node", "This node does not exist any more.")
    return found


def _method(name: str, kind: str) -> type[FenceMethod]:
    try:
        found = registry.get(name)
        found.properties(kind)
    except FenceError as error:
        field = "kind" if name in registry.all_methods() else "method"
        raise refuse(field, _sentence(str(error))) from None
    return found


def _clean(
    method: type[FenceMethod], kind: str, values: Mapping[str, Any], *, complete: bool
) -> dict[str, Any]:
    try:
        return method.clean(kind, values, complete=complete)
    except PropertyError as error:
        raise refuse(f"properties.{error.field}", _sentence(error.message)) from None


def _check_complete(step: FenceStep) -> None:
    """The device's values with those of the node are all that is needed; the node's own are kept clean."""
    device = step.device
    method = _method(device.method, device.kind)
    for name in step.parameters:
        if not method.is_per_node(device.kind, name):
            raise refuse(f"properties.{name}", f"{name} is set at the device, for all nodes alike.")
    step.parameters = {name: value for name, value in step.parameters.items() if value not in (None, "")}
    whole = _clean(method, device.kind, {**device.parameters, **step.parameters}, complete=True)
    step.parameters = {name: whole[name] for name in step.parameters if name in whole}


def _check_levels(node: Node) -> None:
    """A level whose devices prove nothing would confirm a node that runs."""
    proves: dict[int, bool] = {}
    for step in FenceStep.objects.filter(node=node).select_related("device"):
        confirms = _method(step.device.method, step.device.kind).confirms(step.device.kind)
        proves[step.level] = proves.get(step.level, False) or confirms
    for level, enough in proves.items():
        if not enough:
            text = f"Nothing in level {level} turns {node} off: add a device that does to this level first."
            raise refuse("level", text)


def _check_name(device: FenceDevice) -> None:
    same = FenceDevice.objects.filter(name__iexact=device.name).exclude(pk=device.pk).first()
    if same is not None:
        raise refuse("name", f"A fence device named {same} exists already.")


def _differences(
    properties: Sequence[Property], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[str]:
    """What changed, in words; secrets are only named."""
    return [
        prop.name
        if prop.secret
        else f"{prop.name} from {_shown(before.get(prop.name))} to {_shown(after.get(prop.name))}"
        for prop in properties
        if before.get(prop.name) != after.get(prop.name)
    ]


def _shown(value: object) -> str:
    return "its default" if value is None else repr(value)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
