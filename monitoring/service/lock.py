"""The one transaction in which anything changes: the cluster's row is its lock.

On PostgreSQL the row is locked; on SQLite the transaction is IMMEDIATE, which comes to
the same. Inside, history is numbered and messages are gathered; they leave only after the
commit, so that nobody hears of what did not happen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import transaction

from monitoring.core.messages import Downward
from monitoring.models import Cluster, Group, Node, Resource
from monitoring.service import clock, publish

# SQLite waits for a lock by sleeping; threads of one process need not.
_turn = threading.RLock()


@dataclass
class Held:
    """The locked cluster, what was changed, and what has to be told after the commit."""

    cluster: Cluster
    now: float
    groups: set[int] = field(default_factory=set)
    nodes: set[int] = field(default_factory=set)
    resources: set[int] = field(default_factory=set)
    operations: set[int] = field(default_factory=set)
    dirty: set[int] = field(default_factory=set)
    """Groups to decide about after the commit, by the cluster service."""
    losses: dict[int, str] = field(default_factory=dict)
    """How nodes that went down in this transaction did."""
    messages: list[tuple[str, str, Downward]] = field(default_factory=list)
    """(node name, its key, message)."""

    @property
    def seq(self) -> int:
        """Number of the newest event."""
        return self.cluster.last_event

    def send(self, node: str, key: str, message: Downward) -> None:
        """Send `message` to the node once the transaction is committed."""
        self.messages.append((node, key, message))


@contextmanager
def cluster_lock() -> Iterator[Held]:
    """Hold the cluster: everything inside is one transaction, and nobody else is inside.

    Nested use joins the outer one.
    """
    with _turn:
        outer = getattr(_local, "held", None)
        if outer is not None:
            yield outer
            return
        try:
            with transaction.atomic():
                cluster = Cluster.objects.select_for_update().get()
                clock.catch_up(cluster.clock)
                held = _local.held = Held(cluster, clock.now())
                before = cluster.last_event
                yield held
                if held.dirty:  # the task that says so may be lost; the ticker looks here
                    Group.objects.filter(pk__in=held.dirty).update(wake_at=held.now)
                if cluster.last_event != before:
                    _number(held)
        finally:
            _local.held = None
    publish.after_commit(held)


_local = threading.local()


def _number(held: Held) -> None:
    """Save the counters, and write on each changed row which event changed it last."""
    held.cluster.clock = held.now
    held.cluster.save(update_fields=["last_event", "clock"])
    for model, ids in ((Group, held.groups), (Node, held.nodes), (Resource, held.resources)):
        if ids:
            model._default_manager.filter(pk__in=ids).update(changed=held.seq)
