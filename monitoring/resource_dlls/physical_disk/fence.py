"""Fencing of writes: what a service that keeps data on a cluster disk calls around each write.

    with fence.writing("/shared/evs1", epoch):
        database.commit()

A process of an earlier owner that wakes up after a failover, be it from a pause, a debugger
or a partition, is refused here whatever it believes about itself.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from monitoring.resource_dlls.physical_disk import reservation
from monitoring.resource_dlls.shared_files import locked


class FencedError(Exception):
    """The disk belongs to another epoch: end at once, write nothing, serve nothing."""


def check(path: str | Path, epoch: int) -> None:
    """Raise FencedError unless the disk is held under exactly this epoch now."""
    record = reservation.read(Path(path))
    if record is None:
        raise FencedError(f"{path} is not reserved by the cluster")
    if record.epoch != epoch or not record.held:
        raise FencedError(f"{path} {record}; this process serves epoch {epoch}")


@contextlib.contextmanager
def writing(path: str | Path, epoch: int, timeout: float = 5.0) -> Iterator[None]:
    """Hold the disk still while writing: the epoch is right, and stays so until the end.

    Keep the body short (one transaction): a new owner waits for it.
    """
    disk = Path(path)
    with locked(reservation.writers_file(disk), fcntl.LOCK_SH, timeout):
        check(disk, epoch)
        yield
