"""What an empty database needs before anything else: the cluster, its types, the first users."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

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
    with cluster_lock():
        return first_users()


def prepare() -> None:
    """The cluster's row, which is its lock, and the types of the installed DLLs."""
    Cluster.objects.get_or_create(pk=1)
    topology.sync_types()


def first_users() -> tuple[FirstUser, ...]:
    """One user of each role, where there is none yet. Call it under the cluster's lock."""
    if User.objects.exists():
        return ()
    created = []
    for name, role in USERS:
        password = secrets.token_urlsafe(12)
        grant(User.objects.create_user(name, password=password), role)
        created.append(FirstUser(name, role.value, password))
    return tuple(created)
