"""The history: a gapless sequence of events, failover records with phases, probe times.

Names are stored as they were: a row stays true when its node or group is renamed or gone.
`at` is cluster time in seconds since 1970.
"""

from __future__ import annotations

from django.db import models

from monitoring.core.states import Severity


class Event(models.Model):
    """One change or observation, numbered without gaps by `seq`."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.FloatField(db_index=True)
    code = models.IntegerField(default=0, help_text="event id, semantics section 7")
    severity = models.SmallIntegerField(choices=[(s.value, s.label) for s in Severity], default=0)
    text = models.TextField()
    group = models.ForeignKey("Group", null=True, on_delete=models.SET_NULL, related_name="events")
    group_name = models.CharField(max_length=63, blank=True)
    resource = models.ForeignKey("Resource", null=True, on_delete=models.SET_NULL, related_name="events")
    resource_name = models.CharField(max_length=200, blank=True)
    node = models.ForeignKey("Node", null=True, on_delete=models.SET_NULL, related_name="events")
    node_name = models.CharField(max_length=15, blank=True)
    operation = models.ForeignKey("Operation", null=True, on_delete=models.SET_NULL, related_name="events")
    record = models.ForeignKey("FailoverRecord", null=True, on_delete=models.SET_NULL, related_name="events")
    requested_by = models.CharField(max_length=150, blank=True)
    state_from = models.CharField(max_length=20, blank=True)
    state_to = models.CharField(max_length=20, blank=True)
    output = models.TextField(blank=True)
    """What processes of the resource printed; for operators and administrators only."""
    number_at_node = models.BigIntegerField(null=True, editable=False)
    """What tells a line that its node sent from all others of it; null where nobody sent it."""

    class Meta:
        ordering = ["-seq"]
        indexes = [
            models.Index(fields=["group", "-seq"]),
            models.Index(fields=["node", "-seq"]),
            # Changes of groups' states, few among all events: for the reports of availability
            models.Index(fields=["at"], condition=models.Q(code=1674), name="group_states_by_time"),
            models.Index(fields=["group", "-seq"], condition=models.Q(code=1674), name="group_states"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["node", "number_at_node"],
                condition=models.Q(number_at_node__isnull=False),
                name="event_of_a_node_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.seq}: {self.text}"


class FailoverRecord(models.Model):
    """One passage of a group from node to node (or its restart in place), with its cause."""

    KINDS = [
        ("move", "Move"),
        ("failover", "Failover"),
        ("failback", "Failback"),
        ("drain", "Drain"),
        ("restart", "Restart"),
    ]
    STATES = [
        ("running", "Running"),
        ("done", "Done"),
        ("failed", "Failed"),
        ("superseded", "Superseded"),
        ("continued", "Continued"),
    ]

    group = models.ForeignKey("Group", null=True, on_delete=models.SET_NULL, related_name="records")
    group_name = models.CharField(max_length=63)
    kind = models.CharField(max_length=10, choices=KINDS)
    source = models.CharField(max_length=15, blank=True)
    target = models.CharField(max_length=15)
    cause = models.TextField()
    rule = models.TextField(blank=True)
    requested_by = models.CharField(max_length=150, blank=True)
    operation = models.ForeignKey("Operation", null=True, on_delete=models.SET_NULL, related_name="records")
    started = models.FloatField(db_index=True)
    stopped = models.FloatField(null=True)
    """When everything was offline and the owner changed."""
    finished = models.FloatField(null=True)
    state = models.CharField(max_length=12, choices=STATES, default="running")
    outcome = models.TextField(blank=True)
    lost_at = models.FloatField(null=True)
    """When the lease of its node was over, where that is why it went; null for all else."""
    proof_at = models.FloatField(null=True)
    """The last proof that the group served before: a heartbeat of its node, or an IsAlive that said yes."""
    down_since = models.FloatField(null=True)
    """Since when the group did not serve; null where it was not meant to, or went on."""
    up_at = models.FloatField(null=True)
    """When it was Online again; null while it is not."""

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.group_name} from {self.source} to {self.target}"

    @property
    def seconds(self) -> float | None:
        """Duration in seconds, None while it is under way."""
        return None if self.finished is None else self.finished - self.started


class Phase(models.Model):
    """One resource going offline or coming online within a failover record."""

    record = models.ForeignKey(FailoverRecord, on_delete=models.CASCADE, related_name="phases")
    resource = models.ForeignKey("Resource", null=True, on_delete=models.SET_NULL, related_name="+")
    resource_name = models.CharField(max_length=200)
    node_name = models.CharField(max_length=15)
    direction = models.CharField(max_length=7, choices=[("offline", "Offline"), ("online", "Online")])
    started = models.FloatField()
    finished = models.FloatField(null=True)
    outcome = models.CharField(max_length=20, blank=True)
    """Label of the state that it ended in."""

    class Meta:
        ordering = ["started", "id"]

    def __str__(self) -> str:
        return f"{self.resource_name} {self.direction} on {self.node_name}"


class FailoverNote(models.Model):
    """What an operator wrote about a failover. A deleted one keeps who and when, and loses its text."""

    LONGEST = 4000

    record = models.ForeignKey(FailoverRecord, on_delete=models.CASCADE, related_name="notes")
    author = models.CharField(max_length=150)
    text = models.TextField(max_length=LONGEST, blank=True)
    at = models.FloatField()
    edited_at = models.FloatField(null=True)
    deleted_at = models.FloatField(null=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"Note {self.pk} of {self.author} on failover {self.record_id}"


class ProbeTime(models.Model):
    """A sample of a resource's probe times over one reporting interval, in milliseconds."""

    resource = models.ForeignKey("Resource", on_delete=models.CASCADE, related_name="probe_times")
    entry_point = models.CharField(max_length=10)
    at = models.FloatField()
    calls = models.IntegerField()
    failures = models.IntegerField()
    mean_ms = models.FloatField()
    max_ms = models.FloatField()

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["resource", "-at"])]

    def __str__(self) -> str:
        return f"{self.entry_point} of {self.resource} at {self.at}: {self.mean_ms:.1f} ms"
