"""Cluster, nodes, groups, resource types, resources and dependencies.

Property names, defaults, units and bounds are those of semantics section 3; a field's
`help_text` says the unit. Two kinds of fields stand side by side: what an administrator
configures, and what the cluster service keeps (owner, epoch, state): only `service/` writes
the second kind, inside the cluster's transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower

from monitoring.core.states import NodeState, ResourceState, RestartAction, Stage, TransitKind

USE_TYPE = 0xFFFFFFFF
NEVER = 0xFFFFFFFF
STORAGE_GROUPS = "StorageGroups"
"""The private property that weighs on a node (semantics 6.5), of whichever type has it."""
PRIORITIES = ((0, "Do not start automatically"), (1000, "Low"), (2000, "Medium"), (3000, "High"))


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


def not_2_to_9(value: int) -> None:
    """IsAlivePollInterval: 1 stands for the type's value, so that intervals begin at 10 ms."""
    if 2 <= value <= 9:
        raise ValidationError(f"{value} ms is too short: at least 10, or 1 for the value of the type.")


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
    refused_messages = models.BigIntegerField(default=0, editable=False)
    unfenced = models.BooleanField(default=False, editable=False)
    """It is Down, and nothing has confirmed yet that it is off: its groups wait."""
    watchdog_ms = models.BigIntegerField(default=0, editable=False)
    """Timeout of the watchdog that its guard holds, 0 for none; as it said itself."""
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


