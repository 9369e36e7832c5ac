"""When the cluster service watched: what nobody saw counts neither as uptime nor as downtime.

The ticker of each worker calls `note`; the newest row is prolonged while any of them watches and
nodes are heard at all. Where that stopped for a while, a new row begins and the history says so.
"""

from __future__ import annotations

from datetime import UTC, datetime

from monitoring.core.availability import Time
from monitoring.core.states import Severity
from monitoring.models import Cluster, WatchTime
from monitoring.service import clock, journal
from monitoring.service.lock import cluster_lock

EVERY = 10.0
"""Seconds between two notes."""
UNWATCHED_AFTER = 3 * EVERY
"""Seconds without a note that count as not watched."""
UNWATCHED = 9002


def note() -> None:
    """The cluster service watches now. Three queries at most; more only where it begins anew."""
    now = clock.now()
    if Cluster.objects.filter(contact_lost_since__isnull=False).exists():
        return
    newest = WatchTime.objects.last()
    if newest is not None and now - newest.until <= UNWATCHED_AFTER:
        WatchTime.objects.filter(pk=newest.pk, until__lt=now).update(until=now)
        return
    with cluster_lock() as held:
        newest = WatchTime.objects.last()  # another worker may have been first
        if newest is not None and held.now - newest.until <= UNWATCHED_AFTER:
            return
        WatchTime.objects.create(since=held.now, until=held.now)
        if newest is not None:
            text = f"Nobody watched the groups from {_clock(newest.until)} to {_clock(held.now)}."
            journal.add(held, text, code=UNWATCHED, severity=Severity.WARNING)


def unwatched(since: float, until: float) -> tuple[Time, ...]:
    """The times between two moments in which nobody watched. Two queries.

    What was before the first row is taken as watched: nothing says otherwise.
    """
    seen = list(WatchTime.objects.filter(until__gte=since - UNWATCHED_AFTER).values_list("since", "until"))
    before = WatchTime.objects.filter(until__lt=since - UNWATCHED_AFTER).order_by("-until")
    ends = [*before.values_list("until", flat=True)[:1], *(to for _, to in seen)]
    starts = [low for low, _ in seen]
    if len(ends) == len(starts):  # nothing is known of the time before the first
        starts = starts[1:]
    if not ends:
        return ()
    starts.append(float("inf"))
    gaps = [(max(low, since), min(high, until)) for low, high in zip(ends, starts, strict=True)]
    if until - ends[-1] <= UNWATCHED_AFTER:
        gaps.pop()
    return tuple((low, high) for low, high in gaps if high > low)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
