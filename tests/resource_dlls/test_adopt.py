"""What a dead agent held is taken back from the kernel, and what it left is taken over, or has failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Provider, ResourceDLL, ResourceError
from monitoring.resource_dlls.physical_disk import reservation
from monitoring.resource_dlls.shared_files import try_lock
from tests.resource_dlls.context import LocalContext, call, free_address, make, wait_until

AGENT = """
import json, sys, time
from pathlib import Path
from monitoring.resource_dlls.api import Provider
from tests.resource_dlls.context import LocalContext, call, make
type_name, state_dir, properties, providers = json.loads(sys.argv[1])
context = LocalContext(Path(state_dir), providers=[Provider(*p) for p in providers])
call(make(type_name, context, **properties).online)
print("online", flush=True)
time.sleep(60)
"""
ADDRESS = {"SubnetMask": "255.0.0.0"}


@contextmanager
def dead_agent(
    type_name: str, state_dir: Path, properties: dict[str, Any], *providers: Provider
) -> Iterator[None]:
    """A process brought the resource online, and was killed."""
    known = [[p.name, p.type_name, p.properties] for p in providers]
    argument = json.dumps([type_name, str(state_dir), properties, known])
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, argument], stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "online\n"
        agent.kill()
    yield


def unopened(type_name: str, context: LocalContext, **properties: Any) -> ResourceDLL:
    dll = registry.get(type_name)
    return dll(context, dll.clean(properties))


def test_an_address_is_claimed_again(tmp_path: Path) -> None:
    properties = {"Address": free_address(), **ADDRESS}
    with dead_agent("IP Address", tmp_path / "1", properties):
        resource = unopened("IP Address", LocalContext(tmp_path / "1"), **properties)
        assert call(resource.adopt)
        assert call(resource.is_alive)
        other = make("IP Address", LocalContext(tmp_path / "2", node="NODE2"), **properties)
        with pytest.raises(ResourceError, match="in use on this machine"):
            call(other.online)
        call(resource.terminate)


def test_an_address_that_another_has_claimed_meanwhile_has_failed(tmp_path: Path) -> None:
    properties = {"Address": free_address(), **ADDRESS}
    with dead_agent("IP Address", tmp_path / "1", properties):
        thief = make("IP Address", LocalContext(tmp_path / "2", node="NODE2"), **properties)
        call(thief.online)
        resource = unopened("IP Address", LocalContext(tmp_path / "1"), **properties)
        with pytest.raises(ResourceError, match="its claim"):
            call(resource.adopt)
        call(thief.terminate)


def test_the_lock_of_a_disk_is_taken_again(tmp_path: Path) -> None:
    properties = {"Path": str(tmp_path / "disk")}
    with dead_agent("Physical Disk", tmp_path / "1", properties):
        resource = unopened("Physical Disk", LocalContext(tmp_path / "1"), **properties)
        assert call(resource.adopt)
        assert call(resource.is_alive)
        other = make("Physical Disk", LocalContext(tmp_path / "2", node="NODE2", epoch=2), **properties)
        with pytest.raises(ResourceError, match="is reserved for group GROUP on NODE1"):
            call(other.online)
        call(resource.offline)


def test_a_disk_that_has_a_new_owner_is_not_taken_over(tmp_path: Path) -> None:
    properties = {"Path": str(tmp_path / "disk")}
    with dead_agent("Physical Disk", tmp_path / "1", properties):
        other = make("Physical Disk", LocalContext(tmp_path / "2", node="NODE2", epoch=2), **properties)
        call(other.online)
        call(other.terminate)  # it gives the lock back, not the disk
        resource = unopened("Physical Disk", LocalContext(tmp_path / "1"), **properties)
        with pytest.raises(ResourceError, match=r"is reserved for group GROUP on NODE2 \(epoch 2\)"):
            call(resource.adopt)
        call(resource.terminate)
        record = reservation.read(tmp_path / "disk")
        assert record is not None and record.node == "NODE2"


def test_a_network_name_is_taken_over_while_it_is_its_own(tmp_path: Path) -> None:
    provider = Provider("address", "IP Address", {"Address": "127.1.2.3"})
    properties = {"Name": "EVS1", "RegistryPath": str(tmp_path / "names")}
    with dead_agent("Network Name", tmp_path / "1", properties, provider):
        context = LocalContext(tmp_path / "1", providers=[provider])
        resource = unopened("Network Name", context, **properties)
        assert call(resource.adopt)
        call(resource.offline)
        assert "127.1.2.3" not in (tmp_path / "names" / "hosts").read_text()
        with pytest.raises(ResourceError, match="no longer registered to NODE1"):
            call(unopened("Network Name", context, **properties).adopt)


def test_an_application_is_taken_over_with_its_process_and_ended_with_it(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    properties = {"CommandLine": "sleep 60", "CurrentDirectory": "/"}
    call(make("Generic Application", context, **properties).online)
    (pid,) = context.pids()
    resource = unopened("Generic Application", context, **properties)
    assert call(resource.adopt)
    assert call(resource.is_alive)
    os.kill(pid, 9)
    wait_until(lambda: not context.pids())
    with pytest.raises(ResourceError, match="exit code -9"):
        call(resource.is_alive)
    call(resource.terminate)


def test_without_its_process_an_application_cannot_be_taken_over(tmp_path: Path) -> None:
    properties = {"CommandLine": "sleep 60", "CurrentDirectory": "/"}
    assert not call(unopened("Generic Application", LocalContext(tmp_path), **properties).adopt)


@pytest.mark.parametrize("alive", [True, False])
def test_a_script_says_itself_whether_it_can_be_taken_over(tmp_path: Path, alive: bool) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\n[ $1 != IsAlive ] || exit {0 if alive else 1}\n")
    script.chmod(0o755)
    resource = unopened("Generic Script", LocalContext(tmp_path / "1"), ScriptFilePath=str(script))
    if alive:
        assert call(resource.adopt)
    else:
        with pytest.raises(ResourceError, match="IsAlive said no"):
            call(resource.adopt)
    call(resource.terminate)


@pytest.mark.parametrize("entry_point", ["online", "adopt"])
def test_a_disk_that_is_given_up_while_its_lock_is_taken_is_locked_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_point: str
) -> None:
    properties = {"Path": str(tmp_path / "disk")}
    interrupted = unopened("Physical Disk", LocalContext(tmp_path / "1"), **properties)

    def lock_late(path: Path) -> int | None:
        call(interrupted.terminate)
        return try_lock(path)

    with monkeypatch.context() as late:
        late.setattr("monitoring.resource_dlls.physical_disk.claim.try_lock", lock_late)
        with pytest.raises(ResourceError, match="was given up before its lock was had"):
            call(getattr(interrupted, entry_point))
    other = make("Physical Disk", LocalContext(tmp_path / "2", node="NODE2", epoch=2), **properties)
    call(other.online)
    call(other.offline)


def test_an_address_that_is_given_up_while_it_is_taken_over_is_held_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = {"Address": free_address(), **ADDRESS}
    interrupted = unopened("IP Address", LocalContext(tmp_path / "1"), **properties)
    take_claim = interrupted._take_claim  # type: ignore[attr-defined]

    def take_claim_late() -> Any:
        call(interrupted.terminate)
        return take_claim()

    monkeypatch.setattr(interrupted, "_take_claim", take_claim_late)
    with pytest.raises(ResourceError, match="given up while it came online"):
        call(interrupted.adopt)
    other = make("IP Address", LocalContext(tmp_path / "2", node="NODE2"), **properties)
    call(other.online)
    call(other.terminate)
