"""Takes a mounted disk back from the machine: unmounts it, detaches its image, gives its reservation back.

It is back only when nothing on this machine can write to it any more. What keeps it busy is named,
and dealt with as the disk's BusyProcesses says. There is no unmounting behind somebody's back
(lazily), but for one case: a file system that was shut down before, to which nobody can write.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.physical_disk import bootblock, device, holders, left, mountinfo, scsi
from monitoring.resource_dlls.physical_disk.holders import Holder
from monitoring.resource_dlls.physical_disk.left import Left
from monitoring.resource_dlls.programs import run

END, WAIT, LEAVE = "end them", "wait", "leave"
BUSY_CHOICES = (END, WAIT, LEAVE)

UMOUNT_S = 25.0
"""Seconds that umount may take: next to nothing is left to write."""
WRITE_ALL_S = 3600.0
LOOK_AGAIN_S = 0.5
SETTLE_S = 2.0
"""How long the kernel may still use a device that is unmounted, before somebody else is suspected."""
PAUSE_S = 0.05
FLUSH_WITHIN_S = 0.2
"""How long Terminate writes what is in memory: the margin after a lease is 0.5 s by default."""
SHUTDOWN = 0x8004587D
"""ioctl(2), _IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN, the same of XFS, f2fs and others."""
FLUSH, NO_LOG_FLUSH = 0, 2


def _nothing(text: str = "") -> None:
    pass


@dataclass(frozen=True, slots=True)
class Voice:
    """Who hears of it. `log` is called once for each thing that happens, `progress` while it lasts;
    `still` raises where the work is not wanted any more."""

    log: Callable[[str], None]
    progress: Callable[[str], None] = _nothing
    still: Callable[[], None] = _nothing


class BusyError(ResourceError):
    """Somebody holds the file system, and is to be left alone."""


def take_down(state_dir: Path, voice: Voice, *, force: bool) -> None:
    """Take back what is noted; ResourceError where some of it is left, and may be tried again.

    `force`: as Terminate and a sweep want it: whoever holds the disk does not keep it.
    """
    note = left.noted(state_dir)
    if note is None:
        return
    if force:
        _stop_writes(note, voice)
    else:
        _write_all(note, voice)
    unmounting = _Unmounting(note, voice, force)
    unmounting.run()
    voice.still()
    if not force:
        _record_end(note)
    _give_device_back(note)
    left.strike(state_dir)


def mounted_at(note: Left) -> list[str]:
    """Where in this namespace the disk is mounted, the newest first."""
    return [mount.path for mount in reversed(mountinfo.mounts()) if note.is_mine(mount)]


def _stop_writes(note: Left, voice: Voice) -> None:
    """The lease may be over: unmounting must not go on to write for longer than a moment.

    What was synced is on the disk, as after a crash. A file system that cannot be shut down is
    unmounted with all that it has to write.
    """
    paths = mounted_at(note) if note.node else []
    if not paths:
        return
    if _has_lost(note):
        reason = "has another owner"
    elif _flush(paths[0]):
        return
    else:
        reason = f"could not be written within {FLUSH_WITHIN_S:g} s"
    if shut_down(paths[0], NO_LOG_FLUSH):
        voice.log(f"{note.path} {reason}: what was not yet written to it is dropped")


def _write_all(note: Left, voice: Voice) -> None:
    """Unmounting would do it without a word, and an Offline that is silent for too long is ended."""

    def tell(seconds: float) -> None:
        voice.still()
        voice.progress(f"writing what is in memory to {note.path}, for {seconds:.0f} s so far")

    for path in mounted_at(note)[:1]:
        run(["sync", "--file-system", path], WRITE_ALL_S, waiting=tell)


def _flush(path: str) -> bool:
    try:
        return run(["sync", "--file-system", path], FLUSH_WITHIN_S).code == 0
    except ResourceError:
        return False


def _has_lost(note: Left) -> bool:
    """A newer owner has left its record on the device: nothing more may be written there."""
    if note.owner is None or not note.node:
        return False
    try:
        record = bootblock.read(note.node)
    except (OSError, ValueError):
        return False
    return record is not None and record.bars(note.owner)


class _Unmounting:
    def __init__(self, note: Left, voice: Voice, force: bool) -> None:
        self._note = note
        self._voice = voice
        self._force = force
        self._told = ""
        self._is_cut_off = False
        """It was shut down: it stays busy, and nobody can write to it."""

    def run(self) -> None:
        note = self._note
        settled_at = time.monotonic() + SETTLE_S
        while paths := mounted_at(note):
            self._voice.still()
            options = ["-f"] if self._force and not note.node else []  # NFS: give up what waits
            done = run(["umount", *options, paths[0]], UMOUNT_S)
            if done.code != 0 and mountinfo.at(paths[0]) is not None:
                if "busy" not in done.output:
                    raise ResourceError(f"{paths[0]} cannot be unmounted: {done.last_line}")
                self._deal_with_holders(settled_at)
        holders.unmount_elsewhere(note.is_mine, lambda argv: run(argv, UMOUNT_S))
        settled_at = time.monotonic() + SETTLE_S
        while not self._is_cut_off and self._is_used():
            self._voice.still()
            self._deal_with_holders(settled_at)

    def _is_used(self) -> bool:
        note = self._note
        return bool(note.node) and note.has_loop and Path(note.node).exists() and device.is_used(note.node)

    def _deal_with_holders(self, settled_at: float) -> None:
        """Do about those who hold it what the property says. Where nobody is seen to hold it, what has just
        ended may not be gone yet."""
        note = self._note
        found = holders.find(note.is_mine)
        if not found and not holders.beneath(mounted_at(note)) and time.monotonic() < settled_at:
            time.sleep(PAUSE_S)
            return
        text = f"{note.path} is held by {self._in_words(found)}"
        if text != self._told:
            self._voice.log(text)
            self._told = text
        self._voice.progress(text)
        if found and (note.busy == END or (note.busy == WAIT and self._force)):
            holders.end(found, 0.0 if self._force else note.grace_s)
            if not holders.find(note.is_mine):
                return
        elif note.busy == WAIT and not self._force:
            time.sleep(LOOK_AGAIN_S)
            return
        if not self._force:
            raise BusyError(text)
        self._cut_off(text)

    def _in_words(self, found: list[Holder]) -> str:
        if found:
            return holders.in_words(found)
        paths = mounted_at(self._note)
        others = holders.beneath(paths) + [
            f"the agent's {it}" for it in holders.own_files(self._note.is_mine)
        ]
        elsewhere = "" if paths or not self._note.node else device.used_where(self._note.node)
        return ", ".join(others) or elsewhere or "something that cannot be seen"

    def _cut_off(self, text: str) -> None:
        """Holders stay: nothing of theirs may be written any more."""
        paths = mounted_at(self._note)
        if not paths or not self._note.node or not shut_down(paths[0], FLUSH):
            raise ResourceError(f"{text}, and cannot be taken from it")
        for path in paths:
            run(["umount", "--lazy", path], UMOUNT_S)
        self._is_cut_off = True
        self._voice.log(f"{text}: the file system was shut down, and takes no more writes from it")


def shut_down(path: str, how: int) -> bool:
    """Make a file system refuse every write from now on; False where its type cannot."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", how))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _record_end(note: Left) -> None:
    """The record outside of the file system says that the owner is done."""
    if not note.node or note.owner is None:
        return
    try:
        record = bootblock.read(note.node)
        if record is not None and record.is_of(note.owner):
            bootblock.write(note.node, replace(record, held=False))
    except (OSError, ValueError) as error:
        raise ResourceError(
            f"the end of the reservation of {note.node} cannot be written: {error}"
        ) from error


def _give_device_back(note: Left) -> None:
    if note.image:
        for loop in [note.loop] if note.loop else device.attached(note.image):
            device.detach(loop, note.image)
    if note.reserved and Path(note.reserved).exists():
        with suppress(ResourceError):
            # A device that does not answer keeps the key; the next owner removes it
            scsi.release(note.reserved, note.key)
