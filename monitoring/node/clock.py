"""The node's clock: seconds since boot, suspended time included (CLOCK_BOOTTIME).

Leases run by it on both sides of the agent and guard pair: nobody can set it, and a machine
that slept past its lease finds on waking that the lease is over.
"""

from __future__ import annotations

import time


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
