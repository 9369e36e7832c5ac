"""Which device next: levels in order, all devices of a level, delays, retries. Pure; the time comes in.

A round goes through the levels. All devices of a level have to confirm; when one of them has
failed for good, the next level is begun from its start. What was tried so far stands in the
database, so that another process goes on where one was killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

RETRY_PAUSE = 1.0
"""Seconds before a device is tried again."""
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class Step:
    """One device of one level. `delay` seconds pass before its first try; `retries` follow a failed one."""

    id: int
    level: int
    device: str
    delay: float = 0.0
    timeout: float = 60.0
    retries: int = 1


@dataclass(frozen=True, slots=True)
class Tried:
    """A try in this round: which step, whether it confirmed, and when it ended."""

    step: int
    ok: bool
    at: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """Use this device, as try number `attempt`, not before `at`."""

    step: Step
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class Confirmed:
    """All devices of this level confirmed: the node is off."""

    level: int
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """No level is left. Nothing is known about the node."""


Move = Try | Confirmed | Exhausted


def next_move(steps: Sequence[Step], tried: Sequence[Tried], started: float) -> Move:
    """What follows from what was tried since the round `started`."""
    begun = started
    ordered = sorted(steps, key=lambda step: (step.level, step.id))
    for level, members in groupby(ordered, key=lambda step: step.level):
        devices = []
        for step in members:
            mine = [one for one in tried if one.step == step.id]
            failures = [one for one in mine if not one.ok]
            done = next((one for one in mine if one.ok), None)
            if done is not None:
                begun = max(begun, done.at)
                devices.append(step.device)
                continue
            if len(failures) > step.retries:
                begun = max(begun, failures[-1].at)
                break
            after = failures[-1].at + RETRY_PAUSE if failures else begun + step.delay
            return Try(step, len(failures) + 1, after)
        else:
            return Confirmed(level, tuple(devices))
    return Exhausted()


def pause_before_round(rounds: int) -> float:
    """Seconds until all levels are tried again, after so many rounds have failed."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(rounds - 1, 0), 16)))
