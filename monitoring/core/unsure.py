"""A group whose owner is down and not confirmed off: nobody knows what of it runs."""

from __future__ import annotations

from dataclasses import replace

from monitoring.core.draft import Draft
from monitoring.core.model import Decision, GroupView, World
from monitoring.core.states import ResourceState


def unsure(group: GroupView, world: World, now: float) -> Decision:
    """What was online or on its way is Unknown from now on. The group stays its owner's, and waits."""
    draft = Draft(group, world, now)
    draft.change(
        resources=tuple(
            r if r.state.is_down else replace(r, state=ResourceState.UNKNOWN) for r in group.resources
        )
    )
    return draft.decision()
