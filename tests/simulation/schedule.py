"""What goes wrong in the night of a seed, and where a failing schedule can do with less."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.faults import Step

CLICKS = (
    *("move", "move", "move", "offline", "online", "online", "restart"),
    *("resource-offline", "resource-online", "resource-restart", "resource-fail"),
    *("pause", "drain", "resume", "resume", "evict", "add-node"),
    *("maintenance", "end-maintenance", "clear-quarantine", "fence", "confirm-off", "confirm-off"),
    *("edit-cluster", "edit-group", "edit-owners", "edit-resource"),
)
KINDS: dict[str, int] = {
    "click": 14,
    "kill": 3,
    "again": 4,
    "reboot": 1,
    "freeze": 2,
    "freeze_guard": 1,
    "leave": 2,
    "suspend": 3,
    "device": 3,
    "maintenance": 2,
    "evict": 1,
    "cut": 5,
    "sluggish": 6,
    "messages": 3,
    "broker": 2,
    "server_down": 2,
    "server_freeze": 2,
    "server_crash": 5,
    "server_stall": 5,
    "database": 1,
    "database_error": 2,
    "wall_clock": 2,
    "weather": 4,
    "break": 3,
    "die_quietly": 1,
    "stick": 1,
    "lie": 1,
    "move": 0,
    "echo": 0,
}
"""How often each is chosen, where the night's theme does not say otherwise."""
THEMES: tuple[dict[str, int], ...] = (
    {"move": 60, "echo": 30, "messages": 0},
    {"suspend": 20, "device": 20, "cut": 10, "freeze": 6},
    {"maintenance": 20, "break": 20, "cut": 12, "kill": 10, "die_quietly": 6},
    {"click": 50, "leave": 6, "evict": 4},
    {"again": 30, "cut": 10, "click": 20, "break": 10, "weather": 10, "sluggish": 6},
    {"kill": 16, "freeze": 16, "cut": 16, "sluggish": 24, "reboot": 6},
    {"broker": 10, "server_down": 10, "server_freeze": 10, "server_crash": 24, "server_stall": 24},
    {"weather": 16, "break": 20, "lie": 8, "die_quietly": 8, "stick": 8},
    {"cut": 12, "sluggish": 12, "server_stall": 20, "server_freeze": 10, "wall_clock": 10},
)
"""What a night has more of."""


NODES = 3
"""Nodes from this number on are the owners, at that moment, of an even or odd group."""


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
    for number in range(rng.randint(6, 20)):
        at += rng.choice((rng.uniform(0.0, 0.1), rng.uniform(0.0, 1.0), rng.uniform(0.5, 3.0)))
        end = at + rng.choice((0.3, 1.5, 3.2, 6.0))
        kind = rng.choices(kinds, list(weights.values()))[0]
        node = rng.choice((rng.randint(0, NODES - 1), NODES + 2 * number + rng.randint(0, 1)))
        steps.extend(_fault(rng, kind, node, round(at, 3), round(end, 3)))
    return sorted(steps, key=lambda step: step.at)


def _badly(rng: random.Random) -> tuple[float, float, float]:
    """Chances that a message is lost, doubled, late."""
    return rng.choice((0.0, 0.0, 0.2)), rng.choice((0.0, 0.3)), rng.choice((0.0, 0.1, 0.4))


def _fault(rng: random.Random, kind: str, node: int, at: float, end: float) -> list[Step]:
    """One fault with its end, or one click."""
    place = rng.randint(0, 7)
    if kind == "move":
        return [Step(at, "click", (kind, rng.randint(0, 1), node, 1))]
    if kind == "click":
        return [Step(at, "click", (rng.choice(CLICKS), rng.randint(0, 1), node, rng.randint(0, 3)))]
    if kind in ("break", "lie"):
        return [Step(at, kind, (node, place))]
    if kind == "die_quietly":
        return [Step(at, kind, (node, place)), Step(end, "die_loudly", (node,))]
    if kind in ("kill", "leave", "again", "reboot"):
        return _end_of_agent(rng, kind, node, at, end)
    if kind in _ENDS:
        return [Step(at, kind, (node,)), Step(end, _ENDS[kind], (node,))]
    if kind == "device":
        return [Step(at, kind, (node, rng.choice(("works", "fails", "fails", "hangs", "is slow"))))]
    if kind == "suspend":  # long enough to be fenced
        broken = [Step(at, "device", (node, "fails"))] if rng.random() < 0.6 else []
        return [*broken, Step(at, kind, (node,)), Step(end + 6.0, "resume_machine", (node,))]
    if kind == "maintenance":
        of = (rng.randint(0, 1), node, rng.randint(0, 3))
        return [Step(at, "click", (kind, *of)), Step(end + 3.0, "click", ("end-maintenance", *of))]
    if kind == "evict":
        return [
            Step(at, "leave", (node,)),
            Step(end, "click", ("evict", 0, node, 0)),
            Step(end + rng.choice((0.1, 2.0)), "click", ("add-node", 0, node, 0)),
            Step(end + 3.0, "start", (node,)),
        ]
    if kind == "weather":
        weather = (
            *(rng.choice((0.0, 0.3)), rng.choice((0.0, 0.2)), rng.choice((0.0, 0.3))),
            rng.choice((0.0, 0.5)),
        )
        return [Step(at, "weather", (node, *weather)), Step(end, "weather", (node, 0.0, 0.0, 0.0, 0.0))]
    return _way(rng, kind, node, at, end) or _server(rng, kind, at, end)


