"""Processor time and memory of the whole demo while nothing happens, by process.

Memory is the proportional set size: a page that several processes share counts once.
"""

from __future__ import annotations

import time
from collections import defaultdict

import psutil

from benchmarks import live
from benchmarks.figures import Figure, run

SETTLE = 10.0
WATCH = 30.0
CORES_BUDGET = 0.1
MEMORY_BUDGET = 500.0


def measure() -> list[Figure]:
    with live.demo() as copy:
        time.sleep(SETTLE)
        before = _seconds(copy.left_running())
        time.sleep(WATCH)
        commands = copy.left_running()
        after = _seconds(commands)
        memory = {pid: psutil.Process(pid).memory_full_info().pss / 1e6 for pid in commands}
    cores: dict[str, float] = defaultdict(float)
    megabytes: dict[str, float] = defaultdict(float)
    for pid, command in commands.items():
        cores[_part(command)] += (after[pid] - before.get(pid, 0.0)) / WATCH
        megabytes[_part(command)] += memory[pid]
    return [
        Figure("at rest, the whole demo", sum(cores.values()), "cores", CORES_BUDGET),
        *(Figure(f"  {part}", used, "cores") for part, used in sorted(cores.items())),
        Figure("memory, the whole demo", sum(megabytes.values()), "MB PSS", MEMORY_BUDGET),
        *(Figure(f"  {part}", used, "MB PSS") for part, used in sorted(megabytes.items())),
    ]


def _seconds(pids: dict[int, str]) -> dict[int, float]:
    return {pid: sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids}


def _part(command: str) -> str:
    """Which part of the cluster a command is."""
    for sign, part in (
        ("valkey-server", "broker"),
        ("redis-server", "broker"),
        ("web_server", "web"),
        ("celery", "cluster service"),
        ("node.guard", "guards"),
        ("node.warm", "services of the groups"),
        ("monitoring.node", "agents"),
    ):
        if sign in command:
            return part
    return "other"


if __name__ == "__main__":
    run(measure)
