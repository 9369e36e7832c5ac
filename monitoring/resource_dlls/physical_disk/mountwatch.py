"""Notices at once when something is unmounted: one thread for all disks of the node.

The kernel says by poll(2) on /proc/self/mountinfo that the mounts have changed (proc(5)).
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from monitoring.resource_dlls.physical_disk import mountinfo
from monitoring.resource_dlls.physical_disk.mountinfo import Mount

Lost = Callable[[], None]


class MountWatch:
    """Calls back, once, when a mount is no more. Its thread runs while something is watched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[object, tuple[tuple[int, str], Lost]] = {}
        self._wake = -1

    def add(self, key: object, mount: Mount, lost: Lost) -> None:
        """`lost` is called on the watch's thread once `mount` is no more."""
        with self._lock:
            self._watched[key] = ((mount.id, mount.path), lost)
            if self._wake < 0:
                self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                thread = threading.Thread(
                    target=self._run, args=(self._wake,), name="mount watch", daemon=True
                )
                thread.start()
            os.eventfd_write(self._wake, 1)

    def remove(self, key: object) -> None:
        with self._lock:
            self._watched.pop(key, None)
            if not self._watched and self._wake >= 0:
                wake, self._wake = self._wake, -1
                os.eventfd_write(wake, 1)

    def _run(self, wake: int) -> None:
        table = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        changes = select.poll()
        changes.register(table, select.POLLERR | select.POLLPRI)
        changes.register(wake, select.POLLIN)
        try:
            while True:
                with self._lock:
                    if self._wake != wake:
                        return
                self._look()
                if any(fd == wake for fd, _ in changes.poll()):
                    os.eventfd_read(wake)
        finally:
            os.close(table)
            os.close(wake)

    def _look(self) -> None:
        present = {(mount.id, mount.path) for mount in mountinfo.mounts()}  # ids are used again
        with self._lock:
            gone = [key for key, (mount, _) in self._watched.items() if mount not in present]
            calls = [self._watched.pop(key)[1] for key in gone]
        for call in calls:
            call()


WATCH = MountWatch()
