"""Deliberate mistakes, each of which the simulation has to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

import msgspec

from monitoring.core import failures, intents, reconcile, transits
from monitoring.core.draft import Draft
from monitoring.core.membership import LeaseTerms, Watch
from monitoring.core.states import NodeState
from monitoring.models import Node
from monitoring.node import clock as node_clock
from monitoring.node import plan
from monitoring.node.inheritance import Inheritance
from monitoring.node.lease import Lease
from monitoring.node.member import Member
from monitoring.node.monitor import Monitor
from monitoring.node.resource import ManagedResource
from monitoring.service import journal, membership, reports
from monitoring.service.fencing import fences
from monitoring.service.lock import Held

Patch = Any


def lease_without_margin() -> list[Patch]:
    """A node is given up when its lease ends, though it may need the margin to end everything."""
    terms = membership.terms

    def short(cluster: Any) -> LeaseTerms:
        return replace(terms(cluster), margin=0.0)

    return [mock.patch.object(membership, "terms", short)]


def lease_given_up_early() -> list[Patch]:
    """A node is given up at the first missed heartbeats."""

    def lost(self: Watch, node: int, now: float, terms: LeaseTerms, granted: float) -> bool:
        return not self.contact_lost(now, terms) and self.silence(node, now) >= 2 * terms.interval

    return [mock.patch.object(Watch, "lost", lost)]


def lease_from_the_answer() -> list[Patch]:
    """A node counts its lease from when the answer came, not from when it asked."""
    answered = Lease.answered

    def late(self: Lease, number: int, interval: float, length: float) -> bool:
        renewed = answered(self, number, interval, length)
        if renewed:
            self.ends = node_clock.now() + length
        return renewed

    return [mock.patch.object(Lease, "answered", late)]


def transfer_unanswered() -> list[Patch]:
    """The owner need not have said that everything is down."""
    return [
        mock.patch.object(Draft, "acknowledged", property(lambda self: True)),
        mock.patch.object(transits, "all_down", lambda group: True),
    ]


def incarnation_unchecked() -> list[Patch]:
    """A node takes what was meant for its earlier life."""
    receive = Member.receive

    def take(self: Member, message: Any) -> None:
        receive(self, msgspec.structs.replace(message, incarnation=self._outbox.incarnation))

    return [mock.patch.object(Member, "receive", take)]


def epoch_unchecked() -> list[Patch]:
    """A node takes an assignment older than one it has seen."""
    return [mock.patch.object(Monitor, "_refusal", lambda self, assignment: "")]


def loss_unnoted() -> list[Patch]:
    """What a lost node ran is still held for online when its group starts elsewhere."""
    return [mock.patch.object(reconcile, "_forget", lambda draft: None)]


def stop_forgotten() -> list[Patch]:
    """What an operator stopped comes online with the next passage of its group."""
    transfer = transits.transfer

    def forgetful(draft: Draft, target: int) -> None:
        transfer(draft, target)
        draft.change(resources=tuple(replace(r, persistent_online=True) for r in draft.group.resources))

    return [mock.patch.object(transits, "transfer", forgetful)]


def pause_ignored() -> list[Patch]:
    """Things come online on a paused node."""
    return [mock.patch.object(Draft, "may_start", property(lambda self: True))]


def adoption_forgotten() -> list[Patch]:
    """A new agent goes on with a life, and does not look at what runs."""
    return [mock.patch.object(ManagedResource, "restore", lambda self, step, processes: None)]


def adoption_counts_anew() -> list[Patch]:
    """A new agent goes on with a life, and counts heartbeats and reports from the beginning."""
    return [mock.patch.object(Inheritance, "microseconds", 0)]


def fence_skipped() -> list[Patch]:
    """A node with fence devices is given up on its lease alone."""
    return [mock.patch.object(fences, "is_needed", lambda node: False)]


def fence_failure_ignored() -> list[Patch]:
    """A fence that failed is taken for one that worked."""

    def worked(held: Held, fence: Any, why: str) -> None:
        fences.confirm(held, fence, why)

    return [mock.patch.object(fences, "round_failed", worked)]


def maintenance_ignored() -> list[Patch]:
    """Groups in maintenance are looked after as others are."""
    return [mock.patch.object(Draft, "on_hold", property(lambda self: False))]


def maintenance_unheard() -> list[Patch]:
    """A node is told to watch only, and acts."""
    return [mock.patch.object(ManagedResource, "watch", lambda self, only: None)]


def quarantine_ignored() -> list[Patch]:
    """A node in quarantine gets groups."""

    def standing(self: Node) -> NodeState:
        return NodeState.PAUSED if self.paused else NodeState.UP

    return [mock.patch.object(Node, "standing", property(standing))]


def failure_counted_twice() -> list[Patch]:
    """One failure uses up two restarts."""
    failed = failures._failed

    def twice(draft: Draft, rid: int) -> None:
        resource = draft.group.by_id[rid]
        draft.resource(replace(resource, failures=(*resource.failures, draft.now)))
        failed(draft, rid)

    return [mock.patch.object(failures, "_failed", twice)]


def online_order_ignored() -> list[Patch]:
    """Resources come online before what they need."""
    return [mock.patch.object(plan, "_held", lambda wish, known, staying: True)]


def offline_order_ignored() -> list[Patch]:
    """Resources go offline before what needs them."""
    return [mock.patch.object(plan, "_needed", lambda provider, wishes, known, staying: False)]


def number_skipped() -> list[Patch]:
    """The history leaves a number out."""
    add = journal.add

    def skip(held: Held, text: str, **more: Any) -> Any:
        if text.endswith("joined and is Up."):
            held.cluster.last_event += 1
        return add(held, text, **more)

    return [mock.patch.object(journal, "add", skip)]


def outcome_dropped() -> list[Patch]:
    """An intent that gives way to a newer one is never heard of again."""
    return [mock.patch.object(intents, "_drop_operation", lambda draft, intent: draft.change(operation=None))]


def stale_report_believed() -> list[Patch]:
    """A node's word about a group that it owns no more counts."""

    def groups(held: Any, node: Any, report: Any, rows: Any) -> Any:
        for part in report.groups:
            for group in rows.groups:
                if group.pk == part.group:
                    reports._group(held, node, group, part, {r.pk: r for r in rows.resources[group.pk]})
        return rows.groups

    return [mock.patch.object(reports, "_groups", groups)]


MUTATIONS: Mapping[str, Callable[[], list[Patch]]] = {
    mutation.__name__: mutation
    for mutation in (
        lease_without_margin,
        lease_given_up_early,
        lease_from_the_answer,
        transfer_unanswered,
        incarnation_unchecked,
        epoch_unchecked,
        loss_unnoted,
        stop_forgotten,
        pause_ignored,
        adoption_forgotten,
        adoption_counts_anew,
        fence_skipped,
        fence_failure_ignored,
        maintenance_ignored,
        maintenance_unheard,
        quarantine_ignored,
        failure_counted_twice,
        online_order_ignored,
        offline_order_ignored,
        number_skipped,
        outcome_dropped,
        stale_report_believed,
    )
}


def planted(name: str | None) -> ExitStack:
    """A context in which the mistake is made; None for none."""
    stack = ExitStack()
    for patch in MUTATIONS[name]() if name is not None else ():
        stack.enter_context(patch)
    return stack
