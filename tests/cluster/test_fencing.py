"""A machine that hangs as a whole: its agent, its guard and its services are frozen, and nothing ends them.

Without a fence device its groups would start elsewhere when its lease is over, and the frozen
services would go on where they stopped once the machine wakes. Here nothing else is left
running that could end them: the guard is frozen too.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from monitoring.core.states import GroupState, NodeState, Severity
from monitoring.models import Fence
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until
from tests.fencing.agents import METADATA, write_agent

pytestmark = pytest.mark.cluster

OFF = """
from pathlib import Path
import signal
home = given["plug"].encode()

def alive():
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                about = Path(f"/proc/{entry}/environ").read_bytes()
                about += Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if home in about:
                found.append(int(entry))
    return found

if action == "off":
    while pids := alive():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    with open(here + "/off-at", "w") as note:
        note.write(repr(time.clock_gettime(time.CLOCK_BOOTTIME)))
elif action == "status":
    sys.exit(0 if alive() else 2)
"""
"""It ends every process of a node, as the loss of power does; the plug is the home of the node."""

SLOW = (
    """
if action == "off":
    with open(here + "/begun", "a") as note:
        note.write("x")
    while not os.path.exists(here + "/go"):
        time.sleep(0.05)
"""
    + OFF
)
"""It waits for the test before it does the same."""

BROKEN = """
if action != "monitor":
    print("the management board does not answer", file=sys.stderr)
    sys.exit(5)
"""


@pytest.fixture
def agents(cluster: LiveCluster) -> Path:
    folder = cluster.home.parent / "agents"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def fenced_by(cluster: LiveCluster, agents: Path, name: str, body: str) -> Iterator[None]:
    """NODE2 has this agent as its only fence device within the block."""
    write_agent(agents, body, name=name, metadata=METADATA.replace("fence_test", name))
    cluster.cli("fence-device", "add", "POWER", "--agent", name, "--set", "ip=127.0.0.1")
    plug = f"plug={node_home(cluster)}"
    cluster.cli("fence-level", "add", "NODE2", "POWER", "--set", plug, "--retries", "0", "--timeout", "20")
    try:
        yield
    finally:
        cluster.cli("fence-level", "remove", "NODE2", "POWER")
        cluster.cli("fence-device", "delete", "POWER")


def node_home(cluster: LiveCluster) -> Path:
    return cluster.home / "nodes" / "NODE2"


def processes(cluster: LiveCluster) -> list[int]:
    """Everything that runs on the machine NODE2: its agent, its guard, what they started."""
    home, found = str(node_home(cluster)).encode(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            about = [(entry / what).read_bytes() for what in ("environ", "cmdline")]
            if entry.name.isdigit() and home in b"".join(about):
                found.append(int(entry.name))
    return found


def started(pid: int) -> float:
    """When a process was started, in seconds of the boot clock."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def freeze(cluster: LiveCluster) -> list[int]:
    """The machine hangs: nothing on it is scheduled any more."""
    frozen: set[int] = set()
    while fresh := set(processes(cluster)) - frozen:  # what was just being started is frozen too
        for pid in fresh:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        frozen |= fresh
    assert len(frozen) >= 3
    return sorted(frozen)


@contextmanager
def nothing_is_restarted(cluster: LiveCluster) -> Iterator[None]:
    """The supervisor is frozen: what is off stays off. In the end the machine is off."""
    supervisor = cluster._supervisor
    assert supervisor is not None
    supervisor.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        pull_the_plug(cluster)
        supervisor.send_signal(signal.SIGCONT)
    wait_until(cluster.all_nodes_up, 30, "all nodes Up")


@contextmanager
def hung(cluster: LiveCluster) -> Iterator[None]:
    """The machine hangs, and nobody starts its agent again."""
    with nothing_is_restarted(cluster):
        freeze(cluster)
        yield


def pull_the_plug(cluster: LiveCluster) -> None:
    for pid in processes(cluster):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def fence(cluster: LiveCluster) -> Fence:
    found = Fence.objects.using(cluster._alias).order_by("-id").first()
    assert found is not None
    return found


