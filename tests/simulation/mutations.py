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
from monitoring.core.membership import LeaseTerms
from monitoring.node import plan
from monitoring.node.member import Member
from monitoring.node.monitor import Monitor
from monitoring.service import journal, membership, reports
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
    return [mock.patch.object(membership, "terms", lambda cluster: LeaseTerms(0.2, 0.8, 0.0, 1.0))]


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
        transfer_unanswered,
        incarnation_unchecked,
        epoch_unchecked,
        loss_unnoted,
        stop_forgotten,
        pause_ignored,
        failure_counted_twice,
        online_order_ignored,
        offline_order_ignored,
        number_skipped,
        outcome_dropped,
        stale_report_believed,
    )
}


def planted(name: str) -> ExitStack:
    """A context in which the mistake is made."""
    stack = ExitStack()
    for patch in MUTATIONS[name]():
        stack.enter_context(patch)
    return stack
