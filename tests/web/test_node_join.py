"""A node is added on a page, and its machine joins by the one command that stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from monitoring.core.states import NodeState
from monitoring.models import Event, JoinToken, Node, NodeTypes
from monitoring.service import clock, joining
from tests.web import seed
from tests.web.conftest import Browser


@pytest.fixture(autouse=True)
def no_wrong_tokens_yet() -> None:
    joining._wrong.clear()


def _added(client: Client) -> tuple[Node, str]:
    page = client.post(reverse("node_create"), {"name": "node3", "reason": "more room"}).content.decode()
    command = re.search(r'class="secret-shown"[^>]*>([^<]+)<', page)
    assert command is not None
    return Node.objects.get(name="NODE3"), shlex.split(command[1])[-1]


def _join(token: str) -> Any:
    return Client().post(reverse("node-join"), json.dumps({"token": token}), "application/json")


def test_a_token_is_good_once_and_gives_the_key_of_its_node(seeded: seed.Seeded, browser: Browser) -> None:
    node, token = _added(browser("administrator"))
    answer = _join(token)
    assert answer.status_code == 200
    assert (answer.json()["node"], answer.json()["key"]) == ("NODE3", node.key)
    assert _join(token).status_code == 403
    texts = " ".join(Event.objects.filter(node=node).values_list("text", flat=True))
    assert "made a join token for NODE3" in texts and "was used from 127.0.0.1" in texts
    assert token not in texts and JoinToken.objects.get().digest != token


def test_a_token_that_is_revoked_replaced_or_too_old_is_good_for_nothing(
    seeded: seed.Seeded, browser: Browser
) -> None:
    client = browser("administrator")
    node, token = _added(client)
    address = reverse("node_joining", args=[node.pk])
    page = client.post(address, {"what": "new"}).content.decode()
    newer = re.search(r" join \S+ (\S+?)[ <]", page)
    assert newer is not None and _join(token).status_code == 403
    JoinToken.objects.update(expires_at=clock.now() - 1)
    assert "too old" in client.get(address).content.decode() and _join(newer[1]).status_code == 403
    JoinToken.objects.update(expires_at=clock.now() + 60)
    client.post(address, {"what": "revoke"})
    assert _join(newer[1]).status_code == 403 and not JoinToken.objects.exists()


def test_who_guesses_tokens_has_to_wait(seeded: seed.Seeded) -> None:
    answers = [_join(f"guess{number}").status_code for number in range(joining.TRIES + 1)]
    assert answers == [403] * joining.TRIES + [429]


def test_the_page_follows_the_node_until_it_is_up_and_says_what_it_lacks(
    seeded: seed.Seeded, browser: Browser
) -> None:
    client = browser("administrator")
    node, token = _added(client)
    address = reverse("node_joining", args=[node.pk]) + "?part=1"
    waiting = client.get(address).content.decode()
    assert "good for 15 min more" in waiting and "every 2s" in waiting and token not in waiting
    _join(token)
    assert "used from 127.0.0.1" in client.get(address).content.decode()
    NodeTypes.objects.create(node=seeded.nodes["NODE1"], names=["IP Address", "Physical Disk"], broken=[])
    NodeTypes.objects.create(node=node, names=["IP Address"], broken=[])
    Node.objects.filter(pk=node.pk).update(state=NodeState.UP)
    arrived = client.get(address).content.decode()
    again = client.post(reverse("node_joining", args=[node.pk]), {"what": "new"}, follow=True)
    assert "two machines cannot be one node" in again.content.decode()
    assert "It lacks what other nodes have: Physical Disk" in arrived and "every 2s" not in arrived


@pytest.mark.django_db(transaction=True)
def test_the_command_fetches_the_key_and_writes_files_for_its_user_alone(
    live_server: Any, tmp_path: Path
) -> None:
    from monitoring.service import setup, topology

    setup.empty_cluster()
    node = topology.add_node("NODE3", by="test")
    command = [
        sys.executable,
        "-m",
        "monitoring.node",
        "join",
        live_server.url,
        joining.make(node, by="test"),
    ]
    command += ["--home", str(tmp_path / "joined"), "--no-start"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stderr
    key, env = tmp_path / "joined" / "node.key", tmp_path / "joined" / "node.env"
    assert key.read_text() == node.key and node.key not in env.read_text() + run.stdout + run.stderr
    assert "CLUSTERWEB_NODE=NODE3" in env.read_text()
    assert {path.stat().st_mode & 0o777 for path in (key, env)} == {0o600}
    again = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert again.returncode == 2 and "This token is wrong, used, revoked or too old" in again.stderr
    command[4] = "http://cluster.example"
    assert "must begin with https://" in subprocess.run(command, capture_output=True, text=True).stderr
