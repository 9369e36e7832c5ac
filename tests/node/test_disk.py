"""A mounted disk under a real node agent: its end, its restart, and the loss of the lease."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.core.messages import ResourceSpec
from monitoring.core.states import ResourceState as S
from monitoring.resource_dlls.physical_disk import device, mountinfo
from tests.node.harness import AgentProcess, FakeService, spec, until
from tests.node.restarts import LEASE_MS, restart
from tests.resource_dlls import disks

pytestmark = disks.needs_root


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    with disks.image(tmp_path / "images") as file:
        yield file


def disk(tmp_path: Path, image: Path, **changes: Any) -> ResourceSpec:
    properties = {"Path": str(tmp_path / "mnt"), "Device": str(image)}
    return spec(1, "Physical Disk", properties=properties, pending_timeout_ms=20_000, **changes)


def is_gone(tmp_path: Path, image: Path) -> bool:
    return not disks.is_mounted(tmp_path) and not device.attached(str(image))


def test_a_disk_is_taken_back_after_the_death_of_its_agent(
    tmp_path: Path, image: Path, agent: AgentProcess, service: FakeService
) -> None:
    service.assign(disk(tmp_path, image))
    service.wait_state(1, S.ONLINE)
    assert disks.is_mounted(tmp_path)
    agent.signal(signal.SIGKILL)
    until(lambda: is_gone(tmp_path, image), 15, "the guard has unmounted it")


def test_a_disk_is_given_up_with_the_lease_whoever_holds_it(
    tmp_path: Path, image: Path, agent: AgentProcess, service: FakeService
) -> None:
    service.assign(disk(tmp_path, image))
    service.wait_state(1, S.ONLINE)
    holder = subprocess.Popen(["sleep", "60"], cwd=tmp_path / "mnt")
    service.answers = service.answers_http = False
    until(lambda: is_gone(tmp_path, image), 15, "the agent has unmounted it")
    assert holder.wait(5) == -signal.SIGKILL


def test_a_disk_stays_mounted_while_its_agent_is_replaced(
    tmp_path: Path, image: Path, agent: AgentProcess, service: FakeService
) -> None:
    service.grant(LEASE_MS)
    service.assign(disk(tmp_path, image))
    service.wait_state(1, S.ONLINE)
    count = len(service.heard)
    service.wait(lambda: len(service.heard) >= count + 5, 10, "the lease is the long one")
    mount = mountinfo.at(str(tmp_path / "mnt"))
    before = restart(agent, service)
    service.wait(lambda: len(service.heard) > before + 5, 15, "the new agent")
    service.assign(disk(tmp_path, image), serial=2)
    service.wait_state(1, S.ONLINE)
    assert mount is not None and mountinfo.at(mount.path) == mount
    service.assign(disk(tmp_path, image, want_online=False), serial=3)
    service.wait_state(1, S.OFFLINE)
    assert is_gone(tmp_path, image)


def test_a_disk_that_somebody_unmounts_fails_within_moments(
    tmp_path: Path, image: Path, agent: AgentProcess, service: FakeService
) -> None:
    service.assign(disk(tmp_path, image, looks_alive_ms=60_000, is_alive_ms=60_000))
    service.wait_state(1, S.ONLINE)
    os.sync()
    subprocess.run(["umount", "--lazy", tmp_path / "mnt"], check=True)
    failed = service.wait_state(1, S.FAILED, 3)
    assert "is not mounted any more" in failed.cause
