"""What is mounted, as /proc tells it. No file system is touched, so none can hang the question."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/PID/mountinfo (proc(5))."""

    id: int
    device: str
    """Major and minor number, "7:3"; for NFS and btrfs a number that stands for no device."""
    path: str
    options: frozenset[str]
    filesystem: str
    source: str

    @property
    def is_read_only(self) -> bool:
        """Or shut down, or read-only for an emergency, as newer kernels have it."""
        return not self.options.isdisjoint(("ro", "emergency_ro", "shutdown"))


def mounts(pid: int | str = "self") -> list[Mount]:
    """All mounts that a process sees, oldest first; none where it is gone."""
    try:
        text = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [_parse(line) for line in text.splitlines() if " - " in line]


def at(path: str) -> Mount | None:
    """The mount that is seen at exactly `path`, the topmost where there are several."""
    return next((mount for mount in reversed(mounts()) if mount.path == path), None)


def namespaces() -> Iterator[int]:
    """A process of each mount namespace but this one, as far as they can be seen."""
    seen = {_namespace("self")}
    for entry in sorted(os.listdir("/proc")):  # noqa: PTH208
        if entry.isdigit() and (namespace := _namespace(entry)) not in seen:
            seen.add(namespace)
            yield int(entry)


def command_of(pid: int) -> str:
    """The command line of a process, shortened."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        line = " ".join(word.decode(errors="replace") for word in words if word)
        return line[:60] or Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "ended meanwhile"


def _namespace(pid: int | str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
    except OSError:
        return ""


def _parse(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    first, second = before.split(" "), after.split(" ")
    options = {*first[5].split(","), *(second[2] if len(second) > 2 else "").split(",")}
    return Mount(int(first[0]), first[2], _plain(first[4]), frozenset(options), second[0], _plain(second[1]))


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 8)), text)
