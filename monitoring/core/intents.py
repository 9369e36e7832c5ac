"""What an operator's intent changes, the moment it is accepted; newest intent wins (10.1).

Each function takes the draft of the group, changes what is wanted and leaves the rest to
`reconcile`. An intent that cannot be accepted raises Refused, naming the field; then
nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from monitoring.core import placement, simulated, transits
from monitoring.core.draft import Draft
from monitoring.core.model import Decision, GroupView, Intent, Refused, ResourceView, World
from monitoring.core.state import group_state, providers_of
from monitoring.core.states import (
    GroupState,
    NodeState,
    ResourceState,
    Severity,
    Stage,
    TransitKind,
)

MAINTENANCE = ("maintenance", "end-maintenance")


def request(group: GroupView, intent: Intent, world: World, now: float) -> Decision:
    """Accept `intent` for `group`, or raise Refused."""
    draft = Draft(group, world, now)
    if (group.maintenance or world.maintenance) and intent.kind not in MAINTENANCE:
        what = group.name if group.maintenance else "The cluster"
        raise Refused("group", f"{what} is in maintenance: end it first.")
    _HANDLERS[intent.kind](draft, intent)
    return draft.decision()


def _why(intent: Intent, what: str) -> str:
    reason = f": {intent.reason}" if intent.reason else ""
    return f"{what} by {intent.by}{reason}"


def _move(draft: Draft, intent: Intent) -> None:
    group = draft.group
    target, rule = _target(draft, intent)
    if target == group.owner:
        _stay(draft, intent, target)
        return
    _drop_operation(draft, intent)
    kind = TransitKind.DRAIN if intent.kind == "drain" else TransitKind.MOVE
    what = "drained" if kind is TransitKind.DRAIN else "asked for"
    stage = Stage.STARTING if group.owner is None else Stage.STOPPING
    draft.change(failback_to=None)
    transits.begin(draft, kind, target, _why(intent, what), rule, intent.operation, intent.by, stage)
    if group.owner is None:
        transits.transfer(draft, target)


def _target(draft: Draft, intent: Intent) -> tuple[int, str]:
    group, world = draft.group, draft.world
    if intent.node is not None:
        why = placement.refusal(group, intent.node, world) if intent.node != group.owner else ""
        if why:
            raise Refused("node", why)
        return intent.node, ""
    choice = placement.best(group, world, group.owner)
    if choice is None:
        reasons = " ".join(c.refusal for c in placement.candidates(group, world) if c.node != group.owner)
        raise Refused("node", f"No other node can take {group.name}. {reasons}".strip())
    return choice


def _stay(draft: Draft, intent: Intent, target: int) -> None:
    """A move to where the group is: cancel what would take it away, else nothing to do."""
    group, name = draft.group, draft.node_name(target)
    if group.transit is None or group.transit.target == target:
        draft.outcome(intent.operation, "done", f"{group.name} is on {name} already.")
        return
    cause = _why(intent, "asked to stay")
    transits.begin(draft, TransitKind.RESTART, target, cause, operation=intent.operation, by=intent.by)


def _offline(draft: Draft, intent: Intent) -> None:
    group = draft.group
    _drop_operation(draft, intent)
    if group.transit is not None:
        draft.end(group.transit, "superseded", f"Superseded by offline, asked for by {intent.by}.")
    draft.change(
        persistent_online=False,
        given_up=False,
        resources=tuple(replace(r, restart_at=None, retry_at=None) for r in group.resources),
        operation=intent,
    )
    draft.event(1203, f"{group.name} is taken offline, {_why(intent, 'asked for')}")


def _online(draft: Draft, intent: Intent) -> None:
    group = draft.group
    _drop_operation(draft, intent)
    draft.change(
        persistent_online=True,
        given_up=False,
        resources=tuple(_fresh(r) for r in group.resources),
        operation=intent,
    )
    draft.event(1200, f"{group.name} is brought online, {_why(intent, 'asked for')}")
    owner = draft.world.nodes.get(group.owner) if group.owner is not None else None
    if group.transit is not None or (owner and owner.state is NodeState.UP and not owner.lost):
        return
    if owner and owner.state is NodeState.PAUSED and group_state(group.resources) is GroupState.ONLINE:
        return
    _elsewhere(draft, intent)


def _elsewhere(draft: Draft, intent: Intent) -> None:
    """The owner cannot bring anything online: take the best other node, or refuse."""
    group = draft.group
    choice = placement.best(group, draft.world, group.owner)
    if choice is None:
        name = draft.node_name(group.owner)
        why = placement.refusal(group, group.owner, draft.world) if group.owner is not None else ""
        raise Refused(
            "group", f"{group.name} cannot come online on {name}, and no other node can take it. {why}"
        )
    cause = _why(intent, "online asked for")
    stage = Stage.STARTING if group.owner is None else Stage.STOPPING
    transits.begin(draft, TransitKind.MOVE, choice[0], cause, choice[1], by=intent.by, stage=stage)
    if group.owner is None:
        transits.transfer(draft, choice[0])


def _restart(draft: Draft, intent: Intent) -> None:
    group = draft.group
    if not group.persistent_online:
        raise Refused("group", f"{group.name} is offline: bring it online instead.")
    if group.owner is None or not draft.may_start:
        raise Refused(
            "group", f"Nothing can come online on {draft.node_name(group.owner)}: move the group instead."
        )
    _drop_operation(draft, intent)
    draft.change(resources=tuple(_fresh(r) for r in group.resources), given_up=False)
    cause = _why(intent, "asked for")
    transits.begin(draft, TransitKind.RESTART, group.owner, cause, operation=intent.operation, by=intent.by)


def _resource_of(draft: Draft, intent: Intent) -> ResourceView:
    resource = draft.group.by_id.get(intent.resource) if intent.resource else None
    if resource is None:
        raise Refused("resource", f"{draft.group.name} has no such resource.")
    return resource


def _resource_online(draft: Draft, intent: Intent) -> None:
    group, resource = draft.group, _resource_of(draft, intent)
    if not group.persistent_online:
        raise Refused("resource", f"{group.name} is offline as a whole: bring the group online first.")
    if not draft.may_start and resource.state is not ResourceState.ONLINE:
        name = draft.node_name(group.owner)
        raise Refused("resource", f"Nothing may come online on {name}: it is paused or down.")
    _drop_operation(draft, intent)
    needed = providers_of(resource.id, {r.id: r.requires for r in group.resources}) | {resource.id}
    changed = tuple(
        _fresh(replace(r, persistent_online=True)) if r.id in needed else r for r in group.resources
    )
    draft.change(resources=changed, operation=intent, given_up=False)
    draft.event(0, f"{resource.name} is brought online, {_why(intent, 'asked for')}", resource=resource.id)


def _resource_offline(draft: Draft, intent: Intent) -> None:
    resource = _resource_of(draft, intent)
    _drop_operation(draft, intent)
    draft.resource(replace(resource, persistent_online=False, restart_at=None, retry_at=None))
    draft.change(operation=intent)
    draft.event(0, f"{resource.name} is taken offline, {_why(intent, 'asked for')}", resource=resource.id)


def _resource_restart(draft: Draft, intent: Intent) -> None:
    group, resource = draft.group, _resource_of(draft, intent)
    if not group.persistent_online or not resource.persistent_online:
        raise Refused("resource", f"{resource.name} is offline: bring it online instead.")
    if not draft.may_start:
        raise Refused(
            "resource", f"{draft.node_name(group.owner)} is paused or down: nothing may come online there."
        )
    _drop_operation(draft, intent)
    draft.resource(replace(resource, restart_at=None, retry_at=None, failures=()))
    draft.change(operation=intent, given_up=False)
    draft.event(0, f"{resource.name} is restarted, {_why(intent, 'asked for')}", resource=resource.id)


def _resource_fail(draft: Draft, intent: Intent) -> None:
    resource = _resource_of(draft, intent)
    if resource.state is not ResourceState.ONLINE and not resource.state.is_pending:
        raise Refused("resource", f"{resource.name} is {resource.state.label}: only what is online can fail.")
    text = f"A failure of {resource.name} is simulated, {_why(intent, 'asked for')}"
    draft.event(0, text, resource=resource.id)
    simulated.ask(draft, resource, intent.operation, intent.by)


def _maintenance(draft: Draft, intent: Intent) -> None:
    group = draft.group
    if group.maintenance:
        raise Refused("group", f"{group.name} is in maintenance already.")
    draft.change(maintenance=True)
    draft.event(0, f"{group.name} is put in maintenance, {_why(intent, 'asked for')}", Severity.WARNING)
    draft.outcome(intent.operation, "done", f"{group.name} is watched, and left as it is.")


def _end_maintenance(draft: Draft, intent: Intent) -> None:
    group = draft.group
    if not group.maintenance:
        raise Refused("group", f"{group.name} is not in maintenance.")
    draft.change(maintenance=False)
    draft.event(0, f"Maintenance of {group.name} ends, {_why(intent, 'asked for')}")
    draft.outcome(intent.operation, "done", f"{group.name} is looked after again.")


def _fresh(resource: ResourceView) -> ResourceView:
    """A resource with its failures forgotten; one that failed is tried again at once."""
    again = resource.state is ResourceState.FAILED or bool(resource.failure)
    return replace(
        resource,
        failures=(),
        failure="",
        restart_at=None,
        retry_at=None,
        attempt=resource.attempt + again,
    )


def _drop_operation(draft: Draft, intent: Intent) -> None:
    """An older online or offline that is still under way gives way to the newer intent."""
    old = draft.group.operation
    if old is not None:
        text = f"Superseded by {intent.kind.replace('-', ' ')}, asked for by {intent.by}."
        draft.outcome(old.operation, "superseded", text)
        draft.change(operation=None)


_HANDLERS: dict[str, Callable[[Draft, Intent], None]] = {
    "move": _move,
    "drain": _move,
    "online": _online,
    "offline": _offline,
    "restart": _restart,
    "maintenance": _maintenance,
    "end-maintenance": _end_maintenance,
    "resource-online": _resource_online,
    "resource-offline": _resource_offline,
    "resource-restart": _resource_restart,
    "resource-fail": _resource_fail,
}
