"""Which processes hold a mounted file system, by what, and how they are ended.

Only /proc is asked, never the file system itself: one that does not answer must not hang this.
A file of a process is told by the mount that it was opened through (fdinfo), in whichever
mount namespace that process lives.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitoring.resource_dlls.physical_disk import mountinfo
from monitoring.resource_dlls.physical_disk.mountinfo import Mount

_MOUNT_ID = re.compile(rb"^mnt_id:\s*(\d+)", re.MULTILINE)
KILLED_WITHIN_S = 2.0
SHOWN = 4
"""How many holders a sentence names."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, and the first thing by which it holds the file system."""

    pid: int
    command: str
    by: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command}) by {self.by}"


IsOf = Callable[[Mount], bool]


def find(is_of: IsOf) -> list[Holder]:
    """All processes but this one that hold a file system; `is_of` tells its mounts."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit() and (pid := int(entry)) != os.getpid():
            by = next(_held(pid, is_of), "")
            if by:
                found.append(Holder(pid, mountinfo.command_of(pid), by))
    return sorted(found, key=lambda holder: holder.pid)


def unmount_elsewhere(is_of: IsOf, run: Callable[[Sequence[str]], object]) -> None:
    """Unmount it in the mount namespaces of others, which got a copy of the mount when they were made."""
    for pid in mountinfo.namespaces():
        for mount in reversed(mountinfo.mounts(pid)):
            if is_of(mount):
                run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", "umount", "-n", mount.path])


def in_words(holders: Sequence[Holder]) -> str:
    named = ", ".join(str(holder) for holder in holders[:SHOWN])
    return named + (f" and {len(holders) - SHOWN} more" if len(holders) > SHOWN else "")


def own_files(is_of: IsOf) -> list[str]:
    """What this process itself has open there."""
    return list(_held(os.getpid(), is_of))


def beneath(paths: Sequence[str]) -> list[str]:
    """What is no process and keeps a file system busy: mounts and loop devices on it."""
    others = [mount.path for mount in mountinfo.mounts()]
    found = [f"a mount at {path}" for path in others if any(path.startswith(f"{p}/") for p in paths)]
    for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            file = loop.read_text(encoding="utf-8").strip()
            if any(file.startswith(f"{path}/") for path in paths):
                found.append(f"/dev/{loop.parent.parent.name}, whose image {file} is")
    return found


def end(holders: Sequence[Holder], grace: float) -> None:
    """SIGTERM, `grace` seconds, SIGKILL; returns once they are gone, or after another moment."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILLED_WITHIN_S)):
        left = [holder for holder in holders if _is_there(holder)]
        for holder in left if seconds else ():
            with suppress(ProcessLookupError):
                os.kill(holder.pid, number)
        deadline = time.monotonic() + seconds
        while any(_is_there(holder) for holder in left) and time.monotonic() < deadline:
            time.sleep(0.01)


def _is_there(holder: Holder) -> bool:
    """The same process lives; a zombie holds nothing."""
    try:
        stat = Path(f"/proc/{holder.pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] != b"Z" and mountinfo.command_of(holder.pid) == holder.command


def _held(pid: int, is_of: IsOf) -> Iterator[str]:
    """What a process holds, one after the other: it is looked at only as far as needed."""
    mounts = [mount for mount in mountinfo.mounts(pid) if is_of(mount)]
    if not mounts:
        return
    paths = [mount.path for mount in mounts]
    for link, what in (("cwd", "its working directory"), ("root", "its root"), ("exe", "its program")):
        target = _link(f"/proc/{pid}/{link}")
        if any(target == path or target.startswith(f"{path.rstrip('/')}/") for path in paths):
            yield f"{what} {target}"
    ids = {mount.id for mount in mounts}
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fdinfo"):  # noqa: PTH208
            if _mount_id(pid, number) in ids:
                yield f"the open file {_link(f'/proc/{pid}/fd/{number}')}"
    yield from _mapped(pid, {mount.device for mount in mounts}, paths)


def _mapped(pid: int, devices: set[str], paths: Sequence[str]) -> Iterator[str]:
    with suppress(OSError), Path(f"/proc/{pid}/maps").open(encoding="utf-8", errors="replace") as maps:
        for line in maps:
            words = line.split(maxsplit=5)
            if len(words) < 6 or not words[5].startswith("/"):
                continue
            major, _, minor = words[3].partition(":")
            file = words[5].rstrip("\n")
            is_below = any(file.startswith(f"{path}/") for path in paths)
            if f"{int(major, 16)}:{int(minor, 16)}" in devices or is_below:
                yield f"the mapped file {file}"


def _mount_id(pid: int, number: str) -> int:
    try:
        found = _MOUNT_ID.search(Path(f"/proc/{pid}/fdinfo/{number}").read_bytes())
    except OSError:
        return -1
    return int(found.group(1)) if found else -1


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return ""
