"""A node that does at once what its assignment says, but for resources that are said to be broken.

Questions of the kind "what if" are answered with it: the decisions are the real ones, and this
stands for the agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from monitoring.core.model import GroupView, ResourceView
from monitoring.core.state import in_order, satisfied
from monitoring.core.states import ResourceState


@dataclass
class Obedient:
    """The nodes of a group. `broken`: resources that come online nowhere, each with the cause."""

    broken: Mapping[int, str]
    _tried: dict[int, tuple[int | None, int]] = field(default_factory=dict)
    """The owner and the attempt with which a resource has failed."""

    def takes_over(self, group: GroupView) -> GroupView:
        """The group as its nodes have it when the question is asked: what is broken fails now."""
        for resource in group.resources:
            if resource.state is ResourceState.FAILED:
                self._tried[resource.id] = (group.owner, resource.attempt)
        rows = tuple(
            self._fail(group, r, r.attempt)
            if r.id in self.broken and (r.running or r.state is ResourceState.ONLINE)
            else r
            for r in group.resources
        )
        return replace(group, resources=rows)

    def obey(self, group: GroupView) -> GroupView:
        """The group after its owner has carried out the newest assignment, and has said so."""
        wanted = {rid: attempt for rid, want, attempt in group.wanted if want}
        rows = group.by_id
        up: set[int] = set()
        after: dict[int, ResourceView] = {}
        for one in in_order(group.resources):
            resource = rows[one.id]
            ready = resource.id in wanted and satisfied(resource.requires, up)
            made = self._start(group, resource, wanted[resource.id]) if ready else _stop(resource)
            after[made.id] = made
            if made.state is ResourceState.ONLINE:
                up.add(made.id)
        made_rows = tuple(after[r.id] for r in group.resources)
        return replace(group, resources=made_rows, applied_serial=group.serial)

    def _start(self, group: GroupView, resource: ResourceView, attempt: int) -> ResourceView:
        if resource.state is ResourceState.ONLINE:
            return replace(resource, running=True)
        if self._tried.get(resource.id) == (group.owner, attempt):
            return replace(resource, state=ResourceState.FAILED, running=False)
        if resource.id in self.broken:
            return self._fail(group, resource, attempt)
        return replace(resource, state=ResourceState.ONLINE, running=True, failure="")

    def _fail(self, group: GroupView, resource: ResourceView, attempt: int) -> ResourceView:
        self._tried[resource.id] = (group.owner, attempt)
        cause = self.broken[resource.id]
        return replace(resource, state=ResourceState.FAILED, running=False, failure=cause)


def _stop(resource: ResourceView) -> ResourceView:
    state = resource.state if resource.state.is_down else ResourceState.OFFLINE
    return replace(resource, state=state, running=False)
