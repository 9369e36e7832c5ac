"""How full a volume is, in words."""

from __future__ import annotations

import os
from dataclasses import dataclass

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one volume, as df counts: what only root may use is neither used nor free."""

    used: int
    size: int
    inodes_used: int
    inodes: int
    """0 where the file system makes them as it needs them."""

    @property
    def share(self) -> float:
        return self.used / self.size if self.size else 0.0

    @property
    def inode_share(self) -> float:
        return self.inodes_used / self.inodes if self.inodes else 0.0

    def space(self) -> str:
        """ "12.4 of 20.0 GiB used"."""
        power = 0
        while power < len(_UNITS) - 1 and self.size >= 1024 ** (power + 1):
            power += 1
        used, size = self.used / 1024**power, self.size / 1024**power
        return f"{used:.1f} of {size:.1f} {_UNITS[power]} used"

    def files(self) -> str:
        return f"{self.inodes_used:,} of {self.inodes:,} inodes used"


def usage(path: str) -> Usage:
    """Ask the file system; blocks where it does not answer."""
    found = os.statvfs(path)
    used = found.f_blocks - found.f_bfree
    return Usage(
        used * found.f_frsize,
        (used + found.f_bavail) * found.f_frsize,
        found.f_files - found.f_ffree,
        found.f_files,
    )
