"""The Physical Disk resource: exclusive ownership of a directory on shared storage.

Ownership is a lock that dies with its holder, and a record that outlives it and carries the
epoch: the lock keeps two live nodes apart, the record keeps an old owner from coming back.
Entry points are plain methods: storage may hang, and then only this resource's thread does.

Source: semantics 5.1 and 5.2 (KB914458).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.physical_disk import reservation
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.shared_files import try_lock, unlock

DISK_NOT_FOUND = 1034
RESERVATION_LOST = 1038


class PhysicalDisk(ResourceDLL):
    type_name = "Physical Disk"
    description = "A directory on shared storage that one node at a time owns."
    family = "Storage"
    icon = "hard-drive"
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "Path",
            kind="path",
            required=True,
            unique="cluster",
            help="directory on storage that all possible owners share; made where it is missing",
        ),
    )

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self._lock: int | None = None
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was given back: an Online that is interrupted must not go on to hold the disk."""

    @property
    def disk(self) -> Path:
        return Path(self["Path"])

    def online(self) -> None:
        self._take_lock()
        self._check_earlier_owner()
        try:
            reservation.write(self.disk, self._record(held=True))
            self._write_test_file()
        except OSError as error:
            raise ResourceError(f"{self.disk} cannot be written: {error}", DISK_NOT_FOUND) from error

    def adopt(self) -> bool:
        """The lock, which ended with the agent, is taken again, and the record is still this owner's."""
        self._take_lock()
        return self.looks_alive()

    def _take_lock(self) -> None:
        begun = self._ends
        try:
            reservation.lock_file(self.disk).parent.mkdir(parents=True, exist_ok=True)
            lock = try_lock(reservation.lock_file(self.disk))
        except OSError as error:
            raise ResourceError(f"{self.disk} cannot be used: {error}", DISK_NOT_FOUND) from error
        if lock is None:
            holder = self._read() or "is locked by a process that left no record"
            raise ResourceError(f"{self.disk} {holder}", RESERVATION_LOST)
        with self._changing:
            if is_wanted := self._ends == begun:
                self._lock = lock
        if not is_wanted:
            unlock(lock)
            raise ResourceError(f"{self.disk} was given up before its lock was had")

    def _check_earlier_owner(self) -> None:
        """Refuse a disk on which a newer owner, or another group, has left its record."""
        record = self._read()
        if record is None:
            return
        if record.group_id != self.context.group_id:
            taken = record.held  # epochs of two groups say nothing about each other
        elif record.epoch == self.context.epoch:
            taken = record.node != self.context.node
        else:
            taken = record.epoch > self.context.epoch
        if taken:
            raise ResourceError(
                f"{self.disk} {record}, and this is group {self.context.group} at epoch {self.context.epoch};"
                f" if that owner is gone for good, remove {reservation.record_file(self.disk)}",
                RESERVATION_LOST,
            )

    def _write_test_file(self) -> None:
        test = self.disk / reservation.FOLDER / f"test-{self.context.node}"
        with test.open("w", encoding="utf-8") as file:
            file.write(self.context.name)
            file.flush()
            os.fsync(file.fileno())
        test.unlink()

    def offline(self) -> None:
        """Give the disk back: the record says so, then the lock goes."""
        if self._lock is not None and self._is_ours(self._read()):
            reservation.write(self.disk, self._record(held=False))
        self._unlock()

    def terminate(self) -> None:
        """Only drop the lock: the record stays as it is, since the disk may not answer any more."""
        self._unlock()

    def _unlock(self) -> None:
        with self._changing:
            self._ends += 1
            descriptor, self._lock = self._lock, None
        if descriptor is not None:
            unlock(descriptor)

    def looks_alive(self) -> bool:
        """The lock is held on the file that others would lock, and the record is ours."""
        if self._lock is None:
            return False
        try:
            if not os.path.samestat(os.fstat(self._lock), reservation.lock_file(self.disk).stat()):
                raise ResourceError(f"the lock file of {self.disk} was replaced", RESERVATION_LOST)
        except OSError as error:
            raise ResourceError(f"{self.disk} does not answer: {error}", DISK_NOT_FOUND) from error
        if not self._is_ours(record := self._read()):
            raise ResourceError(
                f"{self.disk} {record or 'has lost its reservation record'}", RESERVATION_LOST
            )
        return True

    def is_alive(self) -> bool:
        try:
            for _ in self.disk.iterdir():
                pass
        except OSError as error:
            raise ResourceError(f"{self.disk} cannot be listed: {error}", DISK_NOT_FOUND) from error
        return self.looks_alive()

    def _read(self) -> Reservation | None:
        try:
            return reservation.read(self.disk)
        except (OSError, ValueError) as error:
            raise ResourceError(
                f"the reservation of {self.disk} cannot be read: {error}", DISK_NOT_FOUND
            ) from error

    def _is_ours(self, record: Reservation | None) -> bool:
        owner = (self.context.group_id, self.context.node, self.context.epoch)
        return record is not None and record.held and (record.group_id, record.node, record.epoch) == owner

    def _record(self, held: bool) -> Reservation:
        return Reservation(
            self.context.group_id, self.context.group, self.context.node, self.context.epoch, held
        )
