"""The one transaction in which anything changes: the cluster's row is its lock.

On PostgreSQL the row is locked; on SQLite the transaction is IMMEDIATE, which comes to
the same. Inside, history is numbered and messages are gathered; they leave only after the
commit, so that nobody hears of what did not happen.

Any number of processes may want the lock. One that freezes with it in hand loses its transaction
after a while (POSTGRESQL_OPTIONS in the settings); the others go on, and it finds on waking that
nothing of what it did counts. `again` is for who is refused the lock for such a reason.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from django.core.exceptions import ValidationError
from django.db import InterfaceError, InternalError, OperationalError, connection, transaction

from monitoring.core.messages import Downward
from monitoring.core.model import Refused
from monitoring.models import Cluster, Group, Node, Resource
from monitoring.service import audit, clock, publish

log = logging.getLogger(__name__)

# SQLite waits for a lock by sleeping; threads of one process need not.
_turn = threading.RLock()

CLOCK_KEPT = 1.0
"""Seconds that the written cluster time may be behind the times that are written beside it."""
TRIES = 3


class UndoneError(OperationalError):
    """The database ended the transaction before its commit: nothing of it has happened.

    It was restarted, or had no more patience with a lock or with this process.
    """


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
    heard: dict[int, float] = field(default_factory=dict)
    """When nodes that fell silent and are given up in this transaction were heard last."""
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
        committing = False
        try:
            with transaction.atomic():
                cluster = Cluster.objects.select_for_update().get()
                clock.catch_up(cluster.clock)
                held = _local.held = Held(cluster, clock.now())
                before = cluster.last_event
                yield held
                if held.dirty:  # the task that says so may be lost; the ticker looks here
                    Group.objects.filter(pk__in=held.dirty).update(wake_at=held.now)
                _number(held, before)
                committing = True
        except (OperationalError, InterfaceError, InternalError) as error:
            if committing:
                raise  # nobody knows whether it counts
            raise UndoneError(str(error)) from error
        except (Refused, ValidationError) as error:
            audit.note_refusal(error)
            raise
        finally:
            _local.held = None
    publish.after_commit(held)


@contextmanager
def attempt(held: Held) -> Iterator[None]:
    """What is done inside is undone where it raises; the rest of the transaction stands."""
    newest, sent = held.cluster.last_event, len(held.messages)
    marked = (held.groups, held.nodes, held.resources, held.operations, held.dirty)
    before = [set(marks) for marks in marked]
    try:
        with transaction.atomic():
            yield
    except BaseException:
        held.cluster.last_event = newest  # its events are undone too: no gap
        del held.messages[sent:]
        for marks, kept in zip(marked, before, strict=True):
            marks.intersection_update(kept)
        raise


P = ParamSpec("P")
T = TypeVar("T")


def again(work: Callable[P, T]) -> Callable[P, T]:
    """Do `work`, which takes the lock, anew where the database undid it. UndoneError in the end."""

    @functools.wraps(work)
    def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        for tries_left in reversed(range(TRIES)):
            try:
                return work(*args, **kwargs)
            except UndoneError as error:
                if not tries_left or getattr(_local, "held", None) is not None:
                    raise
                log.warning("tried again: %s", error)
                connection.close_if_unusable_or_obsolete()
        raise AssertionError

    return tried


_local = threading.local()


def _number(held: Held, before: int) -> None:
    """Save the counters, and write on each changed row which event changed it last.

    The time is also written without an event, where it has gone on: whoever takes over goes on
    from it, and must not be behind the timers that were set meanwhile.
    """
    numbered = held.cluster.last_event != before
    if numbered or held.now - held.cluster.clock >= CLOCK_KEPT:
        held.cluster.clock = held.now
        held.cluster.save(update_fields=["last_event", "clock"])
    if not numbered:
        return
    for model, ids in ((Group, held.groups), (Node, held.nodes), (Resource, held.resources)):
        if ids:
            model._default_manager.filter(pk__in=ids).update(changed=held.seq)
