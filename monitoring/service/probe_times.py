"""Probe times that nodes tell: a series for the charts, and with each resource what was told last."""

from __future__ import annotations

from monitoring.core.messages import ProbeSample
from monitoring.models import Node, ProbeTime, Resource
from monitoring.service.lock import Held

KEPT = ("checked_at", "checked_result", "checked_text", "newest_times")
"""What a sample may change of a resource."""


def take(held: Held, node: Node, samples: tuple[ProbeSample, ...]) -> None:
    """Keep the samples of resources on the node, and the last IsAlive result of each.

    Three statements, or a few more where very many came.
    """
    if not samples:
        return
    own = Resource.objects.filter(group__owner=node, pk__in={s.resource for s in samples})
    rows = {row.pk: row for row in own.only(*KEPT)}
    known = [s for s in samples if s.resource in rows]
    ProbeTime.objects.bulk_create(
        ProbeTime(
            resource_id=s.resource,
            entry_point=s.entry_point,
            at=held.now,
            calls=s.calls,
            failures=s.failures,
            mean_ms=s.mean_ms,
            max_ms=s.max_ms,
        )
        for s in known
    )
    for s in known:
        row = rows[s.resource]
        if s.window:
            row.newest_times = {**row.newest_times, s.entry_point: _told(s, held.now)}
        if s.entry_point == "IsAlive":
            row.checked_at, row.checked_result, row.checked_text = held.now, s.last_result, s.last_text
            held.resources.add(s.resource)
    Resource.objects.bulk_update(rows.values(), KEPT, batch_size=200)


def _told(sample: ProbeSample, now: float) -> dict[str, float]:
    """As it is stored with the resource; milliseconds, of the last `calls` calls."""
    return {
        "at": now,
        "calls": sample.window,
        "last_ms": sample.last_ms,
        "p50_ms": sample.p50_ms,
        "p99_ms": sample.p99_ms,
        "slowest_ms": sample.slowest_ms,
    }
