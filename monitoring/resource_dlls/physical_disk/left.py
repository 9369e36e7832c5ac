"""What a disk has taken from the machine, noted in its state folder before it is taken.

Whoever takes it back, the disk itself, the guard, or the next agent, goes by this note.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from monitoring.resource_dlls.physical_disk import device
from monitoring.resource_dlls.physical_disk.mountinfo import Mount
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.shared_files import write_atomically

FILE = "mounted.json"


@dataclass(frozen=True, slots=True)
class Left:
    """`node`: the device node, empty for NFS. `loop`: the same, where it was made of `image`. `key`: the
    key under which `reserved`, the device or the disk it is on, is reserved."""

    path: str
    source: str
    node: str = ""
    loop: str = ""
    image: str = ""
    filesystem: str = ""
    reserved: str = ""
    key: str = ""
    busy: str = ""
    grace_s: float = 0.0
    protection: str = ""
    """What keeps other nodes away, in words."""
    owner: Reservation | None = None
    boot: str = ""
    """Of which boot of the machine this is the note: of an earlier one nothing is mounted any more."""

    def is_mine(self, mount: Mount) -> bool:
        """Whether a mount is of this disk; of a device at whatever path and in whatever namespace."""
        if not self.node:
            source = (mount.source.rstrip("/"), mount.path)
            return mount.filesystem.startswith("nfs") and source == (self.source.rstrip("/"), self.path)
        return self.has_loop and device.is_mount_of(mount, self.node)

    @property
    def has_loop(self) -> bool:
        """False where its loop device was given to another image meanwhile."""
        return not self.loop or device.is_backed_by(self.loop, self.image)


def note(state_dir: Path, left: Left) -> None:
    state_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(state_dir / FILE, json.dumps(asdict(replace(left, boot=_boot()))))


def noted(state_dir: Path) -> Left | None:
    try:
        values = json.loads((state_dir / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    owner = values.pop("owner")
    if values["boot"] != _boot():
        return None
    return Left(**values, owner=Reservation(**owner) if owner else None)


def strike(state_dir: Path) -> None:
    (state_dir / FILE).unlink(missing_ok=True)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
