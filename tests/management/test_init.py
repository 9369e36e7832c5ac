"""`cluster init`: from an empty database to a cluster that nodes can be added to."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from monitoring.models import Cluster, Group, Node, ResourceType


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("cluster", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_init_makes_an_empty_cluster_that_takes_nodes_and_tells_the_passwords_once() -> None:
    users = json.loads(run("init", "--json"))
    assert Cluster.objects.count() == 1
    assert ResourceType.objects.filter(name="IP Address").exists()
    assert not Node.objects.exists() and not Group.objects.exists()
    assert all(User.objects.get(username=u["name"]).check_password(u["password"]) for u in users)
    assert json.loads(run("init", "--json")) == []
    assert run("add-node", "NODE1").strip() == Node.objects.get().key
