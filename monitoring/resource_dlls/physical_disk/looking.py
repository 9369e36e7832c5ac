"""Looks whether a disk works. All of it may hang where storage does: call it through `bounded`."""

from __future__ import annotations

import os
from pathlib import Path

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.physical_disk import bootblock, mountinfo, reservation, scsi
from monitoring.resource_dlls.physical_disk.claim import DISK_NOT_FOUND, RESERVATION_LOST
from monitoring.resource_dlls.physical_disk.left import Left
from monitoring.resource_dlls.physical_disk.mountinfo import Mount
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.physical_disk.space import Usage, usage

__all__ = ["Usage", "check_device", "check_mount", "list_directory", "own_mount", "test", "usage"]


def own_mount(note: Left | None) -> Mount | None:
    """The mount at the disk's path, where it is the disk's."""
    mount = mountinfo.at(note.path) if note is not None else None
    return mount if note is not None and mount is not None and note.is_mine(mount) else None


def check_mount(note: Left | None, path: str) -> None:
    """It is mounted, and for writing. Asks no file system."""
    mount = own_mount(note)
    if mount is None:
        raise ResourceError(f"{path} is not mounted any more", DISK_NOT_FOUND)
    if mount.is_read_only:
        raise ResourceError(
            f"{path} takes no more writes: that is what the kernel does after an error of {mount.source}",
            DISK_NOT_FOUND,
        )


def check_device(note: Left, own: Reservation) -> None:
    """The reservations outside of the file system are still this owner's."""
    if note.reserved:
        scsi.check(note.reserved, own)
    if not note.node:
        return
    try:
        record = bootblock.read(note.node)
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"the reservation of {note.node} cannot be read: {error}", DISK_NOT_FOUND
        ) from error
    if record is not None and record.bars(own):
        raise ResourceError(f"{note.node} {record}", RESERVATION_LOST)


def list_directory(disk: Path) -> None:
    try:
        for _ in disk.iterdir():
            pass
    except OSError as error:
        raise ResourceError(f"{disk} cannot be listed: {error}", DISK_NOT_FOUND) from error


def test(disk: Path, node: str) -> Usage:
    """A file is written, and read again; then the room that is left."""
    try:
        write_and_read(disk, node)
        return usage(str(disk))
    except OSError as error:
        raise ResourceError(f"{disk} does not work: {error}", DISK_NOT_FOUND) from error


def write_and_read(disk: Path, node: str) -> None:
    """Through to the medium and back: what is written is dropped from memory before it is read."""
    path = disk / reservation.FOLDER / f"test-{node}"
    wanted = os.urandom(16)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, wanted)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        found = os.pread(descriptor, len(wanted), 0)
    finally:
        os.close(descriptor)
    path.unlink()
    if found != wanted:
        raise OSError(f"{path} was written, and something else was read from it")
