"""Playing seeds: one night each, in a process that has the database in memory for itself."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.faults import Step
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Night:
    """How one seed went."""

    seed: int
    steps: int
    faults: Counter[str]
    violation: str = ""


def prepare() -> None:
    """Django, with its database in memory; what the agents would log is not wanted."""
    import logging
    import threading
    import warnings

    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # a killed agent leaves some
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.simulation.settings"
    import django

    django.setup()
    logging.disable(logging.CRITICAL)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _end_with_parent() -> None:
    """Nobody waits for the nights of a worker whose parent was killed."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def play(
    seed: int, steps: list[Step] | None = None, trace: bool = False, mutation: str | None = None
) -> tuple[World, str]:
    """Play one seed; return its world, and what broke the law, if anything did."""
    from tests.simulation import schedule
    from tests.simulation.mutations import planted
    from tests.simulation.world import World

    world = World(seed, trace)
    try:
        with planted(mutation):
            world.play(schedule.of_seed(seed) if steps is None else steps)
    except Exception as broken:  # an error of the program breaks the law as well
        return world, f"{type(broken).__name__}: {broken}"
    return world, ""


def night(seed: int) -> Night:
    """Play one seed, for a worker of many."""
    world, violation = play(seed)
    return Night(seed, world.steps, world.faults.counts, violation)


def caught(mutation: str, first: int, count: int) -> str:
    """Play seeds with a planted mistake; say which of them showed it first, and how. Empty for none."""
    for seed in range(first, first + count):
        if violation := play(seed, mutation=mutation)[1]:
            return f"seed {seed}: {violation}"
    return ""


def names() -> list[str]:
    """The mistakes that can be planted."""
    prepare()
    from tests.simulation.mutations import MUTATIONS

    return list(MUTATIONS)
