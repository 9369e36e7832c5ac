"""A group on its way from node to node: begin, stop everything, change the owner, start (semantics 4.3).

Ownership changes in one place, `transfer`, and only when the owner has acknowledged that
everything is down, or nothing of the owner can run any more.
"""

from __future__ import annotations

from dataclasses import replace

from monitoring.core import placement
from monitoring.core.draft import Draft
from monitoring.core.model import NodeView, Transit
from monitoring.core.states import NodeState, ResourceState, Severity, Stage, TransitKind
from monitoring.core.wanted import all_down, blocked_by, effective, settled

GROUP_MOVING = 1641
GROUP_FAILING_OVER = 1153
GROUP_ONLINE = 1201
GROUP_NOT_ONLINE = 1205

LOOK_AGAIN = 0.5
"""Seconds until a target that is awaited is looked at again."""

_VERBS = {
    TransitKind.MOVE: "is moved",
    TransitKind.FAILOVER: "fails over",
    TransitKind.FAILBACK: "fails back",
    TransitKind.DRAIN: "is drained",
    TransitKind.RESTART: "is restarted",
}


def begin(
    draft: Draft,
    kind: TransitKind,
    target: int,
    cause: str,
    rule: str = "",
    operation: int | None = None,
    by: str = "",
    stage: Stage = Stage.STOPPING,
) -> None:
    """Start a transit of the group; one that is under way is ended as superseded or continued."""
    group = draft.group
    if group.transit is not None:
        _supersede(draft, group.transit, kind, by)
    transit = Transit(kind, draft.group.owner, target, stage, cause, rule, draft.now, operation, by)
    draft.change(transit=transit)
    if stage is Stage.STOPPING:  # a new serial even where nothing runs: its answer is the proof
        draft.change(wanted=draft.wanted(), watch_only=False, serial=draft.group.serial + 1, sent_at=None)
    source, to = draft.node_name(group.owner), draft.node_name(target)
    way = f"on {to}" if kind is TransitKind.RESTART else f"from {source} to {to}"
    code = GROUP_FAILING_OVER if kind is TransitKind.FAILOVER else GROUP_MOVING
    severity = Severity.WARNING if kind is TransitKind.FAILOVER else Severity.INFORMATION
    why = f" ({rule})" if rule else ""
    draft.event(code, f"{group.name} {_VERBS[kind]} {way}: {cause}{why}", severity, node=target)


def _supersede(draft: Draft, old: Transit, kind: TransitKind, by: str) -> None:
    group = draft.group.name
    if kind is TransitKind.FAILOVER:
        text = f"{group} did not come online on {draft.node_name(old.target)}, and fails over further."
        draft.end(old, "continued", text)
    else:
        draft.end(old, "superseded", f"Superseded by a newer {kind.value}{f' of {by}' if by else ''}.")


def begin_if_possible(draft: Draft, kind: TransitKind, target: int, cause: str) -> bool:
    """Begin a transit that nobody asked for by hand, where the target can take the group."""
    if placement.refusal(draft.group, target, draft.world):
        return False
    begin(draft, kind, target, cause)
    return True


def fail_over(draft: Draft, cause: str) -> bool:
    """Begin a failover to the next node after a failure; False where no node can take the group."""
    choice = placement.after_failure(draft.group, draft.world)
    if choice is None:
        return False
    begin(draft, TransitKind.FAILOVER, choice[0], cause, choice[1])
    return True


def place(draft: Draft) -> None:
    """Give a group that has no owner to the best node there is."""
    choice = placement.best(draft.group, draft.world, None)
    if choice is None:
        return
    name = draft.node_name(choice[0])
    draft.change(owner=choice[0], epoch=draft.group.epoch + 1, applied_serial=0, wanted=(), sent_at=None)
    draft.event(GROUP_MOVING, f"{draft.group.name} is placed on {name} ({choice[1]}).", node=choice[0])


