"""The demo cluster is made once, whole, with real paths and addresses of its own."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from monitoring.models import Cluster, Event, Group, Node, Resource
from monitoring.models.roles import may_administer, may_operate
from monitoring.service import demo

pytestmark = pytest.mark.django_db


def set_up(home: Path, port: int = 8000) -> demo.Demo:
    return demo.set_up(home, home / "shared", port)


def test_two_virtual_servers_prefer_two_nodes_and_shall_be_online(tmp_path: Path) -> None:
    assert set_up(tmp_path).created
    groups = list(Group.objects.all())
    assert [(g.name, str(g.owner), g.persistent_online) for g in groups] == [
        ("EVS1", "NODE1", True),
        ("EVS2", "NODE2", True),
    ]
    for group in groups:
        assert [str(p.node) for p in group.preferences.all()] == [str(group.owner)]
        assert group.resources.filter(persistent_online=False).count() == 0
        assert group.resources.filter(type__name="Exchange Information Store").count() == 1
    disk = Resource.objects.get(name="EVS1 Disk")
    assert disk.properties["Path"] == str(tmp_path / "shared" / "EVS1")


def test_two_copies_have_addresses_of_their_own() -> None:
    assert demo.address_of(8000, 11) == "127.31.64.11"
    assert demo.address_of(8001, 11) == "127.31.65.11"
    assert demo.address_of(80, 12) == "127.0.80.12"
    assert demo.address_of(65535, 12) == "127.255.255.12"


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    first = set_up(tmp_path)
    Group.objects.filter(name="EVS1").update(description="mine now")
    events = Event.objects.count()
    second = set_up(tmp_path)
    assert (first.created, second.created) == (True, False)
    assert (len(first.users), second.users) == (3, ())
    assert Event.objects.count() == events
    assert Group.objects.get(name="EVS1").description == "mine now"


def test_nothing_is_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SERVERS", (("EVS1", "NODE1", 11), ("EVS1", "NODE2", 12)))
    with pytest.raises(Exception, match="EVS1 exists already"):
        set_up(tmp_path)
    assert not Node.objects.exists() and not Group.objects.exists() and not User.objects.exists()
    monkeypatch.undo()
    assert set_up(tmp_path).created


def test_the_keys_lie_where_the_agents_read_them_and_nobody_else(tmp_path: Path) -> None:
    set_up(tmp_path)
    for node in Node.objects.all():
        key = tmp_path / "nodes" / node.name / "key"
        assert key.read_text() == node.key
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_first_users_can_log_in_with_what_was_printed(tmp_path: Path) -> None:
    users = {user.name: user for user in set_up(tmp_path).users}
    for user in users.values():
        assert User.objects.get(username=user.name).check_password(user.password)
    assert may_operate(User.objects.get(username="operator"))
    assert not may_administer(User.objects.get(username="operator"))
    assert may_administer(User.objects.get(username="admin"))


def test_the_command_prints_json(settings: object, tmp_path: Path) -> None:
    settings.HOME = tmp_path  # type: ignore[attr-defined]
    out = io.StringIO()
    call_command("setup_demo", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["created"] is True
    assert {user["name"]: user["role"] for user in found["users"]} == {
        "admin": "administrator",
        "operator": "operator",
        "viewer": "viewer",
    }
    assert Cluster.objects.count() == 1
