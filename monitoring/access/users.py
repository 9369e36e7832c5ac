"""Users: made, given a role, shut out and let in again. The history tells of each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError

from monitoring.models import Cluster
from monitoring.models.roles import Role, grant, role_of
from monitoring.service import journal
from monitoring.service.lock import cluster_lock


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user that was just made; the password is told once and kept nowhere."""

    user: User
    password: str


def add(name: str, role: Role, *, by: str) -> NewUser:
    """A user with a password made by chance; ValidationError where the name is taken or cannot be."""
    UnicodeUsernameValidator()(name)
    if len(name) > 150:
        raise ValidationError("A name has at most 150 characters.")
    if User.objects.filter(username__iexact=name).exists():
        raise ValidationError(f"There is a user {name} already.")
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(name, password=password)
    grant(user, role)
    tell(by, f"made the user {name} with the role {role.value}")
    return NewUser(user, password)


def set_role(user: User, role: Role | None, *, by: str) -> None:
    """Give a user this role in place of the one that was, or none."""
    _keep_an_administrator(user, role is Role.ADMINISTRATOR)
    before = role_of(user)
    if role is None:
        user.groups.remove(*user.groups.filter(name__in=[r.value for r in Role]))
    else:
        grant(user, role)
    tell(by, f"changed the role of {user} from {before or 'none'} to {role or 'none'}")


def set_active(user: User, active: bool, *, by: str) -> None:
    """Shut a user out at once, with all sessions, open pages and tokens; or let them in again."""
    _keep_an_administrator(user, active)
    user.is_active = active
    user.save(update_fields=["is_active"])
    tell(by, f"let {user} in again" if active else f"shut {user} out")


def _keep_an_administrator(user: User, stays: bool) -> None:
    if stays or role_of(user) is not Role.ADMINISTRATOR:
        return
    others = User.objects.filter(is_active=True).exclude(pk=user.pk).prefetch_related("groups")
    if not any(role_of(other) is Role.ADMINISTRATOR for other in others):
        raise ValidationError(f"{user} is the only administrator. Make another one first.")


def tell(by: str, what: str) -> None:
    """A line of the history, where there is a cluster."""
    if Cluster.objects.exists():
        with cluster_lock() as held:
            journal.add(held, f"{by} {what}.", by=by[:150])
