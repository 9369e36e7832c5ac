"""A disk that is mounted: by one node at a time, checked before, probed while, and given back whole."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.physical_disk import (
    bootblock,
    fence,
    fsck,
    left,
    mountinfo,
    mounting,
    taking_down,
)
from monitoring.resource_dlls.physical_disk.dll import PhysicalDisk
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.programs import Done
from tests.resource_dlls import disks
from tests.resource_dlls.context import call, online, wait_until
from tests.resource_dlls.disks import disk, is_mounted, told

pytestmark = disks.needs_root


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    with disks.image(tmp_path / "images") as file:
        yield file


@pytest.fixture
def device(image: Path) -> Iterator[str]:
    with disks.loop_device(image) as node:
        yield node


RUN_FOR = "monitoring.resource_dlls.physical_disk.mounting.run_for"


def test_an_image_is_mounted_while_the_disk_is_online_and_nothing_of_it_stays(
    tmp_path: Path, image: Path
) -> None:
    resource = disk(tmp_path, image)
    with online(resource):
        assert is_mounted(tmp_path)
        (tmp_path / "mnt" / "mail").write_text("kept")
        assert call(resource.looks_alive) and call(resource.is_alive)
        fence.check(tmp_path / "mnt", 1)
        call(resource.offline)
        assert not is_mounted(tmp_path)
        assert not call(resource.is_alive)
    assert subprocess.run(["losetup", "-j", image], capture_output=True).stdout == b""
    assert left.noted(tmp_path / "NODE1") is None
    with online(disk(tmp_path, image, "NODE2", epoch=2)):
        assert (tmp_path / "mnt" / "mail").read_text() == "kept"


def test_a_device_is_found_by_its_node_and_by_its_uuid(tmp_path: Path, device: str) -> None:
    uuid = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "UUID", device], capture_output=True, text=True
    )
    for name in (device, f"UUID={uuid.stdout.strip()}"):
        with online(disk(tmp_path, name, MountOptions="noatime")) as resource:
            mount = mountinfo.at(str(tmp_path / "mnt"))
            assert mount is not None and mount.source == device and "noatime" in mount.options
            call(resource.offline)


def test_what_another_node_of_this_machine_has_mounted_is_refused(tmp_path: Path, device: str) -> None:
    second = disk(tmp_path, device, "NODE2", epoch=2)
    second._values["Path"] = str(tmp_path / "other")
    with online(disk(tmp_path, device)):
        with pytest.raises(ResourceError, match=rf"{device} is in use .* mounted at .*/mnt") as refused:
            call(second.online)
        assert refused.value.code == 1038
        call(second.terminate)
        assert is_mounted(tmp_path)


def test_a_mount_that_only_another_mount_namespace_sees_is_found(tmp_path: Path, device: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    script = f"mount {device} {tmp_path}/elsewhere && echo && exec sleep 60"
    other = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE)
    resource = disk(tmp_path, device)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"\n"
        with pytest.raises(ResourceError, match=rf"elsewhere in the mount namespace of process {other.pid} "):
            call(resource.online)
    finally:
        other.kill()
        other.wait()
    call(resource.terminate)


def test_an_image_that_another_node_holds_is_refused(tmp_path: Path, image: Path) -> None:
    second = disk(tmp_path, image, "NODE2", epoch=2)
    second._values["Path"] = str(tmp_path / "other")
    with online(disk(tmp_path, image)):
        with pytest.raises(ResourceError, match="is locked: another node has it"):
            call(second.online)
        call(second.terminate)
        assert is_mounted(tmp_path)


def test_an_image_that_is_attached_by_hand_is_refused(tmp_path: Path, image: Path) -> None:
    with disks.loop_device(image) as loop:
        resource = disk(tmp_path, image)
        with pytest.raises(ResourceError, match=rf"is attached as {loop} \(not mounted\) already"):
            call(resource.online)
        call(resource.terminate)
        assert subprocess.run(["losetup", "-j", image], capture_output=True).stdout != b""


def test_an_older_epoch_is_refused_before_it_mounts(tmp_path: Path, device: str) -> None:
    with online(disk(tmp_path, device, "NODE2", epoch=2)) as newer:
        call(newer.offline)
    record = bootblock.read(device)
    assert record == Reservation(1, "GROUP", "NODE2", 2, held=False)
    old = disk(tmp_path, device, epoch=1)
    with pytest.raises(ResourceError, match=r"was last reserved for group GROUP on NODE2 \(epoch 2\)"):
        call(old.online)
    assert not is_mounted(tmp_path)
    with pytest.raises(ResourceError, match="dd if=/dev/zero"):
        call(old.online)
    call(old.terminate)


def test_a_node_that_another_kernel_would_not_stop_is_refused_by_the_record(
    tmp_path: Path, image: Path, device: str
) -> None:
    """Two loop devices of one image know nothing of each other, as two machines on one disk."""
    with disks.loop_device(image) as same, online(disk(tmp_path, device)) as owner:
        for number, changes in enumerate(({"epoch": 1}, {"epoch": 7, "group_id": 2})):
            other = disk(tmp_path, same, f"OTHER{number}", **changes)
            other._values["Path"] = str(tmp_path / "other")
            with pytest.raises(ResourceError, match=r"is reserved for group GROUP on NODE1 \(epoch 1\)"):
                call(other.online)
            call(other.terminate)
        assert call(owner.is_alive)


def test_a_new_owner_takes_over_from_one_that_died(tmp_path: Path, device: str) -> None:
    first = disk(tmp_path, device)
    call(first.online)
    call(first.terminate)
    record = bootblock.read(device)
    assert record is not None and record.held and record.node == "NODE1"
    with online(disk(tmp_path, device, "NODE2", epoch=2)) as second:
        assert call(second.is_alive)


def test_a_sector_that_something_else_uses_is_left_alone(tmp_path: Path, device: str) -> None:
    bootblock.erase(device, b"a boot loader")
    with online(disk(tmp_path, device)) as resource:
        call(resource.offline)
    assert Path(device).read_bytes()[:13] == b"a boot loader"


def test_an_owner_whose_disk_was_taken_fails_and_writes_nothing_more(tmp_path: Path, device: str) -> None:
    with online(disk(tmp_path, device)) as resource:
        bootblock.write(device, Reservation(1, "GROUP", "NODE2", 2, held=True))
        with pytest.raises(ResourceError, match=r"is reserved for group GROUP on NODE2 \(epoch 2\)") as lost:
            call(resource.is_alive)
        assert lost.value.code == 1038
        (tmp_path / "mnt" / "late").write_text("must not arrive")
        call(resource.terminate)
        assert "what was not yet written to it is dropped" in told(resource)
    bootblock.erase(device)
    with online(disk(tmp_path, device, "NODE2", epoch=2)):
        assert not (tmp_path / "mnt" / "late").exists()


def test_the_lock_path_keeps_a_second_node_away(tmp_path: Path, image: Path) -> None:
    locks: dict[str, Any] = {"LockPath": str(tmp_path / "locks")}
    with disks.loop_device(image) as one, online(disk(tmp_path, one, **locks)) as first:
        second = disk(tmp_path, one, "NODE2", epoch=2, **locks)
        with pytest.raises(ResourceError, match=r"locks/dev_loop\d+ is reserved for group GROUP on NODE1"):
            call(second.online)
        call(second.terminate)
        assert call(first.is_alive)
        call(first.offline)
        with online(second):
            assert call(second.is_alive)


def test_errors_that_fsck_corrects_are_told_and_the_disk_comes_online(tmp_path: Path, image: Path) -> None:
    debugfs(image, "set_super_value state 2")  # "errors were found": a full check is needed
    debugfs(image, "set_super_value free_blocks_count 7")
    with online(disk(tmp_path, image)) as resource:
        assert "had errors, which are corrected" in told(resource)


def test_errors_that_need_a_person_keep_the_disk_offline(tmp_path: Path, image: Path) -> None:
    with image.open("r+b") as file:
        file.seek(20 << 10)
        file.write(os.urandom(1500 << 10))
    debugfs(image, "set_super_value state 2")
    resource = disk(tmp_path, image)
    with pytest.raises(ResourceError, match="has errors that a person must look at: run `fsck /dev/loop"):
        call(resource.online)
    call(resource.terminate)
    assert not is_mounted(tmp_path)


def test_what_multi_mount_protection_says_is_what_is_told() -> None:
    said = "fsck.ext4: MMP: device currently active while trying to open /dev/sdz\n/dev/sdz:\n e2fsck -b 8193"
    with pytest.raises(ResourceError, match="MMP: device currently active"):
        fsck.judge("/dev/sdz", Done(8, said), print)


@pytest.mark.parametrize(
    "code,text", [(2, "reboot this machine"), (3, "reboot this machine"), (5, "a person"), (12, "a person")]
)
def test_each_answer_of_fsck_that_keeps_a_disk_offline_says_what_to_do(code: int, text: str) -> None:
    with pytest.raises(ResourceError, match=text):
        fsck.judge("/dev/sdz", Done(code, ""), print)


def debugfs(image: Path, command: str) -> None:
    subprocess.run(["debugfs", "-w", "-R", command, image], check=True, capture_output=True)


def test_a_device_without_a_file_system_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty.img"
    empty.write_bytes(bytes(1 << 20))
    resource = disk(tmp_path, empty)
    with pytest.raises(ResourceError, match="carries no file system that is known here"):
        call(resource.online)
    call(resource.terminate)
    assert subprocess.run(["losetup", "-j", empty], capture_output=True).stdout == b""


def test_a_disk_that_is_unmounted_by_somebody_is_noticed_at_once(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image)) as resource:
        subprocess.run(["umount", "--lazy", tmp_path / "mnt"], check=True)
        wait_until(lambda: resource.context.failures, 2)  # type: ignore[attr-defined]
        with pytest.raises(ResourceError, match="is not mounted any more"):
            call(resource.is_alive)


def test_a_disk_that_the_kernel_made_read_only_has_failed(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image)) as resource:
        mount = mountinfo.at(str(tmp_path / "mnt"))
        assert mount is not None
        Path(f"/sys/fs/ext4/{Path(mount.source).name}/trigger_fs_error").write_text("an error of a test")
        with pytest.raises(ResourceError, match="takes no more writes"):
            call(resource.looks_alive)


def test_a_disk_that_takes_no_writes_any_more_has_failed(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image)) as resource:
        assert taking_down.shut_down(str(tmp_path / "mnt"), taking_down.FLUSH)
        with pytest.raises(ResourceError, match="takes no more writes"):
            call(resource.is_alive)


def test_a_disk_that_hangs_fails_within_its_bound_and_hangs_nothing_else(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image, ProbeTimeout=300)) as resource:
        subprocess.run(["fsfreeze", "--freeze", tmp_path / "mnt"], check=True)
        try:
            for _ in range(2):
                begun = time.monotonic()
                with pytest.raises(ResourceError, match="does not answer: no file could be written and"):
                    call(resource.is_alive)
                assert time.monotonic() - begun < 1
            assert not call(resource.looks_alive)
            assert [thread.name for thread in threading.enumerate()].count("disk: probe") == 1
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", tmp_path / "mnt"], check=True)
        wait_until(lambda: not resource._looking.is_hanging)  # type: ignore[attr-defined]
        assert call(resource.is_alive)


def test_how_full_it_is_is_shown_and_warned_about(tmp_path: Path, image: Path) -> None:
    with online(disk(tmp_path, image, SpaceWarning=50)) as resource:
        facts = resource.context.facts  # type: ignore[attr-defined]
        assert facts["Space"].level == 0 and "MiB used" in facts["Space"].text
        assert "a record with the epoch on the device" in facts["Protection"].text
        (tmp_path / "mnt" / "big").write_bytes(bytes(9 << 20))
        assert call(resource.is_alive)
        assert facts["Space"].level == 1 and facts["Space"].share > 0.5
        assert facts["Inodes"].text.endswith("inodes used")


def test_the_file_systems_own_protection_is_turned_on_where_it_is_wanted(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the mount, in which the kernel would wait for eleven seconds."""

    def no_mount(*_: Any, **__: Any) -> Done:
        raise ResourceError("not mounted")

    monkeypatch.setattr(RUN_FOR, no_mount)
    resource = disk(tmp_path, device, MultiMountProtection="turn on", FileSystemCheck="never")
    with pytest.raises(ResourceError, match="not mounted"):
        call(resource.online)
    assert mounting.has_multi_mount_protection(device)
    call(resource.terminate)


