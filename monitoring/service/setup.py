"""What an empty database needs before anything else: the cluster, its types, the first users."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from monitoring.models import Cluster
from monitoring.models.roles import Role, grant
from monitoring.service import topology
from monitoring.service.lock import cluster_lock

USERS = (("admin", Role.ADMINISTRATOR), ("operator", Role.OPERATOR), ("viewer", Role.VIEWER))


@dataclass(frozen=True, slots=True)
class FirstUser:
    """A user that was just created; the password is told once and kept nowhere."""

    name: str
    role: str
    password: str


def empty_cluster() -> tuple[FirstUser, ...]:
    """A cluster without nodes and groups; what is there already stays."""
    prepare()
    hashed = hash_passwords()
    with cluster_lock():
        return first_users(hashed)


def prepare() -> None:
    """The cluster's row, which is its lock, and the types of the installed DLLs."""
    Cluster.objects.get_or_create(pk=1)
    topology.sync_types()


def hash_passwords() -> dict[str, str]:
    """New passwords with their hashes, for `first_users`. That takes a second: not under the lock."""
    if User.objects.exists():
        return {}
    passwords = [secrets.token_urlsafe(12) for _ in USERS]
    return {password: make_password(password) for password in passwords}


def first_users(hashed: dict[str, str]) -> tuple[FirstUser, ...]:
    """One user of each role, where there is none yet. Call it under the cluster's lock."""
    if User.objects.exists():
        return ()
    created = []
    for (name, role), (password, hash_) in zip(USERS, hashed.items(), strict=True):
        grant(User.objects.create(username=name, password=hash_), role)
        created.append(FirstUser(name, role.value, password))
    return tuple(created)
