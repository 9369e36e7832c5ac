"""The cluster clock: seconds since 1970 that never go backwards within a process.

The wall clock is read once, when the process starts; from then on the monotonic clock
carries it. A wall clock that jumps by hours changes neither timers nor the order of the
history. A process that starts after such a jump continues from the newest time written
to the database (`catch_up`), so that time never runs back between processes either.
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


def catch_up(newest: float) -> None:
    """Go on from `newest` where this process's clock is behind it."""
    global _offset
    behind = newest - now()
    if behind > 0:
        _offset += behind