def test_the_group_of_a_hung_machine_starts_elsewhere_once_it_is_confirmed_off(
    cluster: LiveCluster, agents: Path
):
    began = cluster.last_event()
    with fenced_by(cluster, agents, "fence_power", OFF):
        test = cluster.cli("fence-test", "POWER", "--node", "NODE2")
        assert "NODE2 is on" in test["outcome"]
        with hung(cluster):
            deadline = time.monotonic() + 60
            while not cluster.is_online("EVS2", "NODE1"):
                here, there = cluster.group_processes("EVS2", "NODE1"), processes(cluster)
                assert not (here and there), f"served twice\n{cluster.story(began)}"
                assert time.monotonic() < deadline, cluster.story(began)
                time.sleep(0.02)
            off_at = float((agents / "off-at").read_text())
            served = [started(pid) for pid in cluster.group_processes("EVS2", "NODE1")]
            assert served and min(served) > off_at, "it was started before the machine was off"
            assert not processes(cluster)
    texts = [event.text for event in cluster.events(began)]
    confirmed = texts.index("NODE2 is confirmed off: it was turned off by POWER.")
    assert "EVS2 is Online on NODE1 (was Pending)." in texts[confirmed:]
    assert cluster.owner("EVS1") == "NODE1"


def test_the_group_of_a_hung_machine_stays_until_somebody_has_seen_that_it_is_off(
    cluster: LiveCluster, agents: Path
):
    began = cluster.last_event()
    with fenced_by(cluster, agents, "fence_broken", BROKEN), hung(cluster):
        wait_until(lambda: cluster.events(began, text__contains="could not be fenced"), 30, "the fence fails")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert cluster.owner("EVS2") == "NODE2", cluster.story(began)
            assert not cluster.group_processes("EVS2", "NODE1")
            time.sleep(0.1)
        loud = cluster.events(began, text__contains="could not be fenced")[0]
        assert loud.severity == Severity.SEVERE
        assert "the management board does not answer" in loud.text
        assert cluster.group("EVS2").last_state == GroupState.UNKNOWN
        told = cluster.cli("nodes")
        (node,) = [one for one in told if one["name"] == "NODE2"]
        assert (node["state"], node["unfenced"]) == (NodeState.DOWN.label, True)
        refused = ("confirm-off", "NODE2", "--confirm", "NODE1", "--reason", "x")
        with pytest.raises(AssertionError, match="Type NODE2"):
            cluster.cli(*refused)
        pull_the_plug(cluster)
        reason = "I pulled both power cords"
        cluster.cli("confirm-off", "NODE2", "--confirm", "NODE2", "--reason", reason)
        cluster.wait_online("EVS2", "NODE1", timeout=60)
        record = cluster.records("EVS2")[-1]
        assert "has seen that it is off: I pulled both power cords" in record.cause
        assert fence(cluster).state == "confirmed"


def test_a_fence_is_taken_over_from_a_cluster_service_that_died_in_the_middle_of_it(
    cluster: LiveCluster, agents: Path
):
    began = cluster.last_event()
    with fenced_by(cluster, agents, "fence_slow", SLOW):
        freeze(cluster)
        wait_until((agents / "begun").exists, 30, "the fence begins")
        cluster.wait_restarted("service", cluster.kill("service"))
        with nothing_is_restarted(cluster):
            assert cluster.owner("EVS2") == "NODE2"
            (agents / "go").touch()
            cluster.wait_online("EVS2", "NODE1", timeout=60)
            assert len((agents / "begun").read_text()) == 2, "another process has begun it anew"
            assert not processes(cluster)
            assert fence(cluster).outcome == "it was turned off by POWER"
    confirmed = cluster.events(began, text__contains="NODE2 is confirmed off")
    assert len(confirmed) == 1


def test_a_machine_that_was_only_frozen_for_a_while_serves_on_where_it_was(
    cluster: LiveCluster, agents: Path
):
    began = cluster.last_event()
    with fenced_by(cluster, agents, "fence_broken", BROKEN):
        frozen = freeze(cluster)
        try:
            wait_until(
                lambda: cluster.events(began, text__contains="could not be fenced"), 30, "the fence fails"
            )
        finally:
            for pid in frozen:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        cluster.wait_online("EVS2", "NODE2", timeout=60)
        assert cluster.events(began, text__contains="NODE2 need not be fenced any more")
        assert fence(cluster).state == "cancelled"
