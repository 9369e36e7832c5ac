"""Run the simulation: python -m tests.simulation --seeds 500 [--first 1] | --seed N [--shrink]."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import Step

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.simulation.settings"


def prepare() -> None:
    """Django, its database in memory."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def play(seed: int, steps: list[Step] | None = None) -> tuple[int, int]:
    """Play one seed; return (steps, faults). AssertionError where the law was broken."""
    from tests.simulation import schedule
    from tests.simulation.world import World

    world = World(seed)
    world.play(schedule.of_seed(seed) if steps is None else steps)
    return world.steps, world.faults


def one(seed: int, shrink: bool) -> int:
    """Replay a seed, and say what it takes to fail."""
    from tests.simulation import schedule

    def fails(steps: list[Step]) -> bool:
        try:
            play(seed, steps)
        except AssertionError:
            return True
        return False

    try:
        print(f"seed {seed}: {play(seed)[0]} steps, no violation")
        return 0
    except AssertionError as violation:
        print(f"seed {seed}: {violation}")
    steps = schedule.of_seed(seed)
    for step in schedule.shrink(steps, fails) if shrink else steps:
        print("  ", step)
    return 1


def many(first: int, count: int) -> int:
    """Play `count` seeds from `first` on; print what was done and what failed."""
    began, steps, faults, failed = time.monotonic(), 0, 0, []
    for seed in range(first, first + count):
        try:
            done = play(seed)
        except AssertionError as violation:
            failed.append(seed)
            print(f"seed {seed}: {violation}", flush=True)
        else:
            steps, faults = steps + done[0], faults + done[1]
    took = time.monotonic() - began
    print(
        f"seeds {first} to {first + count - 1}: {count} played, {steps} steps, {faults} faults injected, "
        f"{len(failed)} violations, {steps / took:.0f} steps/s",
        flush=True,
    )
    return bool(failed)


def caught(mutation: str, first: int, count: int) -> int:
    """Play seeds with a planted mistake; 0 where one of them shows it."""
    from tests.simulation.mutations import planted

    for seed in range(first, first + count):
        with planted(mutation):
            try:
                play(seed)
            except Exception as violation:
                print(f"{mutation}: caught by seed {seed}: {violation}")
                return 0
    print(f"{mutation}: not caught by seeds {first} to {first + count - 1}")
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mutation", help="plant a mistake, and stop at the first seed that shows it")
    asked = parser.parse_args()
    if asked.workers > 1 and asked.seed is None:
        share = -(-asked.seeds // asked.workers)
        parts = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.simulation", "--first", str(asked.first + n * share)]
                + ["--seeds", str(min(share, asked.seeds - n * share))]
            )
            for n in range(asked.workers)
        ]
        return max([part.wait() for part in parts])
    prepare()
    if asked.mutation:
        return caught(asked.mutation, asked.first, asked.seeds)
    return one(asked.seed, asked.shrink) if asked.seed is not None else many(asked.first, asked.seeds)


if __name__ == "__main__":
    sys.exit(main())
