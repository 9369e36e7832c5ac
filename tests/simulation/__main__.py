"""Run the simulation: python -m tests.simulation --seeds 500 [--first 1] | --seed N [--trace] [--shrink]."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.nights import caught, night, play, prepare


def one(seed: int, trace: bool, shrink: bool) -> int:
    """Replay a seed, and say what it takes to fail."""
    from tests.simulation import schedule

    steps = schedule.of_seed(seed)
    if shrink and play(seed)[1]:
        steps = schedule.shrink(steps, lambda fewer: bool(play(seed, fewer)[1]))
    world, violation = play(seed, steps, trace)
    print("\n".join(world.trace or [str(step) for step in steps]))
    print(f"seed {seed}: {world.steps} steps, {violation or 'no violation'}")
    return bool(violation)


def many(first: int, count: int, workers: int) -> int:
    """Play `count` seeds from `first` on; print what was done and what failed."""
    began, steps, faults, failed = time.monotonic(), 0, 0, 0
    with ProcessPoolExecutor(workers, get_context("spawn"), prepare) as pool:
        for done in pool.map(night, range(first, first + count), chunksize=5):
            steps, faults, failed = steps + done.steps, faults + done.faults, failed + bool(done.violation)
            if done.violation:
                print(f"seed {done.seed}: {done.violation}", flush=True)
    took = time.monotonic() - began
    print(
        f"{count} seeds from {first} on: {steps} steps, {faults} faults injected, "
        f"{failed} violations, {took:.0f} s, {steps / took:.0f} steps/s"
    )
    return bool(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--trace", action="store_true", help="print all that happened in it")
    parser.add_argument("--shrink", action="store_true", help="look for the fewest steps that still fail")
    parser.add_argument("--mutation", help="plant a mistake, and stop at the first seed that shows it")
    asked = parser.parse_args()
    if asked.seed is None and not asked.mutation:
        return many(asked.first, asked.seeds, asked.workers)
    prepare()
    if asked.mutation:
        found = caught(asked.mutation, asked.first, asked.seeds)
        print(f"{asked.mutation}: {f'caught by {found}' if found else 'not caught'}")
        return not found
    return one(asked.seed, asked.trace, asked.shrink)


if __name__ == "__main__":
    sys.exit(main())