def test_a_mount_that_fails_says_why(tmp_path: Path, image: Path) -> None:
    resource = disk(tmp_path, image, MountOptions="no-such-option")
    with pytest.raises(ResourceError, match="cannot be mounted: .*bad option"):
        call(resource.online)
    call(resource.terminate)


def test_an_nfs_export_that_cannot_be_mounted_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    """No server is there, and the kernels of many test machines have no NFS: no more is tested really."""
    resource = disk(tmp_path, "127.0.0.1:/export")
    with pytest.raises(ResourceError, match=r"127.0.0.1:/export cannot be mounted: mount"):
        call(resource.online)
    call(resource.terminate)
    assert left.noted(tmp_path / "NODE1") is None


def test_an_nfs_export_is_mounted_hard_and_its_options_can_be_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def no_mount(context: Any, argv: list[str], *_: Any, **__: Any) -> Done:
        seen.extend(argv)
        return Done(32, "mount.nfs: Connection refused")

    monkeypatch.setattr(RUN_FOR, no_mount)
    resource = disk(tmp_path, "[fd00::1]:/export", FileSystem="nfs4", MountOptions="soft,timeo=30")
    with pytest.raises(ResourceError, match="Connection refused"):
        call(resource.online)
    options = "hard,timeo=100,retrans=3,retry=0,soft,timeo=30"
    assert seen == ["mount", "-t", "nfs4", "-o", options, "[fd00::1]:/export", str(tmp_path / "mnt")]
    call(resource.terminate)


