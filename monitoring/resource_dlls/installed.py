"""Which distributions are installed here, looked at so cheaply that it can be asked at any time.

A process that lives long finds out by it that pip has put something in or taken something out.
A distribution counts once pip is done with it, which writes its RECORD last.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

Distribution = tuple[str, bool]
"""The folder of its metadata, and whether that is complete."""


class Installed:
    """Remembers what it saw, so that a look costs a stat(2) for each entry of the search path."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[int, tuple[str, ...]]] = {}

    def look(self) -> frozenset[Distribution]:
        """What is installed now. Two looks compare equal where nothing has changed."""
        found = [path for entry in sys.path for path in self._metadata_in(entry or ".")]
        return frozenset((path, _is_complete(path)) for path in found)

    def _metadata_in(self, folder: str) -> tuple[str, ...]:
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - a path of strings, asked each second
        except OSError:
            return ()
        known = self._folders.get(folder)
        if known is None or known[0] != changed:
            known = changed, tuple(_list(folder))
            self._folders[folder] = known
        return known[1]


def _list(folder: str) -> list[str]:
    with suppress(OSError):  # a zip file
        return [f"{folder}/{n}" for n in os.listdir(folder) if n.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
    return []


def _is_complete(path: str) -> bool:
    return os.path.exists(f"{path}/RECORD")  # noqa: PTH110
