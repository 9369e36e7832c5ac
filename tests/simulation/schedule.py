"""What goes wrong in the night of a seed, and where a failing schedule can do with less."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.faults import Step

CLICKS = (
    *("move", "move", "move", "offline", "online", "online", "restart"),
    *("resource-offline", "resource-online", "resource-restart", "resource-fail"),
    *("pause", "drain", "resume", "resume"),
)
KINDS: dict[str, int] = {
    "click": 7,
    "kill": 2,
    "freeze": 1,
    "leave": 1,
    "cut": 3,
    "messages": 2,
    "broker": 1,
    "service": 1,
    "crash": 2,
    "wall_clock": 1,
    "weather": 2,
    "break": 2,
    "lie": 1,
}
"""How often each is chosen, in a night without a theme."""
THEMES: tuple[dict[str, int], ...] = (
    {},
    {"click": 30, "leave": 3},
    {"kill": 8, "freeze": 8, "cut": 12},
    {"broker": 6, "service": 6, "crash": 12, "wall_clock": 3},
    {"weather": 8, "break": 12, "lie": 6},
)
"""What a night has more of."""


def of_seed(seed: int) -> list[Step]:
    """The schedule of a seed: some twenty simulated seconds of faults and clicks."""
    rng = random.Random(seed * 7919 + 1)
    weights = KINDS | rng.choice(THEMES)
    kinds = list(weights)
    steps: list[Step] = []
    if rng.random() < 0.3:  # messages travel badly all night
        steps.append(Step(1.0, "messages", _badly(rng)))
        weights["messages"] = 0
    at = 2.0
    for _ in range(rng.randint(6, 20)):
        at += rng.choice((rng.uniform(0.0, 0.1), rng.uniform(0.0, 1.0), rng.uniform(0.5, 3.0)))
        end = at + rng.choice((0.3, 1.5, 3.2, 6.0))
        kind = rng.choices(kinds, list(weights.values()))[0]
        steps.extend(_fault(rng, kind, round(at, 3), round(end, 3)))
    return sorted(steps, key=lambda step: step.at)


def _badly(rng: random.Random) -> tuple[float, float, float]:
    """Chances that a message is lost, doubled, late."""
    return rng.choice((0.0, 0.0, 0.2)), rng.choice((0.0, 0.3)), rng.choice((0.0, 0.1, 0.4))


def _fault(rng: random.Random, kind: str, at: float, end: float) -> list[Step]:
    """One fault with its end, or one click."""
    node, place = rng.randint(0, 2), rng.randint(0, 7)
    if kind == "click":
        return [Step(at, "click", (rng.choice(CLICKS), rng.randint(0, 1), node, rng.randint(0, 3)))]
    if kind in ("break", "lie"):
        return [Step(at, kind, (node, place))]
    if kind in ("kill", "leave"):
        return [Step(at, kind, (node,)), Step(end, "start", (node,))]
    if kind == "freeze":
        return [Step(at, "freeze", (node,)), Step(end, "thaw", (node,))]
    if kind == "cut":
        what = rng.choice(("all", "out", "in", "broker", "up", "down", "http"))
        return [Step(at, "cut", (node, what)), Step(end, "join", (node,))]
    if kind == "messages":
        return [Step(at, "messages", _badly(rng)), Step(end, "messages", (0.0, 0.0, 0.0))]
    if kind == "broker":
        return [Step(at, "broker_down"), Step(end, "broker_up", (rng.random() < 0.7,))]
    if kind == "service":
        return [Step(at, "service_down"), Step(end, "service_up")]
    if kind == "crash":
        return [Step(at, "service_crash", (rng.randint(0, 12),))]
    if kind == "wall_clock":
        return [
            Step(at, "wall_clock", (rng.choice((-7200.0, -60.0, 60.0, 7200.0)),)),
            Step(at, "web_restart"),
        ]
    weather = (rng.choice((0.0, 0.3)), rng.choice((0.0, 0.2)), rng.choice((0.0, 0.3)))
    return [Step(at, "weather", (node, *weather)), Step(end, "weather", (node, 0.0, 0.0, 0.0))]


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
