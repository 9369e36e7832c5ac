"""What operators asked for: an intent, who, when, why, and how it ended."""

from __future__ import annotations

from django.db import models


class Operation(models.Model):
    """An intent that was accepted, until it is carried out, has failed or was superseded.

    Names of what it is about are kept beside the references, so that the history stays
    readable when a node or group is gone.
    """

    KINDS = [
        ("move", "Move"),
        ("online", "Online"),
        ("offline", "Offline"),
        ("restart", "Restart"),
        ("maintenance", "Maintenance"),
        ("end-maintenance", "End of maintenance"),
        ("resource-online", "Resource online"),
        ("resource-offline", "Resource offline"),
        ("resource-restart", "Resource restart"),
        ("resource-fail", "Simulated failure"),
        ("pause", "Pause"),
        ("drain", "Drain"),
        ("resume", "Resume"),
        ("evict", "Evict"),
        ("rotate-key", "Rotate key"),
        ("fence", "Fence"),
        ("confirm-off", "Confirm off"),
        ("fence-test", "Fence test"),
        ("clear-quarantine", "Clear quarantine"),
        ("edit", "Edit"),
    ]
    STATES = [
        ("running", "Running"),
        ("done", "Done"),
        ("failed", "Failed"),
        ("superseded", "Superseded"),
    ]

    kind = models.CharField(max_length=20, choices=KINDS)
    group = models.ForeignKey("Group", null=True, on_delete=models.SET_NULL, related_name="operations")
    resource = models.ForeignKey("Resource", null=True, on_delete=models.SET_NULL, related_name="operations")
    node = models.ForeignKey("Node", null=True, on_delete=models.SET_NULL, related_name="operations")
    subject = models.CharField(max_length=200)
    requested_by = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=STATES, default="running", db_index=True)
    outcome = models.TextField(blank=True)
    requested_at = models.FloatField()
    finished_at = models.FloatField(null=True)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="parts")
    """The drain that moves this group."""

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["requested_at"],
                condition=models.Q(kind__in=("maintenance", "end-maintenance")),
                name="maintenance_by_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject}"
