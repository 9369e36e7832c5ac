"""What a report of availability needs to know beside the changes of state."""

from __future__ import annotations

from django.db import models


class WatchTime(models.Model):
    """A stretch of time in which the cluster service watched the nodes; cluster time.

    The newest one is prolonged while it watches. What lies between two of them was not watched.
    """

    since = models.FloatField()
    until = models.FloatField(db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"watched from {self.since} to {self.until}"


class OutageMark(models.Model):
    """An operator said afterwards whether an outage was planned; the newest word counts."""

    group = models.ForeignKey("Group", null=True, on_delete=models.SET_NULL, related_name="+")
    group_name = models.CharField(max_length=63)
    event = models.BigIntegerField(db_index=True)
    """Number of the event with which the outage began."""
    planned = models.BooleanField()
    reason = models.TextField()
    requested_by = models.CharField(max_length=150)
    at = models.FloatField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"outage {self.event} of {self.group_name}: {'planned' if self.planned else 'unplanned'}"
