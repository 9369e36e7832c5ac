"""Running the decisions: load, reconcile, save, for groups that something happened to."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Min

from monitoring.core.model import Decision, GroupView, Outcome
from monitoring.core.reconcile import reconcile, settle_in_place
from monitoring.models import Group, Operation
from monitoring.service import apply, snapshot
from monitoring.service.lock import Held, cluster_lock


def run(held: Held, ids: Iterable[int]) -> None:
    """Decide about these groups, within the transaction of `held`."""
    run_rows(held, snapshot.GroupRows(ids))


def run_rows(held: Held, rows: snapshot.GroupRows) -> None:
    """Decide about the groups of `rows`."""
    world = snapshot.world(held, rows.nodes)
    for group in rows.groups:
        before = rows.view(group)
        decision = reconcile(before, world, held.now)
        save(held, rows, group, before, decision)
        if decision.group.owner != before.owner:
            world = snapshot.world(held, rows.nodes)  # what each node hosts has changed


def save(held: Held, rows: snapshot.GroupRows, group: Group, before: GroupView, decision: Decision) -> None:
    """Write a decision where it changes or tells anything."""
    unchanged = decision.group == before and group.wake_at == decision.wake_at
    told = decision.events or decision.outcomes or decision.ended or decision.send or decision.fail
    if not unchanged or told:
        apply.save(held, rows, group, before, decision)
    else:
        apply.note_group_state(held, rows, group, before, before)


def decide(ids: Iterable[int]) -> None:
    """Decide about these groups, in a transaction of its own."""
    with cluster_lock() as held:
        run(held, ids)


def due(held: Held) -> None:
    """Decide about every group whose time has come."""
    ids = Group.objects.filter(wake_at__lte=held.now).values_list("pk", flat=True)
    run(held, list(ids))


def next_wake() -> float | None:
    """Cluster time of the next timer. One query on an index."""
    wake: float | None = Group.objects.aggregate(at=Min("wake_at"))["at"]
    return wake


def restarted_in_place(held: Held, ids: Iterable[int]) -> None:
    """The node of these groups began a new life that nobody watched end: start them again there."""
    rows = snapshot.GroupRows(ids)
    world = snapshot.world(held, rows.nodes)
    for group in rows.groups:
        before = rows.view(group)
        apply.save(held, rows, group, before, settle_in_place(before, world, held.now))


def touch(ids: Iterable[int]) -> None:
    """The content of these groups was edited: their owners get a new assignment."""
    with cluster_lock() as held:
        wanted = list(ids)
        Group.objects.filter(pk__in=wanted).update(wanted=[])
        held.dirty.update(wanted)


def end_operation(held: Held, operation: Operation, state: str, text: str) -> None:
    """End an operation that no decision about a group ends."""
    apply.finish(held, Outcome(operation.pk, state, text))
