"""A node's agent is stopped as if its network were gone; the time until its group is online elsewhere.

Twice: with the cluster's default lease, and with one as short as the token of Pacemaker's
measurement (1 s).
"""

from __future__ import annotations

import time

from benchmarks import live
from benchmarks.figures import PACEMAKER_CUTOFF, Figure, run
from tests.cluster.installation import Installation, wait_until

SHORT_LEASE = {"heartbeat_interval_ms": 250, "lease_ms": 1000, "margin_ms": 250}
YARDSTICK = f"Pacemaker {PACEMAKER_CUTOFF} s, token 1 s"


def measure() -> list[Figure]:
    with live.demo() as copy:
        from monitoring.models import Cluster
        from monitoring.service import topology

        live.make_group("BENCH", 4, "NODE1", copy.home)
        cluster = Cluster.objects.get()
        default = _cut_off(copy)
        topology.edit_cluster(SHORT_LEASE, by=live.BY)
        time.sleep(2)  # the agents learn of it with their next heartbeat
        short = _cut_off(copy)
    usual = (cluster.lease_ms + cluster.margin_ms) / 1000
    brief = (SHORT_LEASE["lease_ms"] + SHORT_LEASE["margin_ms"]) / 1000
    budget = 0.5 * PACEMAKER_CUTOFF
    return [
        Figure(f"agent cut off until online elsewhere, lease and margin {usual:g} s", default, "s"),
        Figure(
            f"agent cut off until online elsewhere, lease and margin {brief:g} s",
            short,
            "s",
            budget,
            YARDSTICK,
        ),
    ]


def _cut_off(copy: Installation) -> float:
    """Freeze the agent of the group's node; wake it again once the group is online on the other."""
    from monitoring.core.states import NodeState
    from monitoring.models import Group, Node

    group = Group.objects.select_related("owner").get(name="BENCH")
    assert group.owner is not None
    other = Node.objects.exclude(pk=group.owner.pk).get()
    began = time.perf_counter()
    with copy.stopped(f"agent-{group.owner.name}"):
        live.look_until(lambda: live.is_online(group, other.pk), 30, "the group is online elsewhere")
        seconds = time.perf_counter() - began
    wait_until(lambda: not Node.objects.exclude(state=NodeState.UP).exists(), 30, "both nodes are Up")
    time.sleep(2)
    return seconds


if __name__ == "__main__":
    run(measure)
