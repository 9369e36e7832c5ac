"""What is scheduled, and what became of it each time.

A schedule is kept as its operator says it: local time in a named zone. `next_at` and `ends_at` are
cluster time, and are what the cluster service looks at. Names of what it is about are kept beside
the references: a schedule whose node has been evicted must say so and not choose another one.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

FAILED = models.Q(state__in=("failed", "missed")) | models.Q(state="accepted", operation__state="failed")
"""Runs that were refused or missed, or were accepted and failed then."""


class Schedule(models.Model):
    """An action for a time, once or repeated; with `minutes` a window, whose end takes it back."""

    KINDS = [
        ("move", "Move"),
        ("online", "Bring online"),
        ("offline", "Take offline"),
        ("restart", "Restart"),
        ("maintenance", "Start maintenance"),
        ("end-maintenance", "End maintenance"),
        ("pause", "Pause"),
        ("drain", "Drain"),
        ("resume", "Resume"),
    ]
    REPEATS = [("once", "Once"), ("daily", "Daily"), ("weekly", "Weekly"), ("monthly", "Monthly")]

    kind = models.CharField(max_length=20, choices=KINDS)
    group = models.ForeignKey("Group", null=True, on_delete=models.SET_NULL, related_name="schedules")
    group_name = models.CharField(max_length=63, blank=True)
    node = models.ForeignKey("Node", null=True, on_delete=models.SET_NULL, related_name="schedules")
    node_name = models.CharField(max_length=15, blank=True)
    """Of a move the target, where one is chosen; else what the action is about."""
    failback = models.CharField(max_length=10, default="none")
    """Of a resume, also at the end of a window: none, immediate or policy."""
    minutes = models.PositiveIntegerField(null=True)
    """Length of the window, null for none."""
    reason = models.TextField(blank=True)

    first = models.CharField(max_length=16)
    """Local time as 2030-01-31T02:00."""
    zone = models.CharField(max_length=64)
    repeat = models.CharField(max_length=10, choices=REPEATS, default="once")
    every = models.PositiveSmallIntegerField(default=1)
    days = models.JSONField(default=list)
    """Weekdays, 0 for Monday."""
    nth = models.SmallIntegerField(default=1)
    until = models.CharField(max_length=10, blank=True)
    """The last day, as 2030-12-31; empty for ever."""
    tolerance_minutes = models.PositiveIntegerField(default=15)

    requested_by = models.CharField(max_length=150)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    token = models.BigIntegerField(null=True)
    """The token by which its author asked for it, null for none."""
    from_terminal = models.BooleanField(default=False)
    """Made on the command line of the machine, whose users need no role."""
    made_at = models.FloatField()

    # Kept by the cluster service
    paused = models.BooleanField(default=False)
    next_at = models.FloatField(null=True, db_index=True)
    """When it is run next; null where it is paused, or there is no time any more."""
    ends_at = models.FloatField(null=True, db_index=True)
    """When its open window ends; null where none is open."""
    open_run = models.ForeignKey("ScheduleRun", null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"schedule {self.pk}: {self.kind} {self.group_name or self.node_name}"


class ScheduleRun(models.Model):
    """One time of a schedule: when it was due, what was done about it, and why not."""

    PARTS = [("begin", "Begin"), ("end", "End")]
    STATES = [
        ("accepted", "Accepted"),
        ("done", "Done"),
        ("failed", "Failed"),
        ("missed", "Missed"),
        ("skipped", "Skipped"),
    ]

    schedule = models.ForeignKey(Schedule, null=True, on_delete=models.SET_NULL, related_name="runs")
    title = models.CharField(max_length=200)
    part = models.CharField(max_length=5, choices=PARTS, default="begin")
    due_at = models.FloatField()
    ran_at = models.FloatField()
    state = models.CharField(max_length=10, choices=STATES)
    """accepted: how it went stands in the operation."""
    text = models.TextField(blank=True)
    operation = models.ForeignKey("Operation", null=True, on_delete=models.SET_NULL, related_name="+")
    undoes = models.BooleanField(default=False)
    """At the end of its window this is taken back: it was not so before."""
    seen_by = models.CharField(max_length=150, blank=True)
    """Who has taken note that it failed."""

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "part", "due_at"], name="schedule_run_once")
        ]
        indexes = [models.Index(fields=["ran_at"]), models.Index(fields=["state"])]

    def __str__(self) -> str:
        return f"{self.title}: {self.state}"
