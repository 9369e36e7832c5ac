"""A group of four resources, one after another, moves to the other node."""

from __future__ import annotations

from itertools import cycle

from benchmarks import live
from benchmarks.figures import PACEMAKER_MOVE, Figure, run, spread

MOVES = 20


def measure() -> list[Figure]:
    with live.demo() as copy:
        from monitoring.models import Node

        group = live.make_group("BENCH", 4, "NODE1", copy.home)
        there_and_back = cycle(Node.objects.order_by("-pk").values_list("pk", flat=True))
        seconds = [live.operate("move", group=group.pk, node=next(there_and_back)) for _ in range(MOVES)]
    return spread("move of a group of 4", seconds, 0.3 * PACEMAKER_MOVE, f"Pacemaker {PACEMAKER_MOVE} s")


if __name__ == "__main__":
    run(measure)
