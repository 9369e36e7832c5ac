"""No secret in a log, a list of processes, or a file that others may read."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.sessions.models import Session

from monitoring.models import Node, Resource
from tests.cluster.harness import LiveCluster

pytestmark = pytest.mark.cluster


def ask(cluster: LiveCluster, path: str, name: str, password: str, method: str = "GET") -> int:
    given = base64.b64encode(f"{name}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"{cluster.url}{path}", headers={"Authorization": f"Basic {given}"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def secrets_of(cluster: LiveCluster) -> dict[str, str]:
    """Every secret of a running installation, by what it is."""
    found = {f"first password of {name}": password for name, password in cluster.passwords.items()}
    for name in ("secret-key", "broker-password"):
        found[name] = (cluster.home / name).read_text().strip()
    broker = urlsplit((cluster.home / "broker-url").read_text()).password
    assert broker == found["broker-password"]
    alias = cluster._alias
    found |= {f"key of {node}": node.key for node in Node.objects.using(alias)}
    for resource in Resource.objects.using(alias).select_related("type"):
        if password := resource.properties.get("MailboxPassword"):
            found[f"mail password of {resource}"] = password
    found |= {f"session {n}": s.session_key for n, s in enumerate(Session.objects.using(alias))}
    found["a wrong password"] = "typed-by-mistake-into-the-wrong-field"
    assert len(found) >= 10
    return found


def test_no_log_and_no_list_of_processes_holds_a_secret(cluster: LiveCluster) -> None:
    wrong = "typed-by-mistake-into-the-wrong-field"
    assert ask(cluster, "/api/v1/cluster", "admin", wrong) == 401
    assert ask(cluster, "/api/v1/cluster", wrong, wrong) == 401
    assert ask(cluster, "/api/v1/cluster", "admin", cluster.passwords["admin"]) == 200
    assert ask(cluster, "/node/messages", "admin", wrong, "POST") == 400
    cluster.cli("move", "EVS1", "NODE2")
    secrets = secrets_of(cluster)
    logs = [path for path in cluster.home.rglob("*.log*") if path.is_file()]
    assert len(logs) > 10 and any(path.stat().st_size for path in logs)
    texts = {str(path): path.read_text(errors="replace") for path in logs}
    for pid, command in cluster.left_running().items():
        texts[f"command line of {pid}"] = command
    texts["history"] = cluster.story()
    assert len(texts) > len(logs) + 10
    shown = [
        (where, what) for where, text in texts.items() for what, secret in secrets.items() if secret in text
    ]
    assert shown == []


def test_only_the_user_of_the_cluster_reads_files_with_secrets(cluster: LiveCluster) -> None:
    """Where the home was made by somebody else, its own mode may let others in."""
    secrets = secrets_of(cluster)
    open_to_others = []
    for path in cluster.home.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077 and path.stat().st_size < 50_000_000:
            content = path.read_bytes()
            open_to_others += [
                (str(path), what) for what, secret in secrets.items() if secret.encode() in content
            ]
    assert open_to_others == []
    assert not [p for p in (cluster.home, Path(cluster.home / "nodes")) if p.stat().st_mode & 0o077]