def test_an_export_is_known_by_its_source_and_its_place() -> None:
    note = left.Left("/disk", "server:/export/")
    nfs = mountinfo.Mount(1, "0:50", "/disk", frozenset({"rw"}), "nfs4", "server:/export")
    assert note.is_mine(nfs)
    assert not note.is_mine(dataclasses.replace(nfs, path="/other"))
    assert not note.is_mine(dataclasses.replace(nfs, source="server:/other"))


@pytest.mark.parametrize(
    "name,value,text",
    [
        ("Device", "sdb", "is no device"),
        ("Device", "/dev/disk/by-id/a b", "has a space"),
        ("FileSystem", "ext4", "name its Device, too"),
        ("LockPath", "/locks", "name its Device, too"),
        ("PersistentReservation", "always", "this is a shared directory"),
        ("FileSystemCheck", "sometimes", "is none of"),
    ],
)
def test_properties_that_make_no_sense_are_refused(name: str, value: str, text: str) -> None:
    with pytest.raises(PropertyError, match=text) as refused:
        PhysicalDisk.clean({"Path": "/disk", name: value})
    assert refused.value.field == name


def test_who_is_not_root_is_told_so(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    resource = disk(tmp_path, image)
    with pytest.raises(ResourceError, match="can be mounted by root only, and the agent of NODE1 is not"):
        call(resource.online)
