"""The cluster itself, and the nodes that are its members.

Bounds, defaults and units are those of semantics section 3; a field's `help_text` says the
unit. As in `topology`, what the cluster service keeps is written by `service/` alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from monitoring.core.states import NodeState


def new_key() -> str:
    """A fresh signing key: 256 bits, hexadecimal."""
    return secrets.token_hex(32)


def bounded(
    default: int, low: int, high: int = 0xFFFFFFFF, also: Callable[[int], None] | None = None, **extra: Any
) -> Any:
    """An integer field that refuses values outside `low` to `high`, and what `also` refuses."""
    limits: list[Callable[[int], None]] = [
        MinValueValidator(low),
        MaxValueValidator(high),
        *([also] if also else []),
    ]
    return models.BigIntegerField(default=default, validators=limits, **extra)


class Cluster(models.Model):
    """The cluster itself, one row: its settings, and the counters of its history.

    The row is also the lock: whoever changes the state of anything holds it (service.lock).
    """

    name = models.CharField(max_length=63, default="CLUSTER")
    heartbeat_interval_ms = bounded(500, 50, 2000, help_text="ms between heartbeats of a node")
    lease_ms = bounded(3000, 500, 120_000, help_text="ms that a node may run without an answer")
    margin_ms = bounded(500, 50, 10_000, help_text="ms added before another node may start a group")
    resiliency_period_s = bounded(
        0, 0, 3600, help_text="ResiliencyPeriod, s that a node that is cut off runs on; added to its lease"
    )
    quarantine_threshold = bounded(
        3, 0, 100, help_text="QuarantineThreshold: times that a node may drop out within an hour; 0 = any"
    )
    quarantine_duration_s = bounded(7200, 60, 604_800, help_text="QuarantineDuration, s")
    maintenance = models.BooleanField(default=False, editable=False)
    """Everything is watched and reported, and nothing is acted upon."""
    max_storage_groups_per_node = bounded(4, 1, 1000, help_text="storage groups on one node")
    enforced_anti_affinity = models.BooleanField(
        default=False, help_text="anti-affine groups never share a node, even if they stay offline"
    )
    last_event = models.BigIntegerField(default=0, editable=False)
    """Number of the newest event; the sequence has no gaps."""
    contact_lost_since = models.FloatField(null=True, editable=False)
    """Since when no node at all is heard: the broker is gone, and nothing is moved."""
    refused_messages = models.BigIntegerField(default=0, editable=False)
    """Messages that were not taken, and name no member."""
    clock = models.FloatField(default=0.0, editable=False)
    """The newest cluster time that was written: a restart of the service goes on from it."""

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A lease shorter than two heartbeats would run out between them."""
        if self.lease_ms < 2 * self.heartbeat_interval_ms:
            raise ValidationError(
                {"lease_ms": f"At least two heartbeat intervals: {2 * self.heartbeat_interval_ms} ms."}
            )


class Node(models.Model):
    """A member of the cluster. `id` is the join order, which matters for failover (4.4)."""

    name = models.CharField(max_length=15, unique=True)
    description = models.TextField(blank=True)
    key = models.CharField(max_length=64, default=new_key, editable=False)
    """Signs all messages from and to the node."""
    key_since = models.FloatField(default=0.0, editable=False)
    """Cluster time since when it has this key; 0 for the one that it was added with."""
    rotation_secret = models.CharField(max_length=64, blank=True, default="", editable=False)
    """The service's half of a new key that is on its way, empty for none."""
    next_key = models.CharField(max_length=64, blank=True, default="", editable=False)
    """The new key, once the node has made its half: messages that it signed are taken."""
    next_shown = models.BooleanField(default=False, editable=False)
    """The newest heartbeat said that the node has it: the cluster service signs with it."""
    state = models.SmallIntegerField(
        choices=[(s.value, s.label) for s in NodeState], default=NodeState.DOWN, editable=False
    )
    paused = models.BooleanField(default=False, editable=False)
    """Persistent over restarts of the node and the cluster."""
    state_since = models.FloatField(default=0.0, editable=False)
    incarnation = models.BigIntegerField(default=0, editable=False)
    """Grows with each start of its agent; messages of an older one are refused."""
    heartbeat = models.BigIntegerField(default=0, editable=False)
    """Number of the newest heartbeat of this incarnation."""
    silent_since = models.FloatField(null=True, editable=False)
    """Cluster time since when heartbeats are missed, null where they come."""
    reports = models.BigIntegerField(default=0, editable=False)
    """Number of the newest report applied; a gap asks the node for a full one."""
    resiliency_period_s = bounded(-1, -1, 3600, help_text="ResiliencyPeriod, s; -1 = the cluster's")
    granted_ms = models.BigIntegerField(default=0, editable=False)
    """The longest lease that an answer to this life may have granted and that may not be over yet."""
    isolated = models.BooleanField(default=False, editable=False)
    """Not heard for longer than a lease, and running on within its resiliency period."""
    departures = models.JSONField(default=list, editable=False)
    """Cluster times at which it dropped out, within the last hour."""
    quarantined_until = models.FloatField(null=True, editable=False)
    """Cluster time until which it takes no groups, since it kept dropping out; null where it does not."""
    unfenced = models.BooleanField(default=False, editable=False)
    """It is Down, and nothing has confirmed yet that it is off: its groups wait."""
    watchdog_ms = models.BigIntegerField(default=0, editable=False)
    """Timeout of the watchdog that its guard holds, 0 for none; as it said itself."""
    refused_messages = models.BigIntegerField(default=0, editable=False)
    """Messages in its name that were not taken: not signed by it, or of an earlier life."""
    refused_by_node = models.BigIntegerField(default=0, editable=False)
    """Messages that its agent did not take, for they were not signed by the cluster service."""
    drain_status = models.CharField(
        max_length=12,
        default="none",
        editable=False,
        choices=[
            ("none", "Not initiated"),
            ("running", "In progress"),
            ("done", "Completed"),
            ("failed", "Failed"),
        ],
    )
    changed = models.BigIntegerField(default=0, editable=False)
    """Number of the newest event that changed this row."""

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    @property
    def standing(self) -> NodeState:
        """What it is while it is a member: Up, or Paused where nothing may come online. No query."""
        return NodeState.PAUSED if self.paused or self.quarantined_until is not None else NodeState.UP

    @property
    def signing_key(self) -> str:
        """What the cluster service signs with: a new key as soon as the node has it too. No query."""
        return self.next_key if self.next_shown else self.key

    def lease_ms(self, cluster: Cluster) -> int:
        """The lease that the node is granted now, in ms. No query."""
        own = self.resiliency_period_s
        return int(cluster.lease_ms + 1000 * (cluster.resiliency_period_s if own < 0 else own))


class JoinToken(models.Model):
    """Lets the machine that shows it become this node, once and soon. Its secret is kept nowhere."""

    node = models.OneToOneField(Node, on_delete=models.CASCADE, related_name="join_token")
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.CharField(max_length=150)
    expires_at = models.FloatField()
    used_at = models.FloatField(null=True)
    used_from = models.CharField(max_length=50, blank=True)

    def __str__(self) -> str:
        return f"join token of {self.node}"