def after_node_loss(draft: Draft, owner: NodeView, was_up: bool) -> None:
    """The owner is gone: go to another node at once, or wait for one and say so."""
    group, old = draft.group, draft.group.transit
    under_way = old is not None and old.stage is Stage.STOPPING and old.target != owner.id
    if under_way and old is not None and not placement.refusal(group, old.target, draft.world):
        transfer(draft, old.target)
        return
    choice = placement.after_node_loss(group, draft.world)
    if choice is None:
        if was_up or old is not None:
            text = f"{group.name} is offline: {owner.name} is down and no other node can take it."
            draft.event(GROUP_NOT_ONLINE, text, Severity.SEVERE)
        if old is not None:
            draft.end(old, "failed", f"{owner.name} went down and no other node can take {group.name}.")
        return
    cause = f"{owner.name} went down{f': {owner.loss}' if owner.loss else ''}"
    begin(draft, TransitKind.FAILOVER, choice[0], cause, choice[1], stage=Stage.STARTING)
    transfer(draft, choice[0])


def advance(draft: Draft) -> None:
    """Take the transit under way one step further where what it waits for has happened."""
    transit = draft.group.transit
    if transit is None:
        return
    if transit.stage is Stage.STOPPING:
        if draft.acknowledged and not draft.wants_change() and all_down(draft.group):
            if _is_awaited(draft, transit.target):
                draft.wake(draft.now + LOOK_AGAIN)
            else:
                transfer(draft, _final_target(draft, transit))
    elif draft.acknowledged and not draft.wants_change():
        _arrived(draft, transit)


def _is_awaited(draft: Draft, target: int) -> bool:
    """The target was chosen while it was Up, and a cluster service that has just started has not
    heard it yet: a moment later it has, or knows that the node is lost."""
    node = draft.world.nodes.get(target)
    return node is not None and node.state is NodeState.JOINING


def _final_target(draft: Draft, transit: Transit) -> int:
    """The target as it was chosen, or another where it cannot take the group any more."""
    owner = draft.group.owner
    if transit.target == owner or not placement.refusal(draft.group, transit.target, draft.world):
        return transit.target
    why = placement.refusal(draft.group, transit.target, draft.world)
    choice = placement.best(draft.group, draft.world, transit.target)
    other = choice[0] if choice else owner
    assert other is not None  # a group that is stopping has an owner
    text = f"{draft.group.name} goes to {draft.node_name(other)} instead: {why}"
    draft.event(GROUP_MOVING, text, Severity.WARNING, node=other)
    return other


def transfer(draft: Draft, target: int) -> None:
    """Give the group to `target`: a new epoch, and everything is brought online there."""
    group = draft.group
    transit = group.transit
    assert transit is not None
    source = group.owner
    draft.change(
        transit=replace(transit, target=target, stage=Stage.STARTING),
        resources=tuple(
            replace(
                r,
                state=ResourceState.OFFLINE,
                running=False,
                failure="",
                failures=() if target != source else r.failures,
                restart_at=None,
                retry_at=None,
                attempt=r.attempt + 1,
            )
            for r in group.resources
        ),
        given_up=False,
        owner=target,
    )
    if target != source:
        draft.change(epoch=draft.group.epoch + 1, applied_serial=0, wanted=(), sent_at=None)
        if source is not None and not getattr(draft.world.nodes.get(source), "lost", True):
            draft.release(source)


def _arrived(draft: Draft, transit: Transit) -> None:
    """Everything that can be online on the new owner is: the transit is over."""
    group = draft.group
    up = effective(group, draft.may_start)
    if not draft.owner_is_known or not settled(group, up):
        return
    where = draft.node_name(group.owner)
    if waiting := draft.held_back():
        names = ", ".join(r.name for r in waiting)
        text = f"{where} was paused before {names} came online there."
        draft.event(GROUP_NOT_ONLINE, text, Severity.ERROR, node=group.owner)
        draft.end(transit, "failed", text)
        return
    took = f"{draft.now - transit.started:.1f} s"
    broken = blocked_by(group, up)
    if broken:
        reasons = "; ".join(f"{r.name}: {draft.cause_of(r)}" for r in broken)
        text = f"{group.name} is on {where}, but not completely online. {reasons}"
        draft.event(GROUP_NOT_ONLINE, text, Severity.ERROR, node=group.owner)
        draft.end(transit, "failed", text)
    elif not group.persistent_online:
        draft.end(transit, "done", f"{group.name} is on {where}, and stays offline as it was.")
    else:
        text = f"{group.name} is online on {where} after {took}."
        draft.event(GROUP_ONLINE, text, node=group.owner)
        draft.end(transit, "done", text)