class Group(models.Model):
    """The unit of failover: resources that are always on the same node."""

    name = models.CharField(max_length=63)
    description = models.TextField(blank=True)
    failover_threshold = bounded(NEVER, 0, help_text="failovers within the period; 4294967295 = nodes - 1")
    failover_period_hours = bounded(6, 0, 1193, help_text="hours")
    auto_failback = models.BooleanField(
        default=False, help_text="return to the preferred owner when it is back"
    )
    failback_window_start = bounded(-1, -1, 23, help_text="hour 0 to 23, cluster local time; -1 = no window")
    failback_window_end = bounded(-1, -1, 23, help_text="hour 0 to 23, cluster local time; -1 = no window")
    anti_affinity = models.CharField(max_length=200, blank=True, help_text="class names, separated by commas")
    priority = models.IntegerField(default=2000, choices=PRIORITIES)
    preferred_owners = models.ManyToManyField(
        Node, through="PreferredOwner", related_name="preferred_by", blank=True
    )

    # Kept by the cluster service
    owner = models.ForeignKey(
        Node, null=True, blank=True, on_delete=models.PROTECT, related_name="groups", editable=False
    )
    epoch = models.BigIntegerField(default=1, editable=False)
    serial = models.BigIntegerField(default=0, editable=False)
    applied_serial = models.BigIntegerField(default=0, editable=False)
    wanted = models.JSONField(default=list, editable=False)
    """The content of assignment `serial`: [resource id, want online, attempt] of each."""
    sent_at = models.FloatField(null=True, editable=False)
    wake_at = models.FloatField(null=True, editable=False, db_index=True)
    watch_only = models.BooleanField(default=False, editable=False)
    """Assignment `serial` tells the node to watch and report, and to leave everything as it is."""
    maintenance = models.BooleanField(default=False, editable=False)
    """The group is watched and reported, and nothing is acted upon."""
    persistent_online = models.BooleanField(default=False, editable=False)
    given_up = models.BooleanField(default=False, editable=False)
    failovers = models.JSONField(default=list, editable=False)
    failback_to = models.ForeignKey(
        Node, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    state_since = models.FloatField(default=0.0, editable=False)
    """Cluster time of the last change of the group's computed state or owner."""
    last_state = models.SmallIntegerField(default=1, editable=False)
    """The computed state at that time (core.state.group_state), for lists and filters."""
    changed = models.BigIntegerField(default=0, editable=False)

    # The transit under way (core.model.Transit), all null where there is none
    transit_kind = models.CharField(
        max_length=10, blank=True, editable=False, choices=[(k.value, k.name.title()) for k in TransitKind]
    )
    transit_stage = models.CharField(
        max_length=10, blank=True, editable=False, choices=[(s.value, s.name.title()) for s in Stage]
    )
    transit_source = models.ForeignKey(
        Node, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    transit_target = models.ForeignKey(
        Node, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    transit_cause = models.TextField(blank=True, editable=False)
    transit_rule = models.TextField(blank=True, editable=False)
    transit_started = models.FloatField(null=True, editable=False)
    transit_operation = models.ForeignKey(
        "Operation", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    transit_by = models.CharField(max_length=150, blank=True, editable=False)
    operation = models.ForeignKey(
        "Operation", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    """The operator's online or offline that is being carried out; a move stands in the transit."""
    record = models.ForeignKey(
        "FailoverRecord", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    """The history record that the phases of the transit under way are added to."""

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="group_name_unique",
                violation_error_message="A group has this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A failback window has both ends or none (semantics 3.3)."""
        start, end = self.failback_window_start, self.failback_window_end
        if (start == -1) != (end == -1):
            missing = "failback_window_start" if start == -1 else "failback_window_end"
            raise ValidationError(
                {missing: "A failback window needs both hours; -1 in both means no window."}
            )


class ResourceType(models.Model):
    """A type of resource and the defaults that its resources inherit."""

    name = models.CharField(max_length=200, unique=True)
    dll_name = models.CharField(max_length=200, help_text="entry point of the resource DLL")
    description = models.TextField(blank=True)
    looks_alive_ms = bounded(5000, 1, help_text="LooksAlivePollInterval, ms")
    is_alive_ms = bounded(60_000, 1, help_text="IsAlivePollInterval, ms")
    pending_timeout_ms = bounded(180_000, 10, help_text="PendingTimeout, ms")
    deadlock_timeout_ms = bounded(300_000, 30_000, help_text="DeadlockTimeout, ms")
    single_per_cluster = models.BooleanField(default=False)
    single_per_group = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Resource(models.Model):
    """One thing that a resource DLL brings online: an address, a disk, a service."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="resources")
    type = models.ForeignKey(ResourceType, on_delete=models.PROTECT, related_name="resources")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    properties = models.JSONField(default=dict, blank=True)
    """Private properties, as the DLL's `clean` returned them."""
    looks_alive_ms = bounded(USE_TYPE, 10, help_text="LooksAlivePollInterval, ms; 4294967295 = the type's")
    is_alive_ms = bounded(
        USE_TYPE,
        1,
        also=not_2_to_9,
        help_text="IsAlivePollInterval, ms, 10 or more; 1 or 4294967295 = the type's",
    )
    restart_action = models.SmallIntegerField(
        default=RestartAction.RESTART_NOTIFY,
        choices=[
            (RestartAction.DONT_RESTART.value, "Do not restart"),
            (RestartAction.RESTART_NO_NOTIFY.value, "Restart, never fail over"),
            (RestartAction.RESTART_NOTIFY.value, "Restart, then fail over"),
        ],
    )
    restart_threshold = bounded(3, 0, help_text="restarts within the period")
    restart_period_ms = bounded(900_000, 0, help_text="RestartPeriod, ms")
    restart_delay_ms = bounded(500, 0, help_text="RestartDelay, ms")
    retry_period_ms = bounded(
        3_600_000, 0, help_text="RetryPeriodOnFailure, ms, at least RestartPeriod; 4294967295 = never"
    )
    pending_timeout_ms = bounded(
        USE_TYPE, 10, help_text="PendingTimeout, ms of silence; 4294967295 = the type's"
    )
    deadlock_timeout_ms = bounded(USE_TYPE, 1000, help_text="DeadlockTimeout, ms; 4294967295 = the type's")
    separate_monitor = models.BooleanField(
        default=False,
        help_text="SeparateMonitor: recorded; every resource has a thread of its own in any case",
    )
    possible_owners = models.ManyToManyField(
        Node, through="PossibleOwner", related_name="possible_for", blank=True
    )
    """Empty means all nodes."""
    created_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="created", editable=False
    )
    """The System Attendant that this resource came with, and goes with."""

    # Kept by the cluster service
    persistent_online = models.BooleanField(default=True, editable=False)
    state = models.SmallIntegerField(
        choices=[(s.value, s.label) for s in ResourceState], default=ResourceState.OFFLINE, editable=False
    )
    state_since = models.FloatField(default=0.0, editable=False)
    sequence = models.BigIntegerField(default=0, editable=False)
    running = models.BooleanField(default=False, editable=False)
    attempt = models.BigIntegerField(default=1, editable=False)
    failure = models.TextField(blank=True, editable=False)
    """Cause of a failure on which nothing was decided yet."""
    last_failure = models.TextField(blank=True, editable=False)
    failed_attempt = models.BigIntegerField(default=0, editable=False)
    """The attempt that failed last: a failure that is reported twice counts once."""
    failures = models.JSONField(default=list, editable=False)
    restart_at = models.FloatField(null=True, editable=False)
    retry_at = models.FloatField(null=True, editable=False)
    simulate = models.BigIntegerField(default=0, editable=False)
    """Id of the operation whose simulated failure the node has not carried out yet, 0 for none."""
    simulate_at = models.FloatField(null=True, editable=False)
    simulated = models.BigIntegerField(default=0, editable=False)
    """Id of the newest one that it has carried out."""
    progress = models.TextField(blank=True, editable=False)
    checked_at = models.FloatField(null=True, editable=False)
    """Cluster time of the last IsAlive whose result travelled."""
    checked_result = models.BooleanField(null=True, editable=False)
    checked_text = models.TextField(blank=True, editable=False)
    changed = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="resource_name_unique",
                violation_error_message="A resource has this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def storage_groups(self) -> int:
        """How many storage groups it brings to its node. No query."""
        return int(self.properties.get(STORAGE_GROUPS) or 0)

    def clean(self) -> None:
        """A resource that used up its restarts rests at least until the count starts anew."""
        if self.retry_period_ms < self.restart_period_ms:
            least = f"At least RestartPeriod, {self.restart_period_ms} ms; 4294967295 = never."
            raise ValidationError({"retry_period_ms": least})


class Dependency(models.Model):
    """`resource` needs `provider` online first.

    Rows of one resource with the same `clause` are alternatives (an OR set); clauses are
    joined by AND: `([a] or [b]) and ([c])`. At most one relation between two resources.
    """

    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="dependencies")
    provider = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="dependents")
    clause = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["resource_id", "clause", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["resource", "provider"],
                name="dependency_unique",
                violation_error_message="This dependency exists already.",
            ),
            models.CheckConstraint(
                condition=~models.Q(resource=models.F("provider")),
                name="dependency_not_on_itself",
                violation_error_message="A resource cannot depend on itself.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.resource} needs {self.provider}"


class PreferredOwner(models.Model):
    """A place in a group's ordered list of preferred owners."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="preferences")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["group", "node"], name="preferred_owner_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.group} prefers {self.node} as number {self.position + 1}"


class PossibleOwner(models.Model):
    """A node that may run a resource; a resource without rows may run on all."""

    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="possible")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["resource", "node"], name="possible_owner_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.resource} may run on {self.node}"
