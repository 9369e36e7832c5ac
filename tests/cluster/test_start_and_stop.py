"""Starting, stopping and starting again, as an operator does it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from clusterweb.run.config import BASE_DIR
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import Installation, wait_until

pytestmark = pytest.mark.cluster


def test_the_demo_comes_up_with_a_virtual_server_online_on_each_node(running: LiveCluster):
    printed = "".join(running.output)
    assert "EVS1       Online on NODE1" in printed
    assert "EVS2       Online on NODE2" in printed


def test_the_first_start_prints_the_address_and_the_first_passwords(running: LiveCluster):
    printed = "".join(running.output)
    assert f"{running.url}/" in printed
    assert set(running.passwords) == {"admin", "operator", "viewer"}


def test_a_second_copy_in_the_same_home_is_refused_in_one_line(running: LiveCluster):
    second = subprocess.run(
        [sys.executable, "-m", "clusterweb.run"],
        cwd=BASE_DIR,
        env=Installation(running.home).env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "another copy needs a CLUSTERWEB_HOME and a CLUSTERWEB_PORT of its own" in second.stderr


def test_a_stop_leaves_nothing_running_and_the_next_start_resumes_what_was(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker
):
    # A path longer than a Unix socket's may be.
    live = LiveCluster(tmp_path / ("a-home-with-a-long-name-" + "x" * 100))
    with django_db_blocker.unblock():
        try:
            live.start()
            live.cli("move", "EVS1", "NODE2")
            live.cli("offline", "EVS2")
            assert live.stop() == 0
            assert live.left_running() == {}

            assert live.start() < 30
            assert live.is_online("EVS1", "NODE2"), live.story()
            assert not live.group("EVS2").persistent_online
            assert live.group_processes("EVS2", "NODE2") == []

            live.stop(signal.SIGKILL)  # the supervisor itself dies
            wait_until(lambda: not live.left_running(), 30, "its processes end with it")
            live.start()
            assert live.is_online("EVS1", "NODE2"), live.story()
        finally:
            live.stop()
        assert live.left_running() == {}


def test_two_copies_run_side_by_side(
    cluster: LiveCluster, tmp_path: Path, django_db_blocker: DjangoDbBlocker
):
    other = Installation(tmp_path / "home")
    try:
        other.start()
        assert cluster.is_online("EVS1", "NODE1") and cluster.is_online("EVS2", "NODE2")
    finally:
        other.stop()
    assert other.left_running() == {}
