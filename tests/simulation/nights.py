"""Playing seeds: one night each, in a process that has the database in memory for itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.faults import Step
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Night:
    """How one seed went."""

    seed: int
    steps: int
    faults: int
    violation: str = ""


def prepare() -> None:
    """Django, with its database in memory; what the agents would log is not wanted."""
    import logging

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.simulation.settings"
    import django

    django.setup()
    logging.disable(logging.CRITICAL)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def play(seed: int, steps: list[Step] | None = None, trace: bool = False) -> tuple[World, str]:
    """Play one seed; return its world, and what broke the law, if anything did."""
    from tests.simulation import schedule
    from tests.simulation.world import World

    world = World(seed, trace)
    try:
        world.play(schedule.of_seed(seed) if steps is None else steps)
    except Exception as broken:  # an error of the program breaks the law as well
        return world, f"{type(broken).__name__}: {broken}"
    return world, ""


def night(seed: int) -> Night:
    """Play one seed, for a worker of many."""
    world, violation = play(seed)
    return Night(seed, world.steps, world.faults.count, violation)


def caught(mutation: str, first: int, count: int) -> str:
    """Play seeds with a planted mistake; say which of them showed it first, and how. Empty for none."""
    from tests.simulation.mutations import planted

    for seed in range(first, first + count):
        with planted(mutation):
            violation = play(seed)[1]
        if violation:
            return f"seed {seed}: {violation}"
    return ""
