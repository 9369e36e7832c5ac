"""The decision about one group: what is wanted and what is known give what to do next.

`reconcile` looks at the whole state, not at the message that woke it: a lost, doubled or
late message changes nothing in the end. It is pure; the time comes in. Each step below
answers one question and leaves its answer in the draft.
"""

from __future__ import annotations

from dataclasses import replace

from monitoring.core import failures, simulated, transits
from monitoring.core.draft import Draft
from monitoring.core.model import Decision, GroupView, World
from monitoring.core.states import NodeState, ResourceState, Severity, TransitKind
from monitoring.core.wanted import blocked_by, effective, settled

NO_AUTO_START = 0
"""Priority of a group that only an operator starts (semantics 3.3)."""


def reconcile(group: GroupView, world: World, now: float) -> Decision:
    """Decide about `group` (the rules of semantics 4, the choices of section 10)."""
    draft = Draft(group, world, now)
    if draft.on_hold:
        _watch(draft)
        return draft.decision()
    _place(draft)
    _owner_lost(draft)
    simulated.advance(draft)
    failures.handle(draft)
    failures.recovered(draft)
    failures.timers(draft)
    transits.advance(draft)
    _failback(draft)
    _restart_of_resource(draft)
    _operation(draft)
    _assign(draft)
    return draft.decision()


def settle_in_place(group: GroupView, world: World, now: float) -> Decision:
    """The owner began a new life while nobody watched: all of the group is down, and stays its own.

    The next decision starts it again. Without this a restart of the whole cluster would
    look like the loss of every node.
    """
    draft = Draft(group, world, now)
    _forget(draft)
    return draft.decision()


def _watch(draft: Draft) -> None:
    """Maintenance: what happens is noted and told, and nothing is done about it.

    The owner is told to watch only. Failures wait until maintenance ends; so does the loss of the
    owner, of which nothing runs any more.
    """
    if draft.owner_is_lost:
        if _holds_anything(draft.group):
            _forget(draft)
            text = f"{draft.group.name} is offline: {draft.node_name(draft.group.owner)} went down. "
            draft.event(0, text + "It is in maintenance, and stays where it is.", Severity.WARNING)
        return
    simulated.advance(draft)
    if draft.group.wanted and not draft.group.watch_only:
        draft.change(watch_only=True, serial=draft.group.serial + 1, sent_at=None)
    if draft.group.wanted:
        _deliver(draft)


def _holds_anything(group: GroupView) -> bool:
    """True where the group's rows speak of something that its owner runs, or was told."""
    return bool(group.wanted) or any(not r.state.is_down or r.running or r.failure for r in group.resources)


def _place(draft: Draft) -> None:
    """A group without an owner gets one as soon as there is a node for it."""
    if draft.group.owner is None and draft.group.transit is None:
        transits.place(draft)


def _owner_lost(draft: Draft) -> None:
    """The owner's lease is surely over: nothing of it runs, and another node may start the group."""
    group = draft.group
    owner = draft.world.nodes.get(group.owner) if group.owner is not None else None
    if owner is None or not owner.lost:
        return
    if draft.now < owner.awaited_until:
        draft.wake(owner.awaited_until)
        return
    was_up = any(not r.state.is_down for r in group.resources)
    if _holds_anything(group):
        _forget(draft)
    transits.after_node_loss(draft, owner, was_up)


def _forget(draft: Draft) -> None:
    """Everything that the lost owner ran is down, and what it was told is void."""
    group = draft.group
    if group.priority == NO_AUTO_START and group.persistent_online:
        draft.change(persistent_online=False)
        draft.event(
            0, f"{group.name} is not started again by itself: its priority says so.", Severity.WARNING
        )
    draft.change(
        resources=tuple(
            replace(r, state=ResourceState.OFFLINE, running=False, failure="", restart_at=None)
            for r in group.resources
        ),
        epoch=group.epoch + 1,
        applied_serial=0,
        sent_at=None,
        wanted=(),
        watch_only=False,
    )


