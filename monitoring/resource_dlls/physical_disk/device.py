"""Finds the device that a disk's Device property names, and sees whether this machine uses it already."""

from __future__ import annotations

import enum
import errno
import os
import re
import stat
import time
from pathlib import Path

from monitoring.resource_dlls.api import PropertyError, ResourceError
from monitoring.resource_dlls.physical_disk import mountinfo
from monitoring.resource_dlls.physical_disk.claim import DISK_NOT_FOUND, RESERVATION_LOST
from monitoring.resource_dlls.physical_disk.mountinfo import Mount
from monitoring.resource_dlls.programs import run

SHORT_S = 20.0
"""Seconds that a program which only looks at a device may take."""
SETTLE_S = 1.0
"""How long something that nobody can see may use a device, before it is refused."""
TAGS = ("UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")
_EXPORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^/:\s\[\]]+):/\S*")


class Kind(enum.Enum):
    """What a disk is made of."""

    DIRECTORY = "a shared directory"
    BLOCK = "a block device"
    IMAGE = "an image file"
    NFS = "an NFS export"


def kind_of(device: str) -> Kind:
    """What the Device property names; PropertyError where it names nothing."""
    if not device:
        return Kind.DIRECTORY
    if any(letter.isspace() or not letter.isprintable() for letter in device):
        raise PropertyError("Device", f"{device!r} has a space or a control character in it")
    if device.startswith(TAGS) and not device.endswith("="):
        return Kind.BLOCK
    if device.startswith("/dev/"):
        return Kind.BLOCK
    if device.startswith("/"):
        return Kind.IMAGE
    if _EXPORT.fullmatch(device):
        return Kind.NFS
    raise PropertyError(
        "Device",
        f"{device!r} is no device: give /dev/disk/by-id/…, UUID=…, LABEL=…, the path of an image file,"
        " or server:/export for NFS",
    )


def find_block(device: str) -> str:
    """The device node, such as /dev/sdb."""
    if device.startswith(TAGS):
        found = run(["findfs", device], SHORT_S)
        if found.code != 0:
            raise ResourceError(f"no device on this node has {device}", DISK_NOT_FOUND)
        device = found.output.strip()
    node = os.path.realpath(device)
    try:
        mode = Path(node).stat().st_mode
    except OSError as error:
        raise ResourceError(f"{device} is not there: {error.strerror}", DISK_NOT_FOUND) from error
    if not stat.S_ISBLK(mode):
        raise ResourceError(f"{device} is not a block device", DISK_NOT_FOUND)
    return node


def number_of(node: str) -> str:
    """The device's number as mountinfo has it: "7:3"; empty where it is gone."""
    try:
        number = Path(node).stat().st_rdev
    except OSError:
        return ""
    return f"{os.major(number)}:{os.minor(number)}"


def refuse_used(node: str) -> None:
    """ResourceError where anything on this machine holds the device: a mount, LVM, RAID, swap.

    The kernel gives a device to one exclusive user at a time, and says so to who asks.
    """
    settled_at = time.monotonic() + SETTLE_S
    while is_used(node):
        if not (where := used_where(node)) and time.monotonic() < settled_at:
            time.sleep(0.05)  # what ended a moment ago may not be gone yet
            continue
        where = where or "something that is no mount (LVM, RAID, swap or another program)"
        raise ResourceError(f"{node} is in use on this machine already: {where}", RESERVATION_LOST)


def is_used(node: str) -> bool:
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise ResourceError(f"{node} cannot be opened: {error.strerror}", DISK_NOT_FOUND) from error
    return False


def used_where(node: str) -> str:
    """The mount that holds the device, in words; empty where none can be seen."""
    here = next((mount for mount in mountinfo.mounts() if is_mount_of(mount, node)), None)
    if here is not None:
        return f"mounted at {here.path}"
    for pid in mountinfo.namespaces():
        there = next((mount for mount in mountinfo.mounts(pid) if is_mount_of(mount, node)), None)
        if there is not None:
            process = f"process {pid} ({mountinfo.command_of(pid)})"
            return f"mounted at {there.path} in the mount namespace of {process}"
    return ""


def is_mount_of(mount: Mount, node: str) -> bool:
    """btrfs shows a number of its own, so its source counts too."""
    if mount.device == number_of(node):
        return True
    return mount.source.startswith("/dev/") and os.path.realpath(mount.source) == node


def filesystem_of(node: str) -> str:
    """The type of the file system on a device, as blkid sees it."""
    seen = run(["blkid", "-p", "-o", "value", "-s", "TYPE", node], SHORT_S)
    if seen.code == 0 and seen.output.strip():
        return seen.output.split()[0]
    raise ResourceError(
        f"{node} carries no file system that is known here: make one (mkfs), or name its type in FileSystem",
        DISK_NOT_FOUND,
    )


# Image files


def attach(image: str) -> list[str]:
    """The command that makes a loop device of an image file."""
    return ["losetup", "--find", "--show", image]


def attached(image: str) -> list[str]:
    """The loop devices that an image file is attached to."""
    found = run(["losetup", "-j", image], SHORT_S)
    if found.code != 0:
        raise ResourceError(f"losetup cannot tell where {image} is attached: {found.last_line}")
    return [line.split(":")[0] for line in found.output.splitlines() if line.startswith("/dev/")]


def detach(loop: str, image: str) -> None:
    """Take a loop device back, where it is still that of the image."""
    if not is_backed_by(loop, image):
        return
    done = run(["losetup", "-d", loop], SHORT_S)
    if done.code != 0 and is_backed_by(loop, image):
        raise ResourceError(f"{loop} cannot be detached from {image}: {done.last_line}")


def is_backed_by(loop: str, image: str) -> bool:
    return backing_file(loop) in (image, f"{image} (deleted)")


def backing_file(loop: str) -> str:
    try:
        return Path(f"/sys/block/{Path(loop).name}/loop/backing_file").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
