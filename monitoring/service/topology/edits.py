"""The frame of every edit: lock, history, the wording of what changed, refusals by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models, transaction

from monitoring.models import Group, Node, Operation, Resource
from monitoring.models.topology import USE_TYPE
from monitoring.resource_dlls import registry
from monitoring.service import decide, journal
from monitoring.service.lock import Held, cluster_lock

PROPERTY_NAMES = {
    "name": "Name",
    "description": "Description",
    "looks_alive_ms": "LooksAlivePollInterval",
    "is_alive_ms": "IsAlivePollInterval",
    "restart_action": "RestartAction",
    "restart_threshold": "RestartThreshold",
    "restart_period_ms": "RestartPeriod",
    "restart_delay_ms": "RestartDelay",
    "retry_period_ms": "RetryPeriodOnFailure",
    "pending_timeout_ms": "PendingTimeout",
    "deadlock_timeout_ms": "DeadlockTimeout",
    "separate_monitor": "SeparateMonitor",
    "failover_threshold": "FailoverThreshold",
    "failover_period_hours": "FailoverPeriod",
    "auto_failback": "AutoFailbackType",
    "failback_window_start": "FailbackWindowStart",
    "failback_window_end": "FailbackWindowEnd",
    "anti_affinity": "AntiAffinityClassNames",
    "priority": "Priority",
    "enforced_anti_affinity": "ClusterEnforcedAntiAffinity",
    "resiliency_period_s": "ResiliencyPeriod",
    "quarantine_threshold": "QuarantineThreshold",
    "quarantine_duration_s": "QuarantineDuration",
}
"""The domain's names of fields (semantics section 3); others are named as in the database."""


ALL_ONES = {
    "looks_alive_ms": "the type's",
    "is_alive_ms": "the type's",
    "pending_timeout_ms": "the type's",
    "deadlock_timeout_ms": "the type's",
    "retry_period_ms": "never",
    "failover_threshold": "nodes - 1",
}
"""What 4294967295 means where it is no number."""


@dataclass
class Edit:
    """One edit under way: who does it and why, and what it wrote to the history so far."""

    held: Held
    by: str
    reason: str
    operation: Operation | None = None
    respecified: set[int] = field(default_factory=set)
    """Groups whose owners have to run something else from now on."""

    def record(self, done: str, subject: models.Model, *, code: int = 0) -> None:
        """Add "<by> <done>." to the history; the first line names the operation.

        The group concerned is decided about again after the commit; its owner gets a new
        assignment where a resource changed.
        """
        about = _references(subject)
        reason = f" Reason: {self.reason}" if self.reason and self.operation is None else ""
        text = f"{self.by} {done}.{reason}"
        if self.operation is None:
            self.operation = Operation.objects.create(
                kind="edit",
                subject=str(subject)[:200],
                requested_by=self.by,
                reason=self.reason,
                state="done",
                outcome=text,
                requested_at=self.held.now,
                finished_at=self.held.now,
                **about,
            )
            self.held.operations.add(self.operation.pk)
        journal.add(self.held, text, code=code, operation=self.operation, by=self.by, **about)
        if isinstance(subject, Resource):
            self.respecified.add(subject.group_id)
        elif isinstance(subject, Group):
            self.held.dirty.add(subject.pk)


def _references(subject: models.Model) -> dict[str, Any]:
    resource = subject if isinstance(subject, Resource) else None
    group = subject if isinstance(subject, Group) else resource.group if resource else None
    return {"group": group, "resource": resource, "node": subject if isinstance(subject, Node) else None}


@contextmanager
def edit(by: str, reason: str = "") -> Iterator[Edit]:
    """Hold the cluster for one edit; an error undoes all of it, also within a larger one.

    The resource DLLs are loaded before: the first time that takes longer than the lock may idle.
    """
    registry.all_types()
    with cluster_lock() as held:
        newest = held.cluster.last_event
        try:
            with transaction.atomic():
                change = Edit(held, by, reason.strip())
                yield change
                if change.respecified:
                    decide.touch(change.respecified)
        except BaseException:
            held.cluster.last_event = newest  # its events are undone too: no gap
            raise


def refuse(field: str, message: str) -> ValidationError:
    """The refusal of one field."""
    return ValidationError({field: message})


def assign(row: models.Model, values: Mapping[str, Any], fields: frozenset[str]) -> list[str]:
    """Set `values` on `row`, check every field of it, and return what changed, in words.

    Only `fields` may be set. Nothing is saved.
    """
    for name in values:
        if name not in fields:
            raise refuse(name, f"{type(row).__name__} has no property {name!r} that can be set.")
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value.strip() if isinstance(value, str) else value)
    others = [field.name for field in row._meta.fields if field.name not in fields]
    row.clean_fields(exclude=others)
    row.clean()
    after = {name: getattr(row, name) for name in values}
    return [_change(row, name, before[name], after[name]) for name in values if before[name] != after[name]]


def _change(row: models.Model, name: str, before: Any, after: Any) -> str:
    return f"{PROPERTY_NAMES.get(name, name)} from {_shown(row, name, before)} to {_shown(row, name, after)}"


def _shown(row: models.Model, name: str, value: Any) -> str:
    """A value as the history tells it, choices by their label."""
    if value == USE_TYPE and name in ALL_ONES:
        return ALL_ONES[name]
    try:
        choices = dict(row._meta.get_field(name).flatchoices)  # type: ignore[union-attr]
    except FieldDoesNotExist:
        choices = {}
    return repr(value) if isinstance(value, str) else str(choices.get(value, value))


def check_name(row: Group | Resource | Node) -> None:
    """Names are unique whatever their case (semantics 3.1)."""
    same = type(row)._default_manager.filter(name__iexact=row.name).exclude(pk=row.pk).first()
    if same is not None:
        raise refuse("name", f"A {type(row).__name__.lower()} named {same} exists already.")
