"""Run the simulation: python -m tests.simulation --seeds 500 [--first 1] | --seed N [--trace] [--shrink]."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.simulation.nights import caught, names, night, play, prepare


def one(seed: int, trace: bool, shrink: bool, mutation: str | None) -> int:
    """Replay a seed, and say what it takes to fail."""
    from tests.simulation import schedule

    steps = schedule.of_seed(seed)
    if shrink and play(seed, mutation=mutation)[1]:
        steps = schedule.shrink(steps, lambda fewer: bool(play(seed, fewer, mutation=mutation)[1]))
    world, violation = play(seed, steps, trace, mutation)
    print("\n".join(world.trace or [str(step) for step in steps]))
    print(f"seed {seed}: {world.steps} steps, {violation or 'no violation'}")
    return bool(violation)


def many(first: int, count: int, workers: int) -> int:
    """Play `count` seeds from `first` on; print what was done and what failed."""
    began, steps, failed, faults = time.monotonic(), 0, 0, Counter[str]()
    with ProcessPoolExecutor(workers, get_context("spawn"), prepare) as pool:
        for done in pool.map(night, range(first, first + count), chunksize=5):
            steps, faults, failed = steps + done.steps, faults + done.faults, failed + bool(done.violation)
            if done.violation:
                print(f"seed {done.seed}: {done.violation}", flush=True)
    clicks, adoptions = faults.pop("click", 0), faults.pop("adoption", 0)
    took = time.monotonic() - began
    print("faults: " + ", ".join(f"{number} {kind}" for kind, number in faults.most_common()))
    print(
        f"{count} seeds from {first} on: {steps} steps, {faults.total()} faults injected, {clicks} clicks, "
        f"{adoptions} adoptions, "
        f"{failed} violations, {took:.0f} s, {steps / took:.0f} steps/s"
    )
    return bool(failed)


def mistakes(names: list[str], first: int, count: int, workers: int) -> int:
    """Play seeds with each planted mistake until one shows it; print which."""
    missed = 0
    with ProcessPoolExecutor(workers, get_context("spawn"), prepare) as pool:
        playing = {pool.submit(caught, name, first, count): name for name in names}
        for done in as_completed(playing):
            found = done.result()
            missed += not found
            print(f"{playing[done]}: {f'caught by {found}' if found else 'not caught'}", flush=True)
    return bool(missed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--trace", action="store_true", help="print all that happened in it")
    parser.add_argument("--shrink", action="store_true", help="look for the fewest steps that still fail")
    parser.add_argument("--mutation", help="plant a mistake; without --seed, stop at the first that shows it")
    parser.add_argument("--mutations", action="store_true", help="the same with each mistake in turn")
    asked = parser.parse_args()
    if asked.seed is not None:
        prepare()
        return one(asked.seed, asked.trace, asked.shrink, asked.mutation)
    if asked.mutation:
        return mistakes([asked.mutation], asked.first, asked.seeds, 1)
    if asked.mutations:
        return mistakes(names(), asked.first, asked.seeds, asked.workers)
    return many(asked.first, asked.seeds, asked.workers)


if __name__ == "__main__":
    sys.exit(main())
