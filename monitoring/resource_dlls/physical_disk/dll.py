"""The Physical Disk resource: exclusive ownership of a disk, mounted or shared, by one node at a time.

Without a Device it is a directory on storage that all nodes share. With one it is a file system
that is mounted at Path while the disk is online: of a block device, an image file, or NFS.

Ownership is a lock that dies with its holder, and a record that outlives it and carries the
epoch: the lock keeps two live nodes apart, the record keeps an old owner from coming back. What
keeps others away before anything is mounted: see `mounting`.

Entry points are plain methods: storage may hang, and then only this resource's thread does.

Source: semantics 5.1 and 5.2 (KB914458).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import Context, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.physical_disk import device, left, looking, scsi
from monitoring.resource_dlls.physical_disk.bounded import Bounded, HangingError
from monitoring.resource_dlls.physical_disk.claim import DISK_NOT_FOUND, Claim
from monitoring.resource_dlls.physical_disk.device import Kind
from monitoring.resource_dlls.physical_disk.mounting import Mounting
from monitoring.resource_dlls.physical_disk.mountwatch import WATCH
from monitoring.resource_dlls.physical_disk.properties import PROPERTIES
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.physical_disk.taking_down import Voice, take_down
from monitoring.resource_dlls.shared_files import try_lock, unlock

logger = logging.getLogger(__name__)

CHEAP_S = 0.25
"""What LooksAlive waits for storage; longer is IsAlive's to judge."""
TERMINATE_S = 28.0
DROP_S = 2.0
OFFLINE_ENDS_S = 5.0
"""How long an Offline that is interrupted may take to notice it."""


