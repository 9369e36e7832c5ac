"""A decision in the making: the group as it will be, and what will have to be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitoring.core.model import (
    Decision,
    Event,
    GroupView,
    Outcome,
    ResourceView,
    Transit,
    TransitEnd,
    World,
)
from monitoring.core.states import NodeState, Severity
from monitoring.core.wanted import effective


class Draft:
    """Collects the changes that the steps of a decision make, in order."""

    def __init__(self, group: GroupView, world: World, now: float) -> None:
        self.group = group
        self.world = world
        self.now = now
        self._events: list[Event] = []
        self._outcomes: list[Outcome] = []
        self._ended: list[TransitEnd] = []
        self._release: list[int] = []
        self._fail: list[tuple[int, int]] = []
        self._send = False
        self._wake_at: float | None = None

    # The group as it will be

    def change(self, **fields: Any) -> None:
        """Set fields of the group."""
        self.group = replace(self.group, **fields)

    def resource(self, changed: ResourceView) -> None:
        """Replace one resource of the group."""
        self.group = self.group.with_resource(changed)

    # Questions

    @property
    def may_start(self) -> bool:
        """True where something may come online on the owner: it is up and not paused."""
        owner = self.world.nodes.get(self.group.owner) if self.group.owner is not None else None
        return owner is not None and owner.state is NodeState.UP and not owner.lost

    @property
    def acknowledged(self) -> bool:
        """True where the owner has applied the newest assignment and reported the result."""
        return self.group.serial > 0 and self.group.applied_serial == self.group.serial

    @property
    def owner_is_known(self) -> bool:
        """True where what the owner reported can be judged: it is up or paused, not joining or down."""
        owner = self.world.nodes.get(self.group.owner) if self.group.owner is not None else None
        return owner is not None and owner.state in (NodeState.UP, NodeState.PAUSED) and not owner.lost

    @property
    def owner_is_lost(self) -> bool:
        """True where nothing of the owner runs any more."""
        owner = self.world.nodes.get(self.group.owner) if self.group.owner is not None else None
        return owner is not None and owner.lost

    def held_back(self) -> list[ResourceView]:
        """What should be online, and may not come online since the owner is paused."""
        up = effective(self.group, self.may_start)
        return [r for r in self.group.resources if r.id in effective(self.group, may_start=True) - up]

    def wanted(self) -> tuple[tuple[int, bool, int], ...]:
        """The content of the assignment that fits the group as it is in this draft."""
        up = effective(self.group, self.may_start)
        return tuple((r.id, r.id in up, r.attempt) for r in self.group.resources)

    def wants_change(self) -> bool:
        """True where the newest assignment no longer says what is wanted."""
        return self.group.watch_only or self.group.wanted != self.wanted()

    @property
    def on_hold(self) -> bool:
        """True in maintenance, once what was under way when it began has ended."""
        group = self.group
        return (
            (group.maintenance or self.world.maintenance)
            and group.transit is None
            and group.operation is None
        )

    def node_name(self, node: int | None) -> str:
        """The name of a node, "no node" for none."""
        view = self.world.nodes.get(node) if node is not None else None
        return view.name if view else "no node"

    @staticmethod
    def cause_of(resource: ResourceView) -> str:
        """Why a resource failed, as its node said."""
        return resource.last_failure or "it failed"

    # What will be told

    def event(
        self,
        code: int,
        text: str,
        severity: Severity = Severity.INFORMATION,
        resource: int | None = None,
        node: int | None = None,
    ) -> None:
        """Add a line to the history."""
        self._events.append(Event(code, text, severity, resource, node))

    def outcome(self, operation: int | None, state: str, text: str) -> None:
        """End an operation."""
        if operation is not None:
            self._outcomes.append(Outcome(operation, state, text))

    def end(self, transit: Transit, state: str, text: str) -> None:
        """End a transit, and the operation that asked for it."""
        self._ended.append(TransitEnd(transit, state, text))
        self.outcome(transit.operation, "failed" if state == "continued" else state, text)
        if self.group.transit == transit:
            self.change(transit=None)

    def send(self) -> None:
        """Send the assignment to the owner."""
        self.change(sent_at=self.now)
        self._send = True

    def release(self, node: int) -> None:
        """Tell a node that the group is no longer its own."""
        self._release.append(node)

    def fail(self, resource: int, operation: int) -> None:
        """Have a failure of a resource simulated, once for this operation."""
        self._fail.append((resource, operation))

    def wake(self, at: float) -> None:
        """Look again at that time, if nothing happens before."""
        self._wake_at = at if self._wake_at is None else min(at, self._wake_at)

    def decision(self) -> Decision:
        """The finished decision."""
        return Decision(
            self.group,
            tuple(self._events),
            tuple(self._outcomes),
            tuple(self._ended),
            self._send,
            tuple(self._release),
            tuple(self._fail),
            self._wake_at,
        )
