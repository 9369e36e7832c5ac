"""The whole cluster on a broker to which somebody else writes too."""

from __future__ import annotations

import json

import pytest
import redis
from celery import Celery

from monitoring.models import Cluster
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until
from tests.node.test_hostile_broker import GARBAGE

pytestmark = pytest.mark.cluster


def test_nothing_on_the_broker_ends_the_cluster_service_or_moves_a_group(cluster: LiveCluster):
    url = (cluster.home / "broker-url").read_text().strip()
    names = ("service", "web", "agent-NODE1", "agent-NODE2")
    pids = {name: cluster.pid(name) for name in names}
    began = cluster.last_event()
    known = Cluster.objects.using(cluster._alias)
    before = known.get().refused_messages
    client = redis.Redis.from_url(url)
    for item in GARBAGE:
        client.lpush("clusterweb.cluster", item)
    for topic in ("clusterweb.live__group__live", "clusterweb.live"):
        client.publish(topic, b"\xc1 no announcement")
    stranger = Celery("stranger", broker=url, set_as_current=False, fixups=[])
    stranger.conf.broker_transport_options = {"global_keyprefix": "clusterweb."}
    stranger.control.shutdown()
    for raw in (None, {"node": "NODE1"}, ["x"] * 10):
        stranger.send_task("cluster.receive", args=[raw], queue="cluster", ignore_result=True)
    stranger.send_task("cluster.decide", args=[["x", None, 2**70]], queue="cluster", ignore_result=True)
    expected = len(GARBAGE) + 4 - 3  # the last three of GARBAGE ask for a task of the agents': not there
    wait_until(lambda: known.get().refused_messages >= before + expected, 30, "all of it is counted")
    cluster.cli("move", "EVS1", "NODE2")  # it still works, and answers
    assert {name: cluster.pid(name) for name in names} == pids, cluster.story(began)
    moved = {event.group_name for event in cluster.events(began) if event.group_name}
    assert moved <= {"EVS1"}, cluster.story(began)
    assert str(known.get().refused_messages) in json.dumps(cluster.cli("status"))
