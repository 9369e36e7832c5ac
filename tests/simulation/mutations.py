"""Deliberate mistakes, each of which the simulation has to notice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

from monitoring.core import intents, reconcile, transits
from monitoring.core.draft import Draft
from monitoring.core.membership import LeaseTerms
from monitoring.node import plan
from monitoring.service import journal, membership, reports
from tests.simulation.node import SimNode

Patch = Any


def _short_lease() -> list[Patch]:
    """Nodes are given up long before their lease is over."""
    return [mock.patch.object(membership, "terms", lambda cluster: LeaseTerms(0.2, 0.8, 0.0, 1.0))]


def _transfer_unanswered() -> list[Patch]:
    """The owner need not have said that everything is down."""
    return [
        mock.patch.object(Draft, "acknowledged", property(lambda self: True)),
        mock.patch.object(transits, "all_down", lambda group: True),
    ]


def _incarnation_unchecked() -> list[Patch]:
    """A node takes what was meant for its earlier life, whose epochs it has forgotten."""
    return [_init(checks_incarnation=False)]


def _init(**attributes: bool) -> Patch:
    original = SimNode.__init__

    def changed(self: SimNode, *args: Any) -> None:
        original(self, *args)
        vars(self).update(attributes)

    return mock.patch.object(SimNode, "__init__", changed)


def _loss_unnoted() -> list[Patch]:
    """What a lost node ran is still held for online when its group starts elsewhere."""
    return [mock.patch.object(reconcile, "_forget", lambda draft: None)]


def _stop_forgotten() -> list[Patch]:
    """What an operator stopped comes online with the next passage of its group."""
    original = transits.transfer

    def transfer(draft: Draft, target: int) -> None:
        original(draft, target)
        draft.change(resources=tuple(replace(r, persistent_online=True) for r in draft.group.resources))

    return [mock.patch.object(transits, "transfer", transfer)]


def _pause_ignored() -> list[Patch]:
    """Things come online on a paused node."""
    return [mock.patch.object(Draft, "may_start", property(lambda self: True))]


def _number_skipped() -> list[Patch]:
    """The history leaves a number out."""
    original = journal.add

    def add(held: Any, text: str, **more: Any) -> Any:
        if text.endswith("joined and is Up."):
            held.cluster.last_event += 1
        return original(held, text, **more)

    return [mock.patch.object(journal, "add", add)]


def _outcome_dropped() -> list[Patch]:
    """An intent that gives way to a newer one is never heard of again."""
    return [mock.patch.object(intents, "_drop_operation", lambda draft, intent: draft.change(operation=None))]


def _order_ignored() -> list[Patch]:
    """Resources come online before what they need."""
    return [mock.patch.object(plan, "_held", lambda wish, known, staying: True)]


def _stale_report_believed() -> list[Patch]:
    """A node's word about a group that it owns no more counts."""

    def groups(held: Any, node: Any, report: Any, rows: Any) -> Any:
        for part in report.groups:
            for group in rows.groups:
                if group.pk == part.group:
                    reports._group(held, node, group, part, {r.pk: r for r in rows.resources[group.pk]})
        return rows.groups

    return [mock.patch.object(reports, "_groups", groups)]


MUTATIONS: dict[str, Callable[[], list[Patch]]] = {
    "short-lease": _short_lease,
    "transfer-unanswered": _transfer_unanswered,
    "incarnation-unchecked": _incarnation_unchecked,
    "loss-unnoted": _loss_unnoted,
    "stop-forgotten": _stop_forgotten,
    "pause-ignored": _pause_ignored,
    "number-skipped": _number_skipped,
    "outcome-dropped": _outcome_dropped,
    "order-ignored": _order_ignored,
    "stale-report-believed": _stale_report_believed,
}


def planted(name: str) -> ExitStack:
    """A context in which the mistake is made."""
    stack = ExitStack()
    for patch in MUTATIONS[name]():
        stack.enter_context(patch)
    return stack
