"""What follows from the states of resources: the group's state, what is wanted, what it is doing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from monitoring.core.states import GroupState, ResourceState


class HasState(Protocol):
    """What the state of a group is computed from; ResourceView fits, and so may others."""

    @property
    def id(self) -> int: ...
    @property
    def state(self) -> ResourceState: ...
    @property
    def persistent_online(self) -> bool: ...
    @property
    def requires(self) -> tuple[tuple[int, ...], ...]: ...


def group_state(resources: Sequence[HasState]) -> GroupState:
    """The state of a group by the first rule that fits (semantics 2.2, and 10.6).

    Resources that an operator stopped do not count, unless they failed or are on their way.
    """
    states = {r.state for r in resources if r.persistent_online}
    if any(r.state is ResourceState.UNKNOWN for r in resources):
        return GroupState.UNKNOWN
    if ResourceState.FAILED in states:
        return GroupState.FAILED
    if any(r.state.is_pending for r in resources):
        return GroupState.PENDING
    top = top_level([r for r in resources if r.persistent_online])
    online = sum(r.state is ResourceState.ONLINE for r in top)
    if 0 < online < len(top):
        return GroupState.PARTIAL_ONLINE
    return GroupState.ONLINE if top and online else GroupState.OFFLINE


def top_level(resources: Sequence[HasState]) -> list[HasState]:
    """Those on which no other of them depends."""
    needed = {provider for r in resources for clause in r.requires for provider in clause}
    return [r for r in resources if r.id not in needed]


def satisfied(requires: Iterable[Iterable[int]], up: Collection[int]) -> bool:
    """True where every clause of a dependency expression has a member in `up`."""
    return all(any(provider in up for provider in clause) for clause in requires)


def closure(wanted: Mapping[int, bool], requires: Mapping[int, tuple[tuple[int, ...], ...]]) -> set[int]:
    """Ids that are wanted and whose providers are, down to the last."""
    up = {rid for rid, want in wanted.items() if want}
    while dropped := {rid for rid in up if not satisfied(requires[rid], up)}:
        up -= dropped
    return up


def in_order(resources: Sequence[HasState]) -> list[HasState]:
    """The resources with providers before what depends on them."""
    left = {r.id: r for r in resources}
    ordered: list[HasState] = []
    while left:
        ready = [r for r in left.values() if not any(p in left for c in r.requires for p in c)]
        for r in ready or list(left.values()):  # a circle cannot be saved; show it rather than hang
            ordered.append(r)
            del left[r.id]
    return ordered


def providers_of(rid: int, requires: Mapping[int, tuple[tuple[int, ...], ...]]) -> set[int]:
    """Everything that a resource depends on, directly or through others."""
    found: set[int] = set()
    todo = [rid]
    while todo:
        for clause in requires[todo.pop()]:
            for provider in clause:
                if provider not in found:
                    found.add(provider)
                    todo.append(provider)
    return found
