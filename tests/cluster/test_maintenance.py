"""An operator works on a running group: the cluster looks on, and takes over again when told to."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until

pytestmark = pytest.mark.cluster


def test_what_breaks_in_maintenance_is_told_and_left_alone_until_it_ends(cluster: LiveCluster):
    cluster.cli("maintenance", "on", "EVS1", "--reason", "a new certificate")
    began, record = cluster.last_event(), cluster.last_record("EVS1")
    try:
        for pid in cluster.resource_processes("EVS1", "Exchange POP3 Virtual Server"):
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: cluster.events(began, text__contains="in maintenance: nothing is done"),
            15,
            "the history tells of it",
        )
        assert cluster.is_online("EVS1", "NODE1")
        assert not cluster.resource_processes("EVS1", "Exchange POP3 Virtual Server")
        with pytest.raises(AssertionError, match="EVS1 is in maintenance: end it first"):
            cluster.cli("move", "EVS1", "NODE2")
    finally:
        cluster.cli("maintenance", "off", "EVS1")
    wait_until(
        lambda: (
            cluster.resource_processes("EVS1", "Exchange POP3 Virtual Server")
            and cluster.resource_is_online("EVS1", "Exchange POP3 Virtual Server")
        ),
        20,
        "POP3 is restarted",
    )
    cluster.wait_online("EVS1", "NODE1")
    assert cluster.last_record("EVS1") == record, "it was restarted in place"
