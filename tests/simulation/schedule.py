"""What goes wrong in the world of a seed, and where a failing schedule can do with less."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.world import Step

CLICKS = (
    *("move", "move", "move", "offline", "online", "online", "restart"),
    *("resource-offline", "resource-online", "resource-restart", "resource-fail"),
    *("pause", "drain", "resume", "resume"),
)


def of_seed(seed: int) -> list[Step]:
    """The schedule of a seed: up to 30 simulated seconds of faults and clicks."""
    rng = random.Random(seed * 7919 + 1)
    steps: list[Step] = []
    at = 2.0
    for _ in range(rng.randint(6, 22)):
        at += rng.choice((rng.uniform(0.0, 0.1), rng.uniform(0.0, 1.0), rng.uniform(0.5, 3.0)))
        steps.extend(_fault(rng, round(at, 3)))
    return sorted(steps, key=lambda step: step.at)


def _fault(rng: random.Random, at: float) -> list[Step]:
    name = f"NODE{rng.randint(1, 2)}"
    end = round(at + rng.choice((0.3, 1.5, 3.2, 5.0)), 3)
    kind = rng.randint(0, 15)
    if kind <= 5:
        return [
            Step(at, "click", (rng.choice(CLICKS), rng.randint(0, 1), rng.randint(0, 2), rng.randint(0, 3)))
        ]
    if kind <= 7:
        return [Step(at, "kill", (name,)), Step(end, "start", (name,))]
    if kind == 8:
        return [Step(at, "freeze", (name,)), Step(end, "thaw", (name,))]
    if kind == 9:
        return [Step(at, "cut", (name,)), Step(end, "join", (name,))]
    if kind == 10:
        worst = (rng.choice((0.0, 0.2)), rng.choice((0.0, 0.3)), rng.choice((0.0, 0.3)))
        return [Step(at, "network", worst), Step(end, "network", (0.0, 0.0, 0.0))]
    if kind == 11:
        return [Step(at, "service_down"), Step(end, "broker_loses_everything"), Step(end, "service_up")]
    if kind == 12:
        return [Step(at, "service_down"), Step(end, "service_up")]
    if kind == 13:
        return [Step(at, "failing", (name, 0.5)), Step(end, "failing", (name, 0.0))]
    return [Step(at, "break", (name, rng.randint(0, 7)))]


def shrink(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """The smallest schedule found that still fails: parts are left out, ever smaller ones."""
    size = max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            if fails(fewer):
                steps = fewer
            else:
                start += size
        size //= 2
    return steps
