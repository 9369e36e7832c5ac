"""Browsers of users with each role, and the cluster of the topology tests."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring.models import Cluster
from monitoring.models.roles import Role, grant
from tests.topology.conftest import cluster, evs1, evs2, nodes

__all__ = ["cluster", "evs1", "evs2", "nodes"]


def _client(role: Role, check_csrf: bool = False) -> Client:
    user = User.objects.create_user(role.value)
    grant(user, role)
    client = Client(enforce_csrf_checks=check_csrf)
    client.force_login(user)
    return client


@pytest.fixture
def viewer(cluster: Cluster) -> Client:
    return _client(Role.VIEWER)


@pytest.fixture
def operator(cluster: Cluster) -> Client:
    return _client(Role.OPERATOR)


@pytest.fixture
def browser(cluster: Cluster) -> Client:
    """An operator's browser, which has to prove that the request is its own."""
    return _client(Role.OPERATOR, check_csrf=True)
