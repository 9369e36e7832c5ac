"""Who may come in: failed attempts to sign in, and the tokens of programs.

`at` and its like are cluster time in seconds since 1970.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from monitoring.models.roles import Role


class Attempts(models.Model):
    """Failed attempts to sign in that count together: by an account, an address, both, or a browser.

    `key` is derived from what they have in common with the secret key, so that a password typed
    into the field for the name is not to be read here. `user` and `address` are what an
    administrator is shown; a name that nobody has leaves `user` empty.
    """

    KINDS = [
        ("account", "from anywhere"),
        ("address", "any name, from one address"),
        ("both", "from one address"),
        ("browser", "from a browser that is known"),
        ("password", "change of password"),
    ]

    key = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=10, choices=KINDS)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=50, blank=True)
    failures = models.IntegerField(default=0)
    last_at = models.FloatField(db_index=True)
    blocked_until = models.FloatField(default=0.0)

    before = 0.0
    """`blocked_until` as it was before the attempt that is under way; not stored."""

    class Meta:
        ordering = ["-last_at"]

    def __str__(self) -> str:
        return f"{self.failures} failed, {self.get_kind_display()}"

    def wait(self, now: float, longest: float) -> float:
        """Seconds until the next attempt is looked at; 0 where that is now."""
        left = self.blocked_until - now
        return left if 0 < left <= longest else 0.0


class Token(models.Model):
    """A secret by which a program acts for a user, with a role of its own, until it is revoked.

    Only the SHA-256 of the secret is kept: it is 256 bits of chance, which nobody guesses. The
    user's own role is the upper limit at any time.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=20, choices=[(role.value, role.value) for role in Role])
    created_at = models.FloatField()
    expires_at = models.FloatField(null=True)
    used_at = models.FloatField(null=True)
    """To the hour."""

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="token_name_of_user")]

    def __str__(self) -> str:
        return self.name
