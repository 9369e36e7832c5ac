"""The three roles of a user, kept as Django auth groups: viewer, operator, administrator.

Each role includes those before it. A user who was given none may see nothing; a superuser
counts as an administrator.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User


class Role(StrEnum):
    """What a user may do: look, run actions, edit the topology."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


def ensure_roles() -> None:
    """Create the three auth groups where they are missing; runs after every migration."""
    for role in Role:
        Group.objects.get_or_create(name=role.value)


def grant(user: User, role: Role) -> None:
    """Give `user` this role in place of the one it had."""
    user.groups.remove(*Group.objects.filter(name__in=[r.value for r in Role]))
    user.groups.add(Group.objects.get_or_create(name=role.value)[0])
    vars(user).pop("_role", None)


def role_of(user: AbstractBaseUser | AnonymousUser) -> Role | None:
    """The highest role of `user`, None for a stranger. One query, the first time only."""
    if not isinstance(user, User) or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMINISTRATOR
    if "_role" not in vars(user):
        names = set(user.groups.values_list("name", flat=True))
        held = [role for role in Role if role.value in names]
        vars(user)["_role"] = held[-1] if held else None
    role: Role | None = vars(user)["_role"]
    return role


def has_role(user: AbstractBaseUser | AnonymousUser, least: Role) -> bool:
    """True where `user` has the role `least` or a higher one."""
    role = role_of(user)
    return role is not None and role.rank >= least.rank


def may_view(user: AbstractBaseUser | AnonymousUser) -> bool:
    """May see the cluster: every role."""
    return has_role(user, Role.VIEWER)


def may_operate(user: AbstractBaseUser | AnonymousUser) -> bool:
    """May move groups, take them offline, pause nodes: operators and administrators."""
    return has_role(user, Role.OPERATOR)


def may_administer(user: AbstractBaseUser | AnonymousUser) -> bool:
    """May edit the topology: administrators."""
    return has_role(user, Role.ADMINISTRATOR)