def _failback(draft: Draft) -> None:
    """Return to the preferred owner that came back, within the window, as a normal move."""
    group = draft.group
    if group.failback_to is None or group.transit or group.operation:
        return
    node = group.failback_to
    if not group.auto_failback or group.owner == node or node not in group.preferred:
        draft.change(failback_to=None)
        return
    if any(r.state.is_pending or r.restart_at is not None for r in group.resources):
        return
    if not _in_window(group.failback_window, draft.world.hour):
        draft.wake(draft.now + draft.world.seconds_to_next_hour)
        return
    draft.change(failback_to=None)
    transits.begin_if_possible(
        draft, TransitKind.FAILBACK, node, f"{draft.node_name(node)}, a more preferred owner, is up again"
    )


def _in_window(window: tuple[int, int] | None, hour: int) -> bool:
    if window is None:
        return True
    start, end = window
    return start <= hour < end if start <= end else hour >= start or hour < end


def _restart_of_resource(draft: Draft) -> None:
    """First half of an operator's restart of one resource is done: bring it up again."""
    op = draft.group.operation
    if op is None or op.kind != "resource-restart" or op.stopped or op.resource is None:
        return
    resource = draft.group.by_id.get(op.resource)
    if resource and draft.acknowledged and resource.state.is_down and not resource.running:
        draft.change(operation=replace(op, stopped=True))
        draft.resource(replace(resource, attempt=resource.attempt + 1))


def _operation(draft: Draft) -> None:
    """Is the operator's intent carried out? Then say so; it is no longer under way."""
    group, op = draft.group, draft.group.operation
    if op is None or group.transit is not None:
        return
    if op.kind in ("offline", "resource-offline") and draft.owner_is_lost:
        draft.outcome(op.operation, "done", f"Nothing of {group.name} runs: its node is down.")
        draft.change(operation=None)
        return
    if not draft.acknowledged or draft.wants_change():
        return
    up = effective(group, draft.may_start)
    if not draft.owner_is_known or not settled(group, up):
        return
    target = group.by_id.get(op.resource) if op.resource else None
    what = target.name if target else group.name
    broken = blocked_by(group, up)
    held_back = [r for r in draft.held_back() if target is None or r.id == target.id]
    if target is not None and op.kind != "resource-offline":
        broken = [r for r in broken if r.id == target.id] or (broken if not _is_up(target) else [])
    where = draft.node_name(group.owner)
    if op.kind in ("offline", "resource-offline"):
        draft.outcome(op.operation, "done", f"{what} is offline.")
    elif held_back:
        names = ", ".join(r.name for r in held_back)
        draft.outcome(op.operation, "failed", f"{where} was paused before {names} came online there.")
    elif broken:
        reasons = "; ".join(f"{r.name}: {draft.cause_of(r)}" for r in broken)
        draft.outcome(op.operation, "failed", f"{what} did not come online on {where}. {reasons}")
    elif target is not None and not _is_up(target):
        draft.outcome(
            op.operation, "failed", f"{what} is not online: something that it depends on is stopped."
        )
    else:
        draft.outcome(op.operation, "done", f"{what} is online on {where}.")
    draft.change(operation=None)


def _is_up(resource: object) -> bool:
    return getattr(resource, "state", None) is ResourceState.ONLINE


def _assign(draft: Draft) -> None:
    """Bring the owner's assignment up to date; send it again where it was not acknowledged."""
    group = draft.group
    owner = draft.world.nodes.get(group.owner) if group.owner is not None else None
    if owner is None or owner.lost:
        return
    if draft.wants_change():
        draft.change(wanted=draft.wanted(), watch_only=False, serial=group.serial + 1, sent_at=None)
    _deliver(draft)


def _deliver(draft: Draft) -> None:
    """Send the newest assignment until its owner has acknowledged it."""
    group = draft.group
    owner = draft.world.nodes.get(group.owner) if group.owner is not None else None
    if owner is None:
        return
    reachable = owner.state in (NodeState.UP, NodeState.PAUSED)
    if group.applied_serial == group.serial or not reachable:
        return
    due = draft.now if group.sent_at is None else group.sent_at + draft.world.resend_after
    if due <= draft.now:
        draft.send()
        due = draft.now + draft.world.resend_after
    draft.wake(due)
