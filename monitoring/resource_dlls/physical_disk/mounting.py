"""Brings a mounted disk up: arbitrates, checks the file system, and mounts it.

What another holds is never mounted. In this order: nothing on this machine uses the device (the
kernel says so); an image file is locked; the device's persistent reservation is taken, where it
has them; the record in the first sector, where there is room for one, is of no newer owner, and
becomes this one's. Whatever is taken is noted before it is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import Context, ResourceError
from monitoring.resource_dlls.physical_disk import bootblock, device, fsck, left, mountinfo, scsi
from monitoring.resource_dlls.physical_disk.claim import DISK_NOT_FOUND, RESERVATION_LOST
from monitoring.resource_dlls.physical_disk.device import Kind
from monitoring.resource_dlls.physical_disk.left import Left
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.programs import Done, run, run_for
from monitoring.resource_dlls.shared_files import try_lock, unlock

MOUNT_S = 120.0
"""Seconds that a mount may take: a journal may have to be replayed, multi-mount protection waits twice."""
NFS_OPTIONS = ("hard", "timeo=100", "retrans=3", "retry=0")
"""hard: a write is never lost without a word; whoever waits for a dead server can be killed."""
EXT_OPTIONS = "errors=remount-ro"
"""The default is to go on after an error, which spoils what is still whole."""
NEEDS_ROOT = (
    "a device can be mounted by root only, and the agent of {node} is not: run it as root, or use a shared"
    " directory (a Path without a Device)"
)
AS_FOUND, TURN_ON = "as found", "turn on"
PROTECTION_CHOICES = (AS_FOUND, TURN_ON)

MULTI_MOUNT = "multi-mount protection of ext4"
ALONE = "the cluster's lease and epoch alone"

Check = Callable[[], None]


class Mounting:
    """Of one disk, for one owner. `still` raises where the disk is not wanted any more."""

    def __init__(
        self, context: Context, properties: Mapping[str, Any], owner: Reservation, still: Check
    ) -> None:
        self._context = context
        self._properties = properties
        self._owner = owner
        self._still = still
        self._device: str = properties["Device"]
        self._kind = device.kind_of(self._device)
        self._protection: list[str] = []

    def bring_up(self, hold: Callable[[int], None]) -> Left:
        """Mount it; `hold` is given the lock of an image file. ResourceError where it cannot be."""
        if os.geteuid() != 0:
            raise ResourceError(NEEDS_ROOT.format(node=self._context.node))
        path = os.path.realpath(self._properties["Path"])
        note = Left(
            path,
            self._device,
            busy=self._properties["BusyProcesses"],
            grace_s=self._properties["BusyTimeout"] / 1000,
            owner=self._owner,
        )
        self._prepare_path(path)
        if self._properties["LockPath"]:
            self._protection.append(f"a lock in {self._properties['LockPath']}")
        if self._kind is Kind.NFS:
            note = replace(note, filesystem=self._properties["FileSystem"] or "nfs")
            self._protection.append("a lock on the export")
            options = [*NFS_OPTIONS, self._properties["MountOptions"]]
        else:
            note = self._block(note, hold)
            options = [EXT_OPTIONS if note.filesystem in fsck.EXT else "", self._properties["MountOptions"]]
        note = replace(note, protection=", ".join(self._protection) or ALONE)
        self._take_note(note)
        self._mount(note, ",".join(option for option in options if option))
        return note

    def _prepare_path(self, path: str) -> None:
        there = mountinfo.at(path)
        if there is not None:
            raise ResourceError(f"{path} is where {there.source} is mounted already", DISK_NOT_FOUND)
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{path} cannot be made: {error.strerror}", DISK_NOT_FOUND) from error

    def _take_note(self, note: Left) -> None:
        self._still()
        left.note(self._context.state_dir, note)

    # Block devices

    def _block(self, note: Left, hold: Callable[[int], None]) -> Left:
        if self._kind is Kind.IMAGE:
            note = self._attach(note, hold)
        else:
            note = replace(note, node=device.find_block(self._device))
            device.refuse_used(note.node)
        filesystem = self._properties["FileSystem"] or device.filesystem_of(note.node)
        note = replace(note, source=note.node, filesystem=filesystem)
        note = self._reserve(note)
        self._protect(note)
        self._check_file_system(note)
        return note

    def _attach(self, note: Left, hold: Callable[[int], None]) -> Left:
        image = os.path.realpath(self._device)
        if not Path(image).is_file():
            raise ResourceError(f"the image file {self._device} is not there", DISK_NOT_FOUND)
        lock = try_lock(Path(image))
        if lock is None:
            raise ResourceError(f"{image} is locked: another node has it", RESERVATION_LOST)
        try:
            self._still()
            if others := device.attached(image):
                where = device.used_where(others[0]) or "not mounted"
                raise ResourceError(f"{image} is attached as {others[0]} ({where}) already", RESERVATION_LOST)
            loop = self._attach_loop(note, image)
        except BaseException:
            unlock(lock)
            raise
        hold(lock)
        return replace(note, node=loop, loop=loop, image=image)

    def _attach_loop(self, note: Left, image: str) -> str:
        """Noted before: whichever loop device it becomes, it is found by its image."""
        self._take_note(replace(note, image=image))
        done = run_for(self._context, device.attach(image), device.SHORT_S)
        loop = done.output.strip()
        if done.code != 0 or not loop.startswith("/dev/"):
            raise ResourceError(f"{image} cannot be attached: {done.last_line}", DISK_NOT_FOUND)
        self._take_note(replace(note, node=loop, loop=loop, image=image))
        return loop

    def _reserve(self, note: Left) -> Left:
        disk = scsi.whole_disk(note.node)
        if self._kind is Kind.IMAGE or not scsi.is_wanted(disk, self._properties["PersistentReservation"]):
            self._take_note(note)
            return note
        note = replace(note, reserved=disk, key=str(scsi.Key.of(self._owner)))
        self._take_note(note)
        scsi.take(disk, self._owner)
        self._protection.append(f"reserved on the device (key {note.key})")
        return note

    def _protect(self, note: Left) -> None:
        """The record outside of the file system, and the file system's own protection."""
        try:
            if bootblock.has_room(note.node, note.filesystem):
                record = bootblock.read(note.node)
                if record is not None and record.bars(self._owner):
                    raise ResourceError(self._refused(note.node, record), RESERVATION_LOST)
                self._still()
                bootblock.write(note.node, self._owner)
                self._protection.append("a record with the epoch on the device")
        except (OSError, ValueError) as error:
            raise ResourceError(f"{note.node} cannot be reserved: {error}", DISK_NOT_FOUND) from error
        if note.filesystem == "ext4":
            self._multi_mount_protection(note.node)

    def _refused(self, node: str, record: Reservation) -> str:
        return (
            f"{node} {record}, and this is group {self._owner.group} at epoch {self._owner.epoch};"
            f" if that owner is gone for good, remove its record: dd if=/dev/zero of={node} bs=512 count=1"
        )

    def _multi_mount_protection(self, node: str) -> None:
        has_it = has_multi_mount_protection(node)
        if not has_it and self._properties["MultiMountProtection"] == TURN_ON:
            self._still()
            done = run(["tune2fs", "-O", "mmp", node], device.SHORT_S)
            if done.code != 0:
                raise ResourceError(f"multi-mount protection of {node} cannot be turned on: {done.last_line}")
            has_it = True
        if has_it:
            self._protection.append(MULTI_MOUNT)

    def _check_file_system(self, note: Left) -> None:
        def run_check(argv: Sequence[str]) -> Done:
            self._still()
            return run_for(self._context, argv, waiting=tell)

        def tell(seconds: float) -> None:
            self._context.progress(f"checking the file system on {note.node}, for {seconds:.0f} s so far")

        def corrected(text: str) -> None:
            self._context.log(1, text)

        fsck.check(note.node, note.filesystem, self._properties["FileSystemCheck"], run_check, corrected)

    def _mount(self, note: Left, options: str) -> None:
        self._still()
        argv = ["mount", "-t", note.filesystem, *(["-o", options] if options else []), note.source, note.path]
        done = run_for(self._context, argv, MOUNT_S, self._tell_mounting)
        if done.code != 0:
            hint = ""
            if "structure needs cleaning" in done.output.lower():
                hint = f"; run `xfs_repair {note.source}` or fsck while the disk is offline"
            elif self._kind is Kind.NFS and "No such device" in done.output:
                hint = "; the kernel of this node has no NFS"
            elif MULTI_MOUNT in note.protection and "busy" in done.output:
                hint = f"; another machine seems to have it mounted: dumpe2fs -m {note.source} says which"
            raise ResourceError(f"{self._device} cannot be mounted: {done.last_line}{hint}", DISK_NOT_FOUND)
        self._still()

    def _tell_mounting(self, seconds: float) -> None:
        if seconds >= 2:
            self._context.progress(f"mounting {self._device}, for {seconds:.0f} s so far")


def has_multi_mount_protection(node: str) -> bool:
    """Whether ext4 on the device has the feature mmp."""
    done = run(["dumpe2fs", "-h", node], device.SHORT_S)
    features = [line for line in done.output.splitlines() if line.startswith("Filesystem features:")]
    return bool(features) and "mmp" in features[0].split()
