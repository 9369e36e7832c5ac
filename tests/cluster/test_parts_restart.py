"""Each process of the product may die alone while groups run.

No group goes down because of it unless its own node's agent is gone for longer than its lease,
and nothing that was acknowledged is lost.
"""

from __future__ import annotations

import signal
import time

import pytest

from monitoring.service import membership
from tests.cluster import mail
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until

pytestmark = pytest.mark.cluster

GROUPS = ("EVS1", "EVS2")
LONGER_THAN_A_LEASE = 5.0


class Untouched:
    """What runs for the groups; `check` says that the very same processes still do."""

    def __init__(self, cluster: LiveCluster, *groups: str) -> None:
        self._cluster = cluster
        self._last = cluster.last_event()
        self._before = {group: self._running(group) for group in groups}

    def _running(self, group: str) -> tuple[str, frozenset[int]]:
        node = self._cluster.owner(group)
        pids = frozenset(self._cluster.group_processes(group, node))
        assert pids, f"nothing runs for {group} on {node}"
        return node, pids

    def check(self) -> None:
        for group, before in self._before.items():
            assert self._running(group) == before, self._cluster.story(self._last)
            assert self._cluster.is_online(group), self._cluster.story(self._last)


def prove_that_it_works(cluster: LiveCluster) -> None:
    """An operator's intent is carried out, there and back."""
    cluster.cli("move", "EVS1", "NODE2")
    assert cluster.owner("EVS1") == "NODE2"
    cluster.cli("move", "EVS1", "NODE1")
    assert cluster.is_online("EVS1", "NODE1")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("part", ["web", "service", "broker"])
def test_groups_stay_up_while_a_part_is_restarted(cluster: LiveCluster, part: str, number: signal.Signals):
    untouched = Untouched(cluster, *GROUPS)
    cluster.wait_restarted(part, cluster.kill(part, number))
    wait_until(cluster.all_nodes_up, 20, "all nodes Up")
    untouched.check()
    prove_that_it_works(cluster)


def test_groups_come_back_to_their_nodes_when_everything_but_the_agents_died(cluster: LiveCluster):
    # With no way to the cluster service for as long as their lease, the nodes end their resources.
    records = {group: cluster.last_record(group) for group in GROUPS}
    old = {part: cluster.kill(part) for part in ("broker", "service", "web")}
    for part, pid in old.items():
        cluster.wait_restarted(part, pid)
    wait_until(cluster.all_nodes_up, 20, "all nodes Up")
    cluster.wait_online("EVS1", "NODE1")
    cluster.wait_online("EVS2", "NODE2")
    assert {group: cluster.last_record(group) for group in GROUPS} == records, "nothing was moved"
    prove_that_it_works(cluster)


def test_an_acknowledged_intent_survives_the_death_of_the_cluster_service(cluster: LiveCluster):
    old = cluster.kill("service")
    cluster.cli("move", "EVS1", "NODE2", "--no-wait")  # accepted, and nobody there to carry it out
    cluster.wait_restarted("service", old)
    cluster.wait_online("EVS1", "NODE2")


def test_an_acknowledged_intent_survives_the_loss_of_the_brokers_memory(cluster: LiveCluster):
    service = cluster.kill("service")
    cluster.cli("move", "EVS1", "NODE2", "--no-wait")
    broker = cluster.kill("broker")  # and with it the message that tells of the intent
    cluster.wait_restarted("broker", broker)
    cluster.wait_restarted("service", service)
    cluster.wait_online("EVS1", "NODE2")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_clients_do_not_notice_that_an_agent_is_killed_or_replaced(
    cluster: LiveCluster, number: signal.Signals
):
    untouched = Untouched(cluster, *GROUPS)
    before, records = cluster.last_event(), cluster.last_record("EVS1")
    letters = [mail.send(cluster, "EVS1")]
    old = cluster.kill("agent-NODE1", number)
    until = time.monotonic() + LONGER_THAN_A_LEASE
    while time.monotonic() < until:
        letters.append(mail.send(cluster, "EVS1"))
        letters[-1].check_readable()
    assert cluster.pid("agent-NODE1") != old
    untouched.check()
    assert cluster.last_record("EVS1") == records, "no failover"
    codes = {event.code for event in cluster.events(before)}
    assert not codes & {membership.NODE_LOST, membership.NODE_JOINED}, cluster.story(before)
    subjects = mail.subjects_by_imap(cluster, "EVS1")
    assert all(letter.subject in subjects for letter in letters)
    prove_that_it_works(cluster)


def test_the_groups_of_an_agent_that_is_gone_fail_over_and_those_of_others_do_not_notice(
    cluster: LiveCluster,
):
    untouched = Untouched(cluster, "EVS2")
    with cluster.kept_down("NODE1"):
        cluster.wait_online("EVS1", "NODE2")
        assert cluster.group_processes("EVS1", "NODE1") == []
    wait_until(cluster.all_nodes_up, 20, "all nodes Up")
    untouched.check()
