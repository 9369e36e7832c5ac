"""What a service prints is read from the node that it runs on, and told with its failure."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until

pytestmark = pytest.mark.cluster
MTA = "Exchange Message Transfer Agent"


def test_output_is_read_from_the_node_and_its_end_stands_in_the_history_with_a_failure(
    cluster: LiveCluster,
) -> None:
    owner = cluster.group("EVS1").owner
    resource = cluster.resource("EVS1", MTA)
    assert owner is not None
    answer = cluster.cli("output", resource.name)
    assert (answer["node"], answer["notice"]) == (owner.name, "")
    log = cluster.home / "nodes" / owner.name / "resources" / str(resource.pk) / "output.log"
    with log.open("a") as file:  # as the service would, in its last moment
        file.write("no more room on the disk\n")
    assert "no more room on the disk" in cluster.cli("output", resource.name)["text"]
    before = cluster.last_event()
    for pid in cluster.resource_processes("EVS1", MTA):
        os.kill(pid, signal.SIGKILL)
    lines = wait_until(lambda: cluster.events(before, output__contains="no more room"), 15, "its last lines")
    assert [event.text for event in lines] == [f"What {resource.name} printed before it failed"]
    wait_until(lambda: cluster.is_online("EVS1"), 30, "it is online again")
