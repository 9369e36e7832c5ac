"""A resource's process is killed; the time until the resource is online again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from benchmarks import live
from benchmarks.figures import PACEMAKER_RESTART, Figure, run, spread

if TYPE_CHECKING:
    from monitoring.models import Resource

KILLS = 10


def measure() -> list[Figure]:
    with live.demo() as copy:
        from monitoring.models import Resource
        from monitoring.service import topology

        group = live.make_group("BENCH", 1, "NODE1", copy.home)
        resource = Resource.objects.get(group=group)
        topology.edit_resource(resource.pk, {"restart_threshold": KILLS + 1}, by=live.BY)
        seconds = [_kill(resource, copy.node_processes("NODE1")) for _ in range(KILLS)]
    yardstick = f"Pacemaker {PACEMAKER_RESTART} s, 1 s monitors"
    return spread("process killed until online", seconds, 0.15 * PACEMAKER_RESTART, yardstick)


def _kill(resource: Resource, processes: dict[int, int]) -> float:
    from monitoring.core.states import ResourceState

    pid = next(pid for pid, owner in processes.items() if owner == resource.pk)
    resource.refresh_from_db()
    before = resource.sequence
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        resource.refresh_from_db(fields=["state", "sequence"])
        return resource.sequence > before and resource.state == ResourceState.ONLINE

    live.look_until(back, 30, "the resource is online again")
    seconds = time.perf_counter() - began
    time.sleep(0.2)
    return seconds


if __name__ == "__main__":
    run(measure)
