"""Fencing: devices, which of them turn which node off, and what is being done about a node now."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower

from monitoring.models.members import bounded


class FenceDevice(models.Model):
    """Something that can turn nodes off, configured once and used by one node or many."""

    name = models.CharField(max_length=63)
    description = models.TextField(blank=True)
    method = models.CharField(max_length=60, help_text="name of the fence method")
    kind = models.CharField(max_length=80, blank=True, help_text="of a fence agent: its name")
    parameters = models.JSONField(default=dict, blank=True)
    """Only what differs from the defaults. Secrets are in it: it is shown nowhere as it is."""

    # The test under way or the last one, kept by the cluster service
    test_operation = models.ForeignKey(
        "Operation", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    """The test that was asked for and has not ended."""
    claimed_until = models.FloatField(null=True, editable=False)
    tested_at = models.FloatField(null=True, editable=False)
    tested_ok = models.BooleanField(null=True, editable=False)
    tested_text = models.TextField(blank=True, editable=False)
    tested_seconds = models.FloatField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="fence_device_name_unique",
                violation_error_message="A fence device has this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class FenceStep(models.Model):
    """A device in the levels of a node. All devices of a level have to confirm; levels follow in order."""

    node = models.ForeignKey("Node", on_delete=models.CASCADE, related_name="fence_steps")
    device = models.ForeignKey(FenceDevice, on_delete=models.PROTECT, related_name="steps")
    level = bounded(1, 1, 9, help_text="1 is tried first")
    parameters = models.JSONField(default=dict, blank=True)
    """What the node sets for itself, such as the number of its plug."""
    delay_ms = bounded(0, 0, 600_000, help_text="ms before the first try")
    timeout_ms = bounded(60_000, 1000, 1_800_000, help_text="ms that one try may take")
    retries = bounded(1, 0, 20, help_text="tries after the first")

    class Meta:
        ordering = ["level", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["node", "level", "device"],
                name="fence_step_unique",
                violation_error_message="The device is in this level already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.device} in level {self.level} of {self.node}"


class Fence(models.Model):
    """A node that is to be turned off, until that is confirmed or no longer needed.

    At most one of a node is open. It is about one life of the node: a new life ends it.
    """

    STATES = [
        ("running", "Running"),
        ("failed", "Failed"),
        ("confirmed", "Confirmed"),
        ("cancelled", "Cancelled"),
    ]
    """Failed with no `finished`: all levels failed, and they are tried again at `next_at`."""

    node = models.ForeignKey("Node", on_delete=models.CASCADE, related_name="fences")
    incarnation = models.BigIntegerField()
    cause = models.TextField()
    operation = models.ForeignKey("Operation", null=True, on_delete=models.SET_NULL, related_name="+")
    """The operator's intent, where somebody asked for it."""
    state = models.CharField(max_length=10, choices=STATES, default="running")
    started = models.FloatField()
    finished = models.FloatField(null=True)
    rounds = models.IntegerField(default=0)
    """Rounds through all levels that have failed."""
    round_started = models.FloatField()
    tried = models.JSONField(default=list)
    """This round: [step id, confirmed, cluster time, sentence] of each try."""
    doing = models.TextField(blank=True)
    """What is being tried now, for people."""
    error = models.TextField(blank=True)
    """Why the last round failed, device by device."""
    outcome = models.TextField(blank=True)
    next_at = models.FloatField(db_index=True)
    """Cluster time of the next act, if nobody has it in hand."""
    claimed_by = models.CharField(max_length=80, blank=True)
    claimed_until = models.FloatField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["node"], condition=models.Q(finished=None), name="one_open_fence_a_node"
            )
        ]

    def __str__(self) -> str:
        return f"fence of {self.node}: {self.state}"
