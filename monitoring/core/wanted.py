"""What should be online now, and whether the group has come as near to it as it can."""

from __future__ import annotations

from monitoring.core.model import GroupView, ResourceView
from monitoring.core.state import closure
from monitoring.core.states import ResourceState, Stage


def effective(group: GroupView, may_start: bool) -> set[int]:
    """Ids of the resources that shall be online on the owner now.

    Nothing while the group is stopping or is offline by an operator's word; else what its
    persistent state says, without what depends on something that is not wanted. Where the
    owner is paused nothing new comes online, and what runs stays.
    """
    if group.transit is not None and group.transit.stage is Stage.STOPPING:
        return set()
    if not group.persistent_online:
        return set()
    op = group.operation
    stopping = op.resource if op and op.kind == "resource-restart" and not op.stopped else None
    wanted = {
        r.id: r.persistent_online
        and r.id != stopping
        and (may_start or r.state not in (ResourceState.OFFLINE, ResourceState.INITIALIZING))
        for r in group.resources
    }
    return closure(wanted, {r.id: r.requires for r in group.resources})


def all_down(group: GroupView) -> bool:
    """True where nothing of the group runs, and its node said so."""
    return all(r.state.is_down and not r.running for r in group.resources)


def blocked_by(group: GroupView, up: set[int]) -> list[ResourceView]:
    """Wanted resources that have failed, with no restart on its way."""
    return [
        r
        for r in group.resources
        if r.id in up and r.state is ResourceState.FAILED and r.restart_at is None and not r.failure
    ]


def settled(group: GroupView, up: set[int]) -> bool:
    """True where every wanted resource is online or cannot be, and all others are down."""
    failed = {r.id for r in blocked_by(group, up)}
    reachable = closure(
        {r.id: r.id in up and r.id not in failed for r in group.resources},
        {r.id: r.requires for r in group.resources},
    )
    return all(
        r.state is ResourceState.ONLINE if r.id in reachable else r.state.is_down and not r.running
        for r in group.resources
    ) and not any(r.failure for r in group.resources)
