"""What a group is doing right now, in a sentence an operator would say.

Pure, so that pages, pushed fragments and the command line all say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.core.states import ResourceState, Stage, TransitKind


@dataclass(frozen=True, slots=True)
class Doing:
    """`headline` is what the group as a whole is at, `detail` the step; each may be empty.

    `done` of `total` resources have finished the present stage.
    """

    headline: str = ""
    detail: str = ""
    done: int = 0
    total: int = 0

    def __bool__(self) -> bool:
        return bool(self.headline or self.detail)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.headline, self.detail) if part)


@dataclass(frozen=True, slots=True)
class Step:
    """What of a resource matters here: its name, state, whether it shall be online."""

    name: str
    state: ResourceState
    wanted: bool
    restart_at: float | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """A group's transit by the names of its nodes; `stage` is "" where there is none."""

    kind: str = ""
    stage: str = ""
    target: str = ""


_HEADLINES = {
    TransitKind.MOVE: "Moving to {target}",
    TransitKind.FAILOVER: "Failing over to {target}",
    TransitKind.FAILBACK: "Failing back to {target}",
    TransitKind.DRAIN: "Draining to {target}",
    TransitKind.RESTART: "Restarting",
}


def doing(journey: Journey, steps: Sequence[Step]) -> Doing:
    """The sentence for a group, empty where it rests."""
    stopping = [s.name for s in steps if s.state is ResourceState.OFFLINE_PENDING]
    starting = [s.name for s in steps if s.state is ResourceState.ONLINE_PENDING]
    headline = _HEADLINES[TransitKind(journey.kind)].format(target=journey.target) if journey.kind else ""
    if journey.stage == Stage.STOPPING and not stopping:
        return Doing(headline, "waiting until everything is offline", *_count(steps, down=True))
    if stopping and (journey.stage == Stage.STOPPING or not starting):
        done, total = _count(steps, down=True)
        return Doing(headline, f"taking {_list(stopping)} offline, {done} of {total}", done, total)
    if starting:
        done, total = _count(steps, down=False)
        return Doing(headline, f"bringing {_list(starting)} online, {done} of {total}", done, total)
    if journey.stage == Stage.STARTING:
        return Doing(headline, "bringing its resources online", *_count(steps, down=False))
    waiting = [s.name for s in steps if s.restart_at is not None and s.wanted]
    if waiting:
        return Doing(headline, f"about to restart {_list(waiting)}", *_count(steps, down=False))
    return Doing(headline)


def _count(steps: Sequence[Step], down: bool) -> tuple[int, int]:
    """How many are where they shall be, and of how many."""
    if down:
        return sum(s.state.is_down for s in steps), len(steps)
    wanted = [s for s in steps if s.wanted]
    return sum(s.state is ResourceState.ONLINE for s in wanted), len(wanted)


def _list(names: Sequence[str]) -> str:
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"
