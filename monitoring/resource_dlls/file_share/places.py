"""Where a shared directory lies: on a disk of the group, so that it moves with it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path

from monitoring.resource_dlls.api import Provider, ResourceError

SHARE_LOST, SHARE_CHECK_FAILED = 1054, 1055


def disk_of(path: str, providers: Iterable[Provider]) -> Path:
    """The disk that `path` is on; ResourceError where it is on none that the share depends on."""
    disks = [p.properties["Path"] for p in providers if p.type_name == "Physical Disk"]
    wanted = posixpath.normpath(path)
    for disk in sorted(disks, key=len, reverse=True):
        if posixpath.commonpath([wanted, posixpath.normpath(disk)]) == posixpath.normpath(disk):
            return Path(disk)
    where = ", ".join(disks) or "no disk"
    raise ResourceError(f"{path} lies on none of the disks that the share depends on ({where})", SHARE_LOST)


def check_directory(path: str) -> None:
    """ResourceError where the directory cannot be listed; it may hang where its disk does."""
    try:
        next(Path(path).iterdir(), None)
    except OSError as error:
        raise ResourceError(f"{path} cannot be listed: {error.strerror}", SHARE_LOST) from error
