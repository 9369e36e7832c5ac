"""Which resource of a group shall do what now: a pure function of what is wanted and what is known.

Providers come online first and go offline last; what does not depend on each other moves at
the same time. Called again after every change, so that it needs no memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from monitoring.core.states import ResourceState

UP = frozenset({ResourceState.ONLINE, ResourceState.ONLINE_PENDING})


class Action(Enum):
    """What one resource shall do now."""

    ONLINE = "online"
    OFFLINE = "offline"
    CANCEL = "cancel"
    """Break off an Online in progress: Terminate, then Offline."""
    CLEAR = "clear"
    """Failed, nothing runs, not wanted any more: Offline, without a call."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a resource. `requires` is an AND of OR sets of ids of the group."""

    online: bool
    attempt: int
    requires: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a resource is doing. `running`: something of it may run, whatever the state.

    `attempt` is the attempt that a Failed resource has used up. `outdated`: it came online
    under an earlier ownership and must go down before it may come online in this one. `unsure`:
    an earlier agent brought it online, and it is just being taken over: it stays as it is until
    that is done, and nothing comes online on its account.
    """

    state: ResourceState
    running: bool
    attempt: int = 0
    outdated: bool = False
    unsure: bool = False

    @property
    def is_down(self) -> bool:
        return self.state.is_down and not self.running


def plan(wishes: Mapping[int, Wish], known: Mapping[int, Known]) -> dict[int, Action]:
    """The actions that can start now; a resource without one waits, or is as it should be."""
    staying = _staying(wishes, known)
    actions = {}
    for resource, wish in wishes.items():
        action = _action(resource, wish, wishes, known, staying)
        if action is not None:
            actions[resource] = action
    return actions


def _staying(wishes: Mapping[int, Wish], known: Mapping[int, Known]) -> set[int]:
    """The resources that are up and may stay so: wanted, and held by providers that stay online."""
    staying = {
        r for r, wish in wishes.items() if wish.online and known[r].state in UP and not known[r].outdated
    }
    while True:
        unheld = {r for r in staying if not _held(wishes[r], known, staying)}
        if not unheld:
            return staying
        staying -= unheld


def _held(wish: Wish, known: Mapping[int, Known], staying: set[int]) -> bool:
    """True where each OR set has a provider that is Online and stays so."""
    return all(
        any(p in staying and known[p].state is ResourceState.ONLINE for p in clause)
        for clause in wish.requires
    )


def _action(
    resource: int, wish: Wish, wishes: Mapping[int, Wish], known: Mapping[int, Known], staying: set[int]
) -> Action | None:
    mine = known[resource]
    if mine.unsure:
        return None
    if mine.state is ResourceState.ONLINE_PENDING:
        return None if resource in staying else Action.CANCEL
    if mine.state is ResourceState.ONLINE:
        free = resource not in staying and not _needed(resource, wishes, known, staying)
        return Action.OFFLINE if free else None
    if not mine.is_down:
        return None  # on its way down, or Failed with something still running
    if not wish.online:
        return Action.CLEAR if mine.state is not ResourceState.OFFLINE else None
    if mine.state is ResourceState.FAILED and wish.attempt <= mine.attempt:
        return None
    sure = {r for r in staying if not known[r].unsure}
    return Action.ONLINE if _held(wish, known, sure) else None


def _needed(provider: int, wishes: Mapping[int, Wish], known: Mapping[int, Known], staying: set[int]) -> bool:
    """True while something that is not down has no other provider to hold it."""
    return any(
        not known[dependent].is_down
        and any(
            provider in clause and not _others(provider, clause, known, staying) for clause in wish.requires
        )
        for dependent, wish in wishes.items()
        if dependent != provider
    )


def _others(provider: int, clause: tuple[int, ...], known: Mapping[int, Known], staying: set[int]) -> bool:
    """True where the OR set has another provider that is Online and stays so."""
    return any(p != provider and p in staying and known[p].state is ResourceState.ONLINE for p in clause)