def _end_of_agent(rng: random.Random, kind: str, node: int, at: float, end: float) -> list[Step]:
    if kind == "reboot":
        return [Step(at, kind, (node, round(rng.uniform(0.5, 6.0), 3)))]
    if kind == "again":  # a new agent comes within the lease of the old one, or just after it
        kind, end = "kill", at + rng.choice((0.05, 0.3, 0.3, 1.0, 1.0, 2.0))
    return [Step(at, kind, (node,)), Step(end, "start", (node,))]


_ENDS = {"freeze": "thaw", "freeze_guard": "thaw_guard", "stick": "unstick"}


def _way(rng: random.Random, kind: str, node: int, at: float, end: float) -> list[Step]:
    if kind == "cut":
        what = rng.choice(("all", "out", "in", "broker", "up", "down", "http"))
        return [Step(at, "cut", (node, what)), Step(end, "join", (node,))]
    if kind == "sluggish":  # what is still on its way when the node is cut off arrives late
        what = rng.choice(("in", "in", "in", "down", "down", "down", "all", "out"))
        cut, joined = (
            rng.choice(("out", "out", "out", "out", "up", "all")),
            end + rng.choice((1.0, 6.0, 6.0, 6.0)),
        )
        no_second_path = [Step(at, "cut", (node, "http"))] if what == "down" and rng.random() < 0.8 else []
        return [
            Step(at, "slow", (node, what, rng.choice((0.5, 1.5, 2.5, 2.5)))),
            *no_second_path,
            Step(end, "cut", (node, cut)),
            Step(joined, "join", (node,)),
            Step(joined, "swift", (node,)),
        ]
    if kind == "echo":  # nearly all comes twice, and once more when it is out of date
        return [Step(at, "messages", (0.0, 0.9, 0.5)), Step(end + 6.0, "messages", (0.0, 0.0, 0.0))]
    if kind == "messages":
        return [Step(at, "messages", _badly(rng)), Step(end, "messages", (0.0, 0.0, 0.0))]
    if kind == "broker":
        return [Step(at, "broker_down"), Step(end, "broker_up", (rng.random() < 0.7,))]
    return []


def _server(rng: random.Random, kind: str, at: float, end: float) -> list[Step]:
    who = rng.choice((0, 0, 1, 1, 2, 3))
    if kind == "server_down":
        both = rng.random() < 0.3
        down = [Step(at, "server_down", (w,)) for w in ((0, 1) if both else (who,))]
        return [*down, *(Step(end, "server_up", step.arguments) for step in down)]
    if kind == "server_freeze":
        everyone = rng.random() < 0.2  # one of them holds the database
        frozen = [Step(at, "server_freeze", (w,)) for w in (range(4) if everyone else (who,))]
        return [*frozen, *(Step(end, "server_thaw", step.arguments) for step in frozen)]
    if kind == "server_crash":
        return [Step(at, "server_crash", (who, rng.randint(0, rng.choice((5, 20, 60)))))]
    if kind == "server_stall":
        whole = rng.random() < 0.5
        return [Step(at, kind, (who, rng.randint(0, 12), rng.choice((0.01, 0.2, 1.0, 3.0, 6.0)), whole))]
    if kind == "database":
        return [Step(at, "database_down"), Step(end, "database_up")]
    if kind == "database_error":
        return [Step(at, kind, (who, rng.randint(0, 40)))]
    assert kind == "wall_clock"
    jump = rng.choice((-7200.0, -60.0, 60.0, 7200.0))
    if rng.random() < 0.3:
        return [Step(at, "node_wall_clock", (who, jump)), Step(end, "reboot", (who, 0.5))]
    again = [Step(at, "server_down", (who,)), Step(end, "server_up", (who,))] if rng.random() < 0.7 else []
    return [Step(at, "wall_clock", (who, jump)), *again]


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
