"""Image files that become loop devices, for tests of disks; nothing of them is left on the machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.resource_dlls.physical_disk import device, mountinfo
from tests.resource_dlls.context import LocalContext, make

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(),
    reason="needs root, and a kernel with loop devices",
)


@contextmanager
def image(folder: Path, *, mkfs: str = "mkfs.ext4", size: str = "16M") -> Iterator[Path]:
    """An image file with a file system."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "disk.img"
    subprocess.run(["truncate", "-s", size, file], check=True)
    subprocess.run([*mkfs.split(), "-q", file], check=True)
    try:
        yield file
    finally:
        for loop in device.attached(str(file)):
            for mount in reversed(mountinfo.mounts()):
                if device.is_mount_of(mount, loop):
                    subprocess.run(["umount", "--lazy", mount.path], check=False)
            subprocess.run(["losetup", "-d", loop], check=False)


@contextmanager
def loop_device(file: Path) -> Iterator[str]:
    """An image as a block device, which is not taken for an image file."""
    found = subprocess.run(["losetup", "-f", "--show", file], check=True, capture_output=True, text=True)
    yield found.stdout.strip()  # `image` detaches it


def disk(
    tmp_path: Path, source: object, node: str = "NODE1", epoch: int = 1, group_id: int = 1, **more: Any
) -> ResourceDLL:
    """A Physical Disk of a node, at the mount point that all nodes use."""
    context = LocalContext(tmp_path / node, name="disk", node=node, epoch=epoch, group_id=group_id)
    return make("Physical Disk", context, Path=str(tmp_path / "mnt"), Device=str(source), **more)


def unopened(tmp_path: Path, source: object, node: str = "NODE1", epoch: int = 1, **more: Any) -> ResourceDLL:
    """As a restarted agent makes it: `open` is not called."""
    dll = registry.get("Physical Disk")
    context = LocalContext(tmp_path / node, name="disk", node=node, epoch=epoch)
    return dll(context, dll.clean({"Path": str(tmp_path / "mnt"), "Device": str(source), **more}))


def told(resource: ResourceDLL) -> str:
    """All lines for the history."""
    context = resource.context
    assert isinstance(context, LocalContext)
    return "\n".join(text for _, text, _ in context.lines)


def is_mounted(tmp_path: Path) -> bool:
    return mountinfo.at(str(tmp_path / "mnt")) is not None
