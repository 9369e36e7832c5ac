"""A node's key is rotated while everything runs, in real processes."""

from __future__ import annotations

import pytest

from monitoring.core.keys import fingerprint
from monitoring.core.messages import Heartbeat, seal
from monitoring.models import Node
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until

pytestmark = pytest.mark.cluster


def test_a_key_is_rotated_with_one_command_and_nothing_stops(cluster: LiveCluster):
    nodes = Node.objects.using(cluster._alias)
    old = nodes.get(name="NODE1").key
    began, processes = cluster.last_event(), cluster.group_processes("EVS1", "NODE1")
    done = cluster.cli("rotate-key", "NODE1", "--reason", "it is time", "--timeout", "20")
    new = nodes.get(name="NODE1").key
    assert (done["state"], new == old) == ("done", False)
    assert cluster.group_processes("EVS1", "NODE1") == processes
    told = [event for event in cluster.events(began) if event.node_name == "NODE1"]
    assert any(fingerprint(new) in event.text for event in told), cluster.story(began)
    assert not [event for event in cluster.events(began) if event.group_name], cluster.story(began)
    # The file that its supervisor gave it still has the old key; the agent starts with the new one
    assert (cluster.home / "nodes" / "NODE1" / "key").read_text() == old
    pid = cluster.kill("agent-NODE1")
    cluster.wait_restarted("agent-NODE1", pid)
    cluster.wait_online("EVS1", timeout=60)
    wait_until(cluster.all_nodes_up, 30, "NODE1 is back")
    refused = nodes.get(name="NODE1").refused_messages
    _say(cluster, old)
    wait_until(lambda: nodes.get(name="NODE1").refused_messages > refused, 10, "the old key is refused")
    for log in (cluster.home / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert old not in text
        assert new not in text


def _say(cluster: LiveCluster, key: str) -> None:
    """A heartbeat of NODE1, signed with `key`, on the broker."""
    from celery import Celery

    url = (cluster.home / "broker-url").read_text().strip()
    app = Celery("listener", broker=url, set_as_current=False, fixups=[])
    app.conf.broker_transport_options = {"global_keyprefix": "clusterweb."}
    beat = seal("NODE1", Heartbeat(2**61, 1, 0), key)
    app.send_task("cluster.receive", args=[beat], queue="cluster", ignore_result=True)
