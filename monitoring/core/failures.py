"""What follows from the failure of a resource: restart, failover, or giving up (semantics 4.2)."""

from __future__ import annotations

from dataclasses import replace

from monitoring.core import transits
from monitoring.core.draft import Draft
from monitoring.core.model import NEVER, GroupView, ResourceView, World
from monitoring.core.states import ResourceState, RestartAction, Severity
from monitoring.core.wanted import effective

RESOURCE_FAILED = 1069
OUT_OF_RESTARTS = 1638
GROUP_GIVEN_UP = 1254
GROUP_NOT_ONLINE = 1205


def handle(draft: Draft) -> None:
    """Decide about each failure that was reported and not yet decided about."""
    for resource in draft.group.resources:
        if resource.failure:
            _failed(draft, resource.id)


def _failed(draft: Draft, rid: int) -> None:
    group, resource = draft.group, draft.group.by_id[rid]
    cause = resource.failure
    wanted = rid in effective(group, may_start=True)
    since = draft.now - resource.restart_period_ms / 1000
    recent = (*(t for t in resource.failures if t > since), draft.now)
    resource = replace(resource, failure="", last_failure=cause, failures=recent, restart_at=None)
    draft.resource(resource)
    where = draft.node_name(group.owner)
    draft.event(RESOURCE_FAILED, f"{resource.name} failed on {where}: {cause}", Severity.ERROR, rid)
    if wanted:
        _apply_policy(draft, resource, cause)


def _apply_policy(draft: Draft, resource: ResourceView, cause: str) -> None:
    if resource.restart_action is RestartAction.DONT_RESTART:
        draft.event(
            0, f"{resource.name} stays failed: its RestartAction is not to restart.", resource=resource.id
        )
    elif resource.retry_at is not None:
        _leave_failed(draft, resource)
    elif draft.may_start and len(resource.failures) <= resource.restart_threshold:
        count = f"restart {len(resource.failures)} of {resource.restart_threshold}"
        delay = resource.restart_delay_ms / 1000
        draft.resource(replace(resource, restart_at=draft.now + delay))
        draft.event(0, f"{resource.name} is restarted in {delay:g} s ({count}).", resource=resource.id)
    elif resource.restart_action is RestartAction.RESTART_NO_NOTIFY:
        text = f"{resource.name} is out of restarts and stays failed; its group is not moved."
        draft.event(OUT_OF_RESTARTS, text, Severity.ERROR, resource.id)
        _leave_failed(draft, resource)
    else:
        _fail_over(draft, resource, cause)


def _leave_failed(draft: Draft, resource: ResourceView) -> None:
    """One more attempt each RetryPeriodOnFailure, unless the property says never."""
    if resource.retry_period_ms == NEVER:
        draft.resource(replace(resource, retry_at=None))
        return
    at = draft.now + resource.retry_period_ms / 1000
    draft.resource(replace(resource, retry_at=at))
    minutes = resource.retry_period_ms / 60_000
    draft.event(0, f"{resource.name} is tried again in {minutes:g} min.", resource=resource.id)


def failovers_allowed(group: GroupView, world: World) -> int:
    """FailoverThreshold, with its default worked out: the number of nodes less one."""
    if group.failover_threshold != NEVER:
        return group.failover_threshold
    return max(1, len(world.nodes) - 1)


def _fail_over(draft: Draft, resource: ResourceView, cause: str) -> None:
    group = draft.group
    since = draft.now - group.failover_period_hours * 3600
    recent = tuple(t for t in group.failovers if t > since)
    allowed = failovers_allowed(group, draft.world)
    if len(recent) >= allowed:
        spent = (
            f"{allowed} failover{'s' if allowed != 1 else ''} in {group.failover_period_hours} h are used up"
        )
        _give_up(draft, resource, f"{group.name} is left failed on {draft.node_name(group.owner)}: {spent}.")
        return
    tries = len(resource.failures)
    times = f"{tries} times" if tries > 1 else "once"
    text = f"{resource.name} failed {times} on {draft.node_name(group.owner)}: {cause}"
    draft.change(failovers=recent)
    if transits.fail_over(draft, text):
        draft.change(failovers=(*recent, draft.now))
    else:
        name = draft.node_name(group.owner)
        _give_up(
            draft,
            resource,
            f"{group.name} stays on {name} with {resource.name} failed: no other node can take it.",
        )


def _give_up(draft: Draft, resource: ResourceView, text: str) -> None:
    """The group cannot be hosted: what can stay online stays, the rest waits for an operator."""
    draft.event(GROUP_GIVEN_UP, text, Severity.SEVERE)
    draft.event(GROUP_NOT_ONLINE, f"{draft.group.name} is not completely online.", Severity.ERROR)
    draft.change(given_up=True)
    _leave_failed(draft, resource)


def recovered(draft: Draft) -> None:
    """What came online again is no longer given up."""
    group = draft.group
    for resource in group.resources:
        if resource.state is ResourceState.ONLINE and (
            resource.retry_at is not None or resource.restart_at is not None
        ):
            draft.resource(replace(resource, retry_at=None, restart_at=None))
    if group.given_up and not any(r.state is ResourceState.FAILED for r in draft.group.resources):
        draft.change(given_up=False)


def timers(draft: Draft) -> None:
    """Restarts and retries whose time has come; the others wake the group when theirs does."""
    for resource in draft.group.resources:
        if resource.state is not ResourceState.FAILED:
            continue
        if resource.restart_at is not None:
            _restart(draft, resource)
        elif resource.retry_at is not None:
            _retry(draft, resource)


def _restart(draft: Draft, resource: ResourceView) -> None:
    if resource.restart_at is not None and resource.restart_at > draft.now:
        draft.wake(resource.restart_at)
        return
    if resource.id not in effective(draft.group, may_start=True):
        draft.resource(replace(resource, restart_at=None))
    elif draft.may_start:
        draft.resource(replace(resource, restart_at=None, attempt=resource.attempt + 1))
    else:  # paused meanwhile: it may not come online here, so failover is the only way (4.7)
        draft.resource(replace(resource, restart_at=None))
        if resource.restart_action is RestartAction.RESTART_NOTIFY:
            _fail_over(draft, draft.group.by_id[resource.id], resource.last_failure)


def _retry(draft: Draft, resource: ResourceView) -> None:
    if resource.retry_at is not None and resource.retry_at > draft.now:
        draft.wake(resource.retry_at)
        return
    at = draft.now + resource.retry_period_ms / 1000
    draft.wake(at)
    if not draft.may_start or resource.id not in effective(draft.group, may_start=True):
        draft.resource(replace(resource, retry_at=at))
        return
    draft.resource(replace(resource, retry_at=at, attempt=resource.attempt + 1))
    draft.event(0, f"{resource.name} is tried once more after RetryPeriodOnFailure.", resource=resource.id)
