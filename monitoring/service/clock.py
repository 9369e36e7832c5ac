"""The cluster clock: seconds since 1970 that never go backwards within a process.

The wall clock is read once, when the process starts; from then on the monotonic clock
carries it. A wall clock that jumps by hours changes neither timers nor the order of the
history. A process continues from the newest time written to the database (`catch_up`), when
it takes the cluster's lock and whenever its ticker looks; so time never runs back between
processes either, on machines whose clocks differ by hours, or after a jump: the one that is
furthest ahead leads all of them.
"""

from __future__ import annotations

import time

_offset = time.time() - time.monotonic()


def now() -> float:
    """Cluster time in seconds."""
    return time.monotonic() + _offset


def monotonic() -> float:
    """Seconds that no wall clock and no `catch_up` moves: for leases, and nothing else."""
    return time.monotonic()


def at(moment: float) -> float:
    """The cluster time, as this process has it now, of a moment of its monotonic clock."""
    return moment + _offset


def catch_up(newest: float) -> None:
    """Go on from `newest` where this process's clock is behind it."""
    global _offset
    behind = newest - now()
    if behind > 0:
        _offset += behind
