"""Tokens of programs: made, used, revoked. The secret is told once and kept nowhere."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from monitoring.access import users
from monitoring.models import Token
from monitoring.models.roles import Role, role_of
from monitoring.service import clock

PREFIX = "cwt_"
"""By which a token is known for one, also to programs that look for secrets in the wrong place."""
HOUR = 3600.0
DAY = 86_400.0
LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Made:
    """A new token, with its secret."""

    token: Token
    secret: str


def make(user: User, name: str, role: Role, *, by: str, days: int | None = None) -> Made:
    """A token of `user`; ValidationError by field where it cannot be. The history tells of it."""
    name = name.strip()
    if not name or len(name) > 60 or not name.isprintable():
        raise ValidationError({"name": "1 to 60 characters, such as the program's name."})
    if Token.objects.filter(user=user, name__iexact=name).exists():
        raise ValidationError(
            {"name": f"{user} has a token of this name. Revoke it, or choose another name."}
        )
    held = role_of(user)
    if held is None or role.rank > held.rank:
        raise ValidationError({"role": f"{user} is {held or 'without a role'}: a token cannot do more."})
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise ValidationError({"days": f"1 to {LONGEST_DAYS} days, or nothing for no end."})
    secret = PREFIX + secrets.token_urlsafe(32)
    now = clock.now()
    token = Token.objects.create(
        user=user,
        name=name,
        digest=_digest(secret),
        role=role.value,
        created_at=now,
        expires_at=None if days is None else now + days * DAY,
    )
    users.tell(by, f"made the token {token} of {user} with the role {token.role}")
    return Made(token, secret)


def user_of(secret: str) -> User | None:
    """The user whose token this is, with the token's role; None where it is none, or ended.

    One query, and the user's role. `acts_as` on the user is what the history calls it.
    """
    token = Token.objects.select_related("user").filter(digest=_digest(secret)).first()
    now = clock.now()
    if token is None or not token.user.is_active or (token.expires_at or now + 1) <= now:
        return None
    if token.used_at is None or not 0 <= now - token.used_at < HOUR:
        Token.objects.filter(pk=token.pk).update(used_at=now)
    user = token.user
    held, own = role_of(user), Role(token.role)
    user.is_superuser = False  # of this object only: it is never saved
    vars(user)["_role"] = None if held is None else min(held, own, key=lambda role: role.rank)
    vars(user)["token"] = token.pk
    vars(user)["acts_as"] = f"{user.get_username()} (token {token.name})"[:150]
    return user


def revoke(token: Token, *, by: str) -> None:
    """End a token at once. The history tells of it."""
    token.delete()
    users.tell(by, f"revoked the token {token} of {token.user}")


def listed() -> QuerySet[Token]:
    """All tokens by user and name. One query."""
    return Token.objects.select_related("user").order_by("user__username", "name")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
