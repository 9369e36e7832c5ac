"""The claim of a directory: a lock that dies with its holder, and a record that outlives it.

The lock keeps two live nodes apart, the record, which carries the epoch, keeps an old owner
from coming back. The directory is a disk's own, or lies on other storage that all nodes share.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.physical_disk import reservation
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.shared_files import try_lock, unlock

DISK_NOT_FOUND = 1034
RESERVATION_LOST = 1038


class Claim:
    """Of one directory, for one owner at a time. Errors are ResourceError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was given back: a take that is interrupted must not go on to hold it."""

    @property
    def is_held(self) -> bool:
        return self._lock is not None

    def take(self, own: Reservation) -> None:
        """Lock it, and write the owner's record unless a newer owner has left one."""
        self.lock()
        self.check_earlier_owner(own)
        try:
            reservation.write(self.directory, own)
        except OSError as error:
            raise ResourceError(f"{self.directory} cannot be written: {error}", DISK_NOT_FOUND) from error

    def lock(self) -> None:
        begun = self._ends
        file = reservation.lock_file(self.directory)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = try_lock(file)
        except OSError as error:
            raise ResourceError(f"{self.directory} cannot be used: {error}", DISK_NOT_FOUND) from error
        if lock is None:
            holder = self.read() or "is locked by a process that left no record"
            raise ResourceError(f"{self.directory} {holder}", RESERVATION_LOST)
        with self._changing:
            if is_wanted := self._ends == begun:
                self._lock = lock
        if not is_wanted:
            unlock(lock)
            raise ResourceError(f"{self.directory} was given up before its lock was had")

    def check_earlier_owner(self, own: Reservation) -> None:
        """Refuse a directory on which a newer owner, or another group, has left its record."""
        record = self.read()
        if record is not None and record.bars(own):
            raise ResourceError(
                f"{self.directory} {record}, and this is group {own.group} at epoch {own.epoch};"
                f" if that owner is gone for good, remove {reservation.record_file(self.directory)}",
                RESERVATION_LOST,
            )

    def give_back(self, own: Reservation) -> None:
        """The record says that the owner is done, then the lock goes. `own`: the record of it, not held."""
        record = self.read() if self.is_held else None
        if record is not None and (record.group_id, record.node, record.epoch) == (
            own.group_id,
            own.node,
            own.epoch,
        ):
            reservation.write(self.directory, own)
        self.drop()

    def drop(self) -> None:
        """Only the lock goes: the record stays as it is, since the directory may not answer any more."""
        with self._changing:
            self._ends += 1
            descriptor, self._lock = self._lock, None
        if descriptor is not None:
            unlock(descriptor)

    def check(self, own: Reservation) -> None:
        """The lock is held on the file that others would lock, and the record is the owner's."""
        assert self._lock is not None
        try:
            same = os.path.samestat(os.fstat(self._lock), reservation.lock_file(self.directory).stat())
        except OSError as error:
            raise ResourceError(f"{self.directory} does not answer: {error}", DISK_NOT_FOUND) from error
        if not same:
            raise ResourceError(f"the lock file of {self.directory} was replaced", RESERVATION_LOST)
        record = self.read()
        if record is None or not record.is_of(own):
            text = record or "has lost its reservation record"
            raise ResourceError(f"{self.directory} {text}", RESERVATION_LOST)

    def read(self) -> Reservation | None:
        try:
            return reservation.read(self.directory)
        except (OSError, ValueError) as error:
            raise ResourceError(
                f"the reservation of {self.directory} cannot be read: {error}", DISK_NOT_FOUND
            ) from error
