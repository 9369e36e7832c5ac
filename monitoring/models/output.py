"""What the processes of a resource printed, as far as somebody asked for it."""

from __future__ import annotations

from django.db import models


class ResourceOutput(models.Model):
    """The newest lines of one resource, as its node told them. Times are cluster time."""

    resource = models.OneToOneField("Resource", on_delete=models.CASCADE, related_name="output")
    node_name = models.CharField(max_length=15, blank=True)
    """Where it was read last; "" before that."""
    asked_at = models.FloatField(null=True)
    read_at = models.FloatField(null=True)
    written_at = models.FloatField(null=True)
    """When the last line was written; null where there is none."""
    text = models.TextField(blank=True)
    cut = models.BooleanField(default=False)
    """There are older lines on the node."""

    def __str__(self) -> str:
        return f"Output of resource {self.resource_id}"
