"""A mounted disk is given back whole: nobody can write to it any more, and what was synced is on it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.conformance import check
from monitoring.resource_dlls.physical_disk import (
    bootblock,
    left,
    mountinfo,
    taking_down,
)
from monitoring.resource_dlls.physical_disk.dll import PhysicalDisk
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.programs import Done, run_for
from tests.resource_dlls import disks
from tests.resource_dlls.context import call, online, wait_until
from tests.resource_dlls.disks import disk, is_mounted, told, unopened

pytestmark = disks.needs_root

RUN_FOR = "monitoring.resource_dlls.physical_disk.mounting.run_for"
OPEN_FILE = "file = open(sys.argv[1] + '/held', 'w')"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + OPEN_FILE


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    with disks.image(tmp_path / "images") as file:
        yield file


@pytest.fixture
def device(image: Path) -> Iterator[str]:
    with disks.loop_device(image) as node:
        yield node


def holder(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A process that runs `code`, and has said that it is ready."""
    argv = [sys.executable, "-c", f"import sys, time, signal, os\n{code}\nprint(flush=True)\ntime.sleep(60)"]
    process = subprocess.Popen([*argv, *map(str, arguments)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_terminate_drops_what_cannot_be_written_in_time_and_keeps_what_was_synced(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = disk(tmp_path, device)
    call(resource.online)
    with (tmp_path / "mnt" / "synced").open("w") as file:
        file.write("stays")
        file.flush()
        os.fsync(file.fileno())
    (tmp_path / "mnt" / "late").write_text("is dropped")
    monkeypatch.setattr(taking_down, "FLUSH_WITHIN_S", 0.0)
    call(resource.terminate)
    assert "could not be written within 0 s: what was not yet written to it is dropped" in told(resource)
    with online(disk(tmp_path, device, "NODE2", epoch=2)):
        assert (tmp_path / "mnt" / "synced").read_text() == "stays"
        assert not (tmp_path / "mnt" / "late").exists()


def test_an_offline_that_has_much_to_write_says_so(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is slow is not to be had here: `sync` is."""
    with online(disk(tmp_path, image)) as resource:
        said: list[str] = []
        monkeypatch.setattr(resource.context, "progress", said.append)
        slow = tmp_path / "bin" / "sync"
        slow.parent.mkdir()
        slow.write_text("#!/bin/sh\nsleep 1.3\n")
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", str(slow.parent), prepend=":")
        call(resource.offline)
        assert said[0] == f"writing what is in memory to {tmp_path}/mnt, for 1 s so far"
        assert not is_mounted(tmp_path)


def test_terminate_keeps_what_can_be_written_in_time(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_down, "FLUSH_WITHIN_S", 10.0)
    resource = disk(tmp_path, device)
    call(resource.online)
    (tmp_path / "mnt" / "late").write_text("arrives")
    call(resource.terminate)
    with online(disk(tmp_path, device, "NODE2", epoch=2)):
        assert (tmp_path / "mnt" / "late").read_text() == "arrives"


def test_processes_that_hold_a_disk_are_named_and_ended(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image, BusyTimeout=100)) as resource:
        place = tmp_path / "mnt"
        mapper = "import mmap; f = open(sys.argv[1] + '/map', 'w+b'); f.truncate(4096)\n"
        mapper += "m = mmap.mmap(f.fileno(), 4096); os.closerange(f.fileno(), f.fileno() + 9); os.chdir('/')"
        processes = [holder(DEAF, place), holder("os.chdir(sys.argv[1])", place), holder(mapper, place)]
        call(resource.offline)
        assert not is_mounted(tmp_path)
        text = told(resource)
        for process, what in zip(
            processes, ("the open file", "its working directory", "the mapped file"), strict=True
        ):
            assert f"process {process.pid} (" in text and what in text
            assert process.wait(5) in (-9, -15)


def test_an_offline_that_waits_for_processes_says_so_and_ends_with_them(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image, BusyProcesses="wait")) as resource:
        process = subprocess.Popen(["sleep", "60"], cwd=tmp_path / "mnt")
        going = threading.Thread(target=resource.offline)
        going.start()
        wait_until(lambda: f"process {process.pid} (sleep 60) by its working directory" in told(resource))
        assert going.is_alive() and process.poll() is None
        process.kill()
        process.wait()
        going.join(5)
        assert not is_mounted(tmp_path)


def test_processes_that_are_left_alone_write_nothing_to_a_disk_that_is_given_up(
    tmp_path: Path, image: Path
) -> None:
    with online(disk(tmp_path, image, BusyProcesses="leave")) as resource:
        writes = f"{OPEN_FILE}\nos.dup2(file.fileno(), 9)"
        process = holder(writes, tmp_path / "mnt")
        with pytest.raises(ResourceError, match=f"is held by process {process.pid}"):
            call(resource.offline)
        assert is_mounted(tmp_path)
        call(resource.terminate)
        assert not is_mounted(tmp_path) and process.poll() is None
        assert "takes no more writes from it" in told(resource)
        with pytest.raises(OSError, match="Input/output error"):
            Path(f"/proc/{process.pid}/fd/9").write_text("must not arrive")
        process.kill()
        process.wait()


def test_a_copy_of_the_mount_in_another_namespace_is_unmounted_too(tmp_path: Path, device: str) -> None:
    with online(disk(tmp_path, device)) as resource:
        other = subprocess.Popen(["unshare", "-m", "sleep", "60"])
        wait_until(lambda: mountinfo.command_of(other.pid) == "sleep 60")
        call(resource.offline)
        assert other.poll() is None
        assert not any(mount.source == device for mount in mountinfo.mounts(other.pid))
        assert bootblock.read(device) == Reservation(1, "GROUP", "NODE1", 1, held=False)
        other.kill()
        other.wait()


def test_what_a_dead_agent_left_mounted_is_swept(tmp_path: Path, image: Path) -> None:
    resource = disk(tmp_path, image)
    call(resource.online)
    resource._drop_locks()  # type: ignore[attr-defined]  # the kernel does that with a dead agent's
    assert is_mounted(tmp_path)
    PhysicalDisk.sweep(tmp_path / "NODE1")
    assert not is_mounted(tmp_path)
    assert subprocess.run(["losetup", "-j", image], capture_output=True).stdout == b""
    PhysicalDisk.sweep(tmp_path / "NODE1")


def test_a_mounted_disk_is_taken_over_by_the_next_agent(tmp_path: Path, image: Path) -> None:
    first = disk(tmp_path, image)
    call(first.online)
    first._drop_locks()  # type: ignore[attr-defined]  # the kernel does that with a dead agent's
    second = unopened(tmp_path, image)
    assert call(second.adopt) and call(second.is_alive)
    other = disk(tmp_path, image, "NODE2", epoch=2)
    other._values["Path"] = str(tmp_path / "other")
    with pytest.raises(ResourceError, match="is locked: another node has it"):
        call(other.online)
    call(second.offline)
    assert not is_mounted(tmp_path)


def test_a_disk_that_was_unmounted_while_no_agent_was_there_has_failed(tmp_path: Path, image: Path) -> None:
    first = disk(tmp_path, image)
    call(first.online)
    first._drop_locks()  # type: ignore[attr-defined]
    subprocess.run(["umount", tmp_path / "mnt"], check=True)
    second = unopened(tmp_path, image)
    with pytest.raises(ResourceError, match="is not mounted any more"):
        call(second.adopt)
    call(second.terminate)
    assert subprocess.run(["losetup", "-j", image], capture_output=True).stdout == b""


def test_an_online_that_is_given_up_leaves_nothing_mounted(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = disk(tmp_path, image)

    def interrupted(context: Any, argv: list[str], *more: Any, **named: Any) -> Done:
        if argv[0] == "mount":
            call(resource.terminate)
        return run_for(context, argv, *more, **named)

    monkeypatch.setattr(RUN_FOR, interrupted)
    with pytest.raises(ResourceError):
        call(resource.online)
    call(resource.terminate)  # as the monitor does after an interrupted call has returned
    assert not is_mounted(tmp_path)
    assert subprocess.run(["losetup", "-j", image], capture_output=True).stdout == b""


def test_a_note_of_an_earlier_boot_is_not_believed(tmp_path: Path, image: Path) -> None:
    resource = disk(tmp_path, image)
    call(resource.online)
    note = tmp_path / "NODE1" / left.FILE
    text = note.read_text()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note.write_text(text.replace(boot, "earlier"))
    PhysicalDisk.sweep(tmp_path / "NODE1")
    assert is_mounted(tmp_path)  # it may be another's by now
    note.write_text(text)
    call(resource.terminate)
    assert not is_mounted(tmp_path)


def test_a_lock_that_cannot_be_given_back_does_not_keep_the_disk_mounted(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an NFS whose server is away: the thread is left behind, and the disk is taken down."""
    monkeypatch.setattr("monitoring.resource_dlls.physical_disk.dll.DROP_S", 0.1)
    resource = disk(tmp_path, image)
    call(resource.online)
    claim, release = resource._claim, threading.Event()  # type: ignore[attr-defined]
    drop = claim.drop

    def hanging() -> None:
        drop()
        release.wait(10)

    monkeypatch.setattr(claim, "drop", hanging)
    threading.Timer(1.0, release.set).start()
    call(resource.terminate)
    assert not is_mounted(tmp_path)


def test_a_mounted_disk_conforms_to_the_plugin_api(tmp_path: Path, image: Path) -> None:
    report = check("Physical Disk", {"Path": str(tmp_path / "mnt"), "Device": str(image)})
    assert report.passed, str(report)
