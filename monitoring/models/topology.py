"""Groups, resource types, resources and dependencies; cluster and nodes stand in `members`.

Property names, defaults, units and bounds are those of semantics section 3; a field's
`help_text` says the unit. Two kinds of fields stand side by side: what an administrator
configures, and what the cluster service keeps (owner, epoch, state): only `service/` writes
the second kind, inside the cluster's transaction.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower

from monitoring.core.states import ResourceState, RestartAction, Stage, TransitKind
from monitoring.models.members import Node, bounded

USE_TYPE = 0xFFFFFFFF
NEVER = 0xFFFFFFFF
STORAGE_GROUPS = "StorageGroups"
"""The private property that weighs on a node (semantics 6.5), of whichever type has it."""
PRIORITIES = ((0, "Do not start automatically"), (1000, "Low"), (2000, "Medium"), (3000, "High"))


def not_2_to_9(value: int) -> None:
    """IsAlivePollInterval: 1 stands for the type's value, so that intervals begin at 10 ms."""
    if 2 <= value <= 9:
        raise ValidationError(f"{value} ms is too short: at least 10, or 1 for the value of the type.")


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
    down_since = models.FloatField(null=True, editable=False)
    """Since when it has not been Online; null while it is."""
    proof_at = models.FloatField(null=True, editable=False)
    """The last proof that it served before `down_since`, where something failed; null for none."""
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


class NodeTypes(models.Model):
    """Which resource types a node has, as its agent said when it was last started."""

    node = models.OneToOneField(Node, on_delete=models.CASCADE, related_name="types")
    names = models.JSONField(default=list)
    broken = models.JSONField(default=list)
    """A sentence for each plugin that could not be loaded there."""

    def __str__(self) -> str:
        return f"the resource types of {self.node}"


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
        help_text="SeparateMonitor: its DLL runs in a process of its own, which may crash or hang alone",
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
    facts = models.JSONField(default=list, editable=False)
    """What it shows about itself while it is up: {"name", "text", "level", "share"} of each."""
    warning = models.TextField(blank=True, editable=False)
    """Its facts that are warnings, in one text."""
    newest_times = models.JSONField(default=dict, editable=False)
    """What was told last of the times of each entry point (see `service.probe_times`)."""
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