class PhysicalDisk(ResourceDLL):
    type_name = "Physical Disk"
    description = "A disk that one node at a time owns: a block device, an NFS export, or a shared directory."
    family = "Storage"
    icon = "hard-drive"
    properties = PROPERTIES

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self._kind = device.kind_of(self["Device"])
        self._claim = Claim(self.disk)
        self._outer = Claim(Path(self["LockPath"]) / _as_file(self["Device"])) if self["LockPath"] else None
        self._image_lock: int | None = None
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was given back: an Online that is interrupted must not go on to hold the disk."""
        self._taking_down = threading.Lock()
        self._looking = Bounded(f"{context.name}: probe")
        self._ending = Bounded(f"{context.name}: end")
        self._dropping = Bounded(f"{context.name}: unlock")

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        kind = device.kind_of(values["Device"])
        if kind is Kind.DIRECTORY:
            for name in ("FileSystem", "MountOptions", "LockPath"):
                if values[name]:
                    raise PropertyError(name, "this is for a disk that is mounted: name its Device, too")
        if kind is Kind.NFS and values["FileSystem"] not in ("", "nfs", "nfs4"):
            raise PropertyError("FileSystem", f"{values['Device']} is an NFS export")
        if values["PersistentReservation"] == scsi.ALWAYS and kind is not Kind.BLOCK:
            raise PropertyError(
                "PersistentReservation", f"only a block device has it, and this is {kind.value}"
            )
        for name in ("FileSystem", "MountOptions"):
            if re.search(r"\s", values[name]):
                raise PropertyError(name, f"{values[name]!r} has a space in it")

    @property
    def disk(self) -> Path:
        return Path(self["Path"])

    @property
    def _is_mounted_kind(self) -> bool:
        return self._kind is not Kind.DIRECTORY

    # Up

    def open(self) -> None:
        self.sweep(self.context.state_dir)

    def online(self) -> None:
        begun = self._ends
        own = self._record(held=True)
        if self._is_mounted_kind:
            if self._outer is not None:
                self._outer.take(own)
            mounting = Mounting(self.context, self._values, own, lambda: self._still(begun))
            mounting.bring_up(lambda lock: self._hold_image(lock, begun))
        self._claim.take(own)
        try:
            looking.write_and_read(self.disk, self.context.node)
        except OSError as error:
            raise ResourceError(f"{self.disk} cannot be written: {error}", DISK_NOT_FOUND) from error
        self._still(begun)
        self._watch()
        self._show(looking.usage(str(self.disk)))

    def adopt(self) -> bool:
        """It is mounted still; the locks, which ended with the agent, are taken again, and the records are
        still this owner's."""
        begun = self._ends
        if self._is_mounted_kind:
            note = left.noted(self.context.state_dir)
            if note is None:
                return False
            if self._outer is not None:
                self._outer.lock()
            if note.image and (lock := try_lock(Path(note.image))) is not None:
                self._hold_image(lock, begun)
        self._claim.lock()
        self._watch()
        return self.looks_alive()

    def _hold_image(self, lock: int, begun: int) -> None:
        with self._changing:
            if is_wanted := self._ends == begun:
                self._image_lock = lock
        if not is_wanted:
            unlock(lock)
            self._still(begun)

    def _still(self, begun: int) -> None:
        if self._ends != begun:
            raise ResourceError(f"{self.disk} was given up while it came online")

    def _watch(self) -> None:
        """The kernel tells at once when it is unmounted by somebody."""
        if self._is_mounted_kind and (mount := looking.own_mount(left.noted(self.context.state_dir))):
            WATCH.add(self, mount, lambda: self.context.failed(f"{self.disk} was unmounted"))

    # Down

    def offline(self) -> None:
        """Give the disk back: the records say so, then it is unmounted, then the locks go."""
        begun = self._ends
        done = self._record(held=False)
        WATCH.remove(self)
        self._claim.give_back(done)
        voice = Voice(self._warn, self.context.progress, lambda: self._still(begun))
        with self._taking_down:
            take_down(self.context.state_dir, voice, force=False)
        if self._outer is not None:
            self._outer.give_back(done)
        self._drop_locks()

    def terminate(self) -> None:
        """Take it from the machine by force; records stay as they are: the disk may not answer any more."""
        with self._changing:
            self._ends += 1
        WATCH.remove(self)
        try:
            self._ending.ask(self._end, TERMINATE_S)
        except HangingError as error:
            raise ResourceError(f"{self.disk} cannot be taken down: {error}", DISK_NOT_FOUND) from error

    def _end(self) -> None:
        with suppress(HangingError):  # an NFS server that is away lets go once it is unmounted by force
            self._dropping.ask(self._claim.drop, DROP_S)
        if left.noted(self.context.state_dir) is not None:
            self.context.kill_all()  # a mount or a check that is under way
            own_turn = self._taking_down.acquire(timeout=OFFLINE_ENDS_S)
            try:
                take_down(self.context.state_dir, Voice(self._warn), force=True)
            finally:
                if own_turn:
                    self._taking_down.release()
        self._drop_locks()

    def _warn(self, text: str) -> None:
        self.context.log(1, text)

    def _drop_locks(self) -> None:
        if self._outer is not None:
            self._outer.drop()
        self._claim.drop()
        with self._changing:
            self._ends += 1
            lock, self._image_lock = self._image_lock, None
        if lock is not None:
            unlock(lock)

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        """Unmount what a dead agent left, detach its image, release its reservation."""
        take_down(state_dir, Voice(logger.warning), force=True)

    # Probes

    def looks_alive(self) -> bool:
        """Mounted, for writing; the lock is held on the file that others would lock, the record is ours."""
        if not self._claim.is_held:
            return False
        try:
            self._looking.ask(self._look, CHEAP_S)
        except HangingError:
            return False
        return True

    def is_alive(self) -> bool:
        """A file is written and read within ProbeTimeout, and the reservations are ours."""
        if not self._claim.is_held:
            return False
        limit = self["ProbeTimeout"]
        try:
            usage = self._looking.ask(self._look_thoroughly, limit / 1000)
        except HangingError as error:
            raise ResourceError(
                f"{self.disk} does not answer: no file could be written and read for {error.seconds:.1f} s"
                f" (ProbeTimeout is {limit} ms)",
                DISK_NOT_FOUND,
            ) from error
        self._show(usage)
        return True

    def _look(self) -> None:
        if self._is_mounted_kind:
            looking.check_mount(left.noted(self.context.state_dir), self["Path"])
        self._claim.check(self._record(held=True))

    def _look_thoroughly(self) -> looking.Usage:
        own = self._record(held=True)
        looking.list_directory(self.disk)
        self._look()
        if self._outer is not None:
            self._outer.check(own)
        if (note := left.noted(self.context.state_dir)) is not None:
            looking.check_device(note, own)
        try:
            return looking.test(self.disk, self.context.node)
        except ResourceError:
            self._look()  # it may have been unmounted just now, which says more
            raise

    def _show(self, usage: looking.Usage) -> None:
        """How full it is, and how it is kept from other nodes."""
        limit = self["SpaceWarning"] / 100
        for name, text, share in (
            ("Space", usage.space(), usage.share),
            ("Inodes", usage.files() if usage.inodes else "", usage.inode_share),
        ):
            self.context.show(name, text, level=int(share >= limit), share=share)
        note = left.noted(self.context.state_dir)
        self.context.show("Protection", note.protection if note is not None else "")

    def _record(self, held: bool) -> Reservation:
        return Reservation(
            self.context.group_id, self.context.group, self.context.node, self.context.epoch, held
        )


def _as_file(device_name: str) -> str:
    """A device's name as the name of a folder, the same on all nodes."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "_", device_name).strip("_")
