"""What is kept about users beside their name and role: where they are signed in, how they read.

`at` and its like are cluster time in seconds since 1970.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import models


class Visit(models.Model):
    """A session of a user: where it began, and when it was last used. It goes when the session does."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="visit")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="visits")
    began_at = models.FloatField()
    seen_at = models.FloatField()
    """To a twenty-fourth of the time after which an unused session ends."""
    address = models.CharField(max_length=50, blank=True)
    browser = models.CharField(max_length=200, blank=True)
    """What the browser says of itself (User-Agent)."""

    class Meta:
        ordering = ["-seen_at", "-id"]

    def __str__(self) -> str:
        return f"{self.user} from {self.address}"


class Preference(models.Model):
    """How a user reads the dashboard. An empty field leaves it to the browser and the cluster."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preference")
    language = models.CharField(max_length=20, blank=True)
    zone = models.CharField(max_length=64, blank=True)
    """The name of a time zone, or "browser"."""

    def __str__(self) -> str:
        return f"{self.user} reads {self.language or 'any language'}, {self.zone or 'cluster time'}"
