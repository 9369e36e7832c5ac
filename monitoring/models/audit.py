"""The audit trail: who did or tried what, when, from where, why, and how it ended."""

from __future__ import annotations

from django.db import models


class AuditEntry(models.Model):
    """One thing that somebody did, was refused, or was not allowed to do.

    Written in the transaction of what it tells of; what was refused changed nothing, and is
    written by itself. Names are stored as they were. `at` is cluster time in seconds since 1970.
    """

    CHANNELS = [
        ("dashboard", "Dashboard"),
        ("api", "REST API"),
        ("command-line", "Command line"),
        ("schedule", "Schedule"),
    ]
    OUTCOMES = [
        ("done", "Done"),
        ("refused", "Refused"),
        ("forbidden", "Not allowed"),
    ]

    at = models.FloatField(db_index=True)
    who = models.CharField(max_length=150, db_index=True)
    role = models.CharField(max_length=20, blank=True)
    """The role at that time, "" where it is not known or there is none."""
    channel = models.CharField(max_length=12, choices=CHANNELS)
    address = models.CharField(max_length=120, blank=True)
    """The client's address; on the command line the machine and its user."""
    text = models.TextField()
    reason = models.TextField(blank=True)
    outcome = models.CharField(max_length=10, choices=OUTCOMES, default="done")
    operation = models.ForeignKey("Operation", null=True, on_delete=models.SET_NULL, related_name="+")
    """What was accepted may still fail: its state is the last word."""
    event = models.BigIntegerField(null=True)
    """Number of the event that tells of it in the history."""

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.who}: {self.text}"
