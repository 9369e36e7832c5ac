"""The reservation record of a block device outside of its file system: in its first sector.

Some file systems leave the first 1024 bytes of their device to boot loaders, which a data disk
has none of. There the record can be read before anything is mounted, past all caches. It is
written only while the device is mounted nowhere on this machine. A sector is written whole or
not at all.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from dataclasses import asdict, replace

from monitoring.resource_dlls.physical_disk.reservation import Reservation

MAGIC = b"ClusterWeb reservation 1\n"
SECTOR = 512
WITH_ROOM = frozenset({"ext2", "ext3", "ext4", "btrfs", "f2fs"})
"""File systems that begin at byte 1024 or later."""
BLKSSZGET = 0x1268
"""ioctl(2): size of the device's logical sector."""


def has_room(device: str, filesystem: str) -> bool:
    """Whether the record can be kept here: nothing else may lie in the sector, and no other in its unit."""
    if filesystem not in WITH_ROOM or _sector_size(device) != SECTOR:
        return False
    sector = _read(device)
    return sector.startswith(MAGIC) or not any(sector)


def read(device: str) -> Reservation | None:
    """The record, None where there never was one. ValueError where it is damaged."""
    sector = _read(device)
    if not sector.startswith(MAGIC):
        return None
    try:
        return Reservation(**json.loads(sector[len(MAGIC) :].rstrip(b"\0")))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the reservation record in the first sector of {device} is damaged: {error}"
        ) from None


def write(device: str, reservation: Reservation) -> None:
    """Write the record, through to the medium."""
    short = replace(reservation, group=reservation.group[:60], node=reservation.node[:60])
    content = MAGIC + json.dumps(asdict(short), ensure_ascii=False).encode()
    if len(content) > SECTOR:
        raise ValueError(f"the record of {reservation.group} does not fit into a sector")
    erase(device, content)


def erase(device: str, content: bytes = b"") -> None:
    """Fill the sector with `content` and zeros."""
    descriptor = os.open(device, os.O_WRONLY | os.O_DIRECT | os.O_SYNC)
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as buffer, memoryview(buffer) as view, view[:SECTOR] as sector:
            buffer[:SECTOR] = content.ljust(SECTOR, b"\0")
            os.pwrite(descriptor, sector, 0)
    finally:
        os.close(descriptor)


def _read(device: str) -> bytes:
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    try:  # direct input and output want aligned memory
        with mmap.mmap(-1, mmap.PAGESIZE) as buffer, memoryview(buffer) as view, view[:SECTOR] as sector:
            os.preadv(descriptor, [sector], 0)
            return bytes(sector)
    finally:
        os.close(descriptor)


def _sector_size(device: str) -> int:
    descriptor = os.open(device, os.O_RDONLY)
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, BLKSSZGET, bytes(4)), "little")
    finally:
        os.close(descriptor)
