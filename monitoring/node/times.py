"""How long the calls of one entry point take: the last one, and what is usual.

Times are counted in buckets whose bounds grow by a quarter of a power of two, from 1/64 ms to
half an hour: counts of several resources, or of several stretches of time, can be added up.
Two stretches of up to `STRETCH` calls are kept, the present one and the one before it, so that
what is told is of the last 100 to 200 calls, or of all where there were fewer. It takes a few
hundred bytes, and about a microsecond a call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from math import frexp
from operator import add

STRETCH = 100
"""Calls after which the stretch before the present one is forgotten. A bucket counts up to 255."""
STEPS = 4
"""Buckets to a power of two."""
LOWEST = 2.0**-6
"""Milliseconds: the upper bound of the first bucket."""
BUCKETS = 27 * STEPS + 1
_FLOOR = frexp(LOWEST)[1]
_STARTS = (2**0.25 / 2, 2**0.5 / 2, 2**0.75 / 2)
"""Mantissas at which the second to fourth bucket of a power of two begin."""
ENOUGH = 10
"""Calls from which on something is usual."""


def bucket_of(ms: float) -> int:
    """The bucket that a time belongs to."""
    if ms < LOWEST:
        return 0
    mantissa, exponent = frexp(ms)
    place = (mantissa >= _STARTS[0]) + (mantissa >= _STARTS[1]) + (mantissa >= _STARTS[2])
    return min((exponent - _FLOOR) * STEPS + place + 1, BUCKETS - 1)


def bounds_of(bucket: int) -> tuple[float, float]:
    """Lowest and highest time of a bucket, in milliseconds."""
    if bucket == 0:
        return 0.0, LOWEST
    low: float = LOWEST * 2 ** ((bucket - 1) / STEPS)
    return low, low * 2 ** (1 / STEPS)


def quantiles(counts: Iterable[int], *shares: float) -> list[float]:
    """The times that these shares of the calls did not exceed, in milliseconds; 0 without a call.

    Within its bucket one is taken to lie where evenly spread calls would have it: off by a tenth at most.
    """
    upto = list(accumulate(counts))
    return [_quantile(upto, share) for share in shares]


def _quantile(upto: list[int], share: float) -> float:
    wanted = share * upto[-1]
    if not wanted:
        return 0.0
    bucket = bisect_left(upto, wanted)
    before = upto[bucket - 1] if bucket else 0
    low, high = bounds_of(bucket)
    return low + (high - low) * (wanted - before) / (upto[bucket] - before)


class Times:
    """Times of one entry point of one resource."""

    __slots__ = ("_counts", "_older", "_older_slowest", "_slowest", "_stretch", "last_ms", "usual_ms")

    def __init__(self) -> None:
        self.last_ms = 0.0
        self.usual_ms: float | None = None
        """The median as it was at the last tenth call; None where too few calls are known."""
        self._counts = bytearray(BUCKETS)
        self._older: bytearray | None = None
        self._stretch = 0
        self._slowest = self._older_slowest = 0.0

    def add(self, ms: float) -> None:
        """Count one call."""
        if self._stretch == STRETCH:
            self._older, self._older_slowest = self._counts, self._slowest
            self._counts, self._stretch, self._slowest = bytearray(BUCKETS), 0, 0.0
        self.last_ms = ms
        self._counts[bucket_of(ms)] += 1
        self._stretch += 1
        if ms > self._slowest:
            self._slowest = ms
        if self._stretch % ENOUGH == 0:
            (self.usual_ms,) = self.quantiles(0.5)

    @property
    def calls(self) -> int:
        """How many calls the quantiles are of."""
        return self._stretch + (STRETCH if self._older is not None else 0)

    @property
    def slowest_ms(self) -> float:
        """The slowest of these calls."""
        return max(self._slowest, self._older_slowest)

    def quantiles(self, *shares: float) -> list[float]:
        """The times that these shares of these calls did not exceed, in milliseconds."""
        counts = self._counts
        both: Iterable[int] = counts if self._older is None else map(add, counts, self._older)
        slowest = self.slowest_ms
        return [min(found, slowest) for found in quantiles(both, *shares)]
