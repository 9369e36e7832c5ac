"""When a probe is slow enough to warn an operator, and when that is over.

What is slow for one resource is usual for another, so a call is held against the median of its
own kind. It is slow from ten times the median on, and never below two seconds: a busy machine is
no news. Half of DeadlockTimeout is slow whatever is usual, for twice as long fails the resource.
A warning ends once five calls in a row were well below that, over a minute at least: a resource
that is slow now and then warns all the time, and does not fill the history.
"""

from __future__ import annotations

LEAST = 2.0
"""Seconds; a faster call is never slow, but for a DeadlockTimeout that is that short."""
TIMES_USUAL = 10
SHARE_OF_DEADLOCK = 0.5
CALM_SHARE = 0.5
"""A call within this share of what would be slow counts towards the end of the warning."""
CALM_CALLS = 5
CALM_SECONDS = 60.0


def slow_after(usual_ms: float | None, deadlock_s: float) -> float:
    """Seconds from which on a call is slow."""
    limit = deadlock_s * SHARE_OF_DEADLOCK
    return limit if usual_ms is None else min(max(LEAST, usual_ms / 1000 * TIMES_USUAL), limit)


def may_be_slow(seconds: float, deadlock_s: float) -> bool:
    """False where no median could make the call slow: next to all calls, and nothing else is asked then."""
    return seconds >= LEAST or seconds >= deadlock_s * SHARE_OF_DEADLOCK


class Slowness:
    """Of one entry point of one resource. `now` is any clock that goes on evenly, in seconds."""

    __slots__ = ("_calm", "_slow_at", "warns")

    def __init__(self) -> None:
        self.warns = False
        self._slow_at = 0.0
        self._calm = 0

    def hangs(self, seconds: float, usual_ms: float | None, now: float) -> str:
        """A call has run for longer than is slow, and has not returned: what to show."""
        self._begin(now)
        return f"has not returned for {words(seconds)}{_usually(usual_ms)}"

    def returned(self, seconds: float, usual_ms: float | None, deadlock_s: float, now: float) -> str | None:
        """A call has returned: what to show from now on, "" for nothing any more, None for no change."""
        slow = slow_after(usual_ms, deadlock_s)
        if seconds >= slow:
            self._begin(now)
            limit = "" if usual_ms is not None else f" of the {words(deadlock_s)} that it may take"
            return f"took {words(seconds)}{limit}{_usually(usual_ms)}"
        if not self.warns:
            return None
        self._calm = self._calm + 1 if seconds <= slow * CALM_SHARE else 0
        if self._calm < CALM_CALLS or now - self._slow_at < CALM_SECONDS:
            return None
        self.warns = False
        return ""

    def _begin(self, now: float) -> None:
        self.warns, self._slow_at, self._calm = True, now, 0


def _usually(usual_ms: float | None) -> str:
    return "" if usual_ms is None else f", usually {words(usual_ms / 1000)}"


def words(seconds: float) -> str:
    """A duration as an operator reads it: "20 ms", "4.8 s", "150 s"."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
