"""Simulated failures: asked of the node again and again until it has carried them out, or cannot any more."""

from __future__ import annotations

from dataclasses import replace

from monitoring.core.draft import Draft
from monitoring.core.model import ResourceView
from monitoring.core.states import ResourceState


def ask(draft: Draft, resource: ResourceView, operation: int, by: str) -> None:
    """A failure of the resource is to be simulated; an older one that was not carried out gives way."""
    if resource.simulate:
        text = f"Superseded by another simulated failure, asked for by {by}."
        draft.outcome(resource.simulate, "superseded", text)
    draft.resource(replace(resource, simulate=operation, simulate_at=None))
    advance(draft)


def advance(draft: Draft) -> None:
    """See to all simulated failures of the group that its node has not carried out yet."""
    for resource in draft.group.resources:
        if resource.simulate:
            _see_to(draft, resource)


def _see_to(draft: Draft, resource: ResourceView) -> None:
    where = draft.node_name(draft.group.owner)
    if resource.simulated >= resource.simulate:
        _over(draft, resource, "done", f"{where} let {resource.name} fail.")
    elif resource.state is not ResourceState.ONLINE and not resource.state.is_pending:
        text = f"{resource.name} was {resource.state.label} before {where} could let it fail."
        _over(draft, resource, "failed", text)
    elif draft.owner_is_known:
        sent = resource.simulate_at
        due = draft.now if sent is None else sent + draft.world.resend_after
        if due <= draft.now:
            draft.fail(resource.id, resource.simulate)
            draft.resource(replace(resource, simulate_at=draft.now))
            due = draft.now + draft.world.resend_after
        draft.wake(due)


def _over(draft: Draft, resource: ResourceView, state: str, text: str) -> None:
    draft.outcome(resource.simulate, state, text)
    draft.resource(replace(resource, simulate=0, simulate_at=None))
