"""Persistent reservations of a device (SPC-3): who may write to it is held by the device itself.

Write Exclusive, Registrants Only: whoever has no key registered reads, and does not write. A
key says whose it is: 16 bits of the node's name, 16 of the group's number, 32 of the epoch. A
new owner removes the keys of older epochs of its group, with the reservation, in one step
(preempt and abort), and from then on the device refuses the old owner's writes, whatever that
machine does. Keys of a newer epoch, of another group, or of strangers are never removed.

Through sg_persist (sg3-utils).
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.physical_disk.claim import RESERVATION_LOST
from monitoring.resource_dlls.physical_disk.reservation import Reservation
from monitoring.resource_dlls.programs import Done, path_of, run

AUTO, ALWAYS, NEVER = "auto", "always", "never"
MODES = (AUTO, ALWAYS, NEVER)
WRITE_EXCLUSIVE_REGISTRANTS_ONLY = "5"
PROGRAM = "sg_persist"
COMMAND_S = 10.0
RESERVATION_CONFLICT = 24
"""Exit code of sg_persist (sg3_utils(8))."""
_KEY = re.compile(r"^\s*(?:Key=)?0x([0-9a-f]+)\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Key:
    """A registered key, read as one of ours."""

    node: int
    group: int
    epoch: int

    @classmethod
    def of(cls, owner: Reservation) -> Key:
        digest = hashlib.sha256(owner.node.encode()).digest()
        return cls(int.from_bytes(digest[:2], "big") or 1, owner.group_id & 0xFFFF, owner.epoch & 0xFFFFFFFF)

    @classmethod
    def parse(cls, text: str) -> Key:
        number = int(text, 16)
        return cls(number >> 48, (number >> 32) & 0xFFFF, number & 0xFFFFFFFF)

    def __str__(self) -> str:
        return f"0x{self.node << 48 | self.group << 32 | self.epoch:016x}"

    def is_older_than(self, other: Key) -> bool:
        """Of the same group, and of an epoch that has passed (or of an earlier boot of this owner)."""
        return self.group == other.group and (self.epoch < other.epoch or self == other)


def whole_disk(node: str) -> str:
    """The disk that a partition is on: reservations are the disk's."""
    entry = Path("/sys/class/block") / Path(node).name
    if (entry / "partition").exists():
        return f"/dev/{Path(os.path.realpath(entry)).parent.name}"
    return node


def is_wanted(node: str, mode: str) -> bool:
    """Whether the device shall be reserved; ResourceError where it must be, and cannot."""
    if mode == NEVER:
        return False
    reason = _why_not(node)
    if reason and mode == ALWAYS:
        raise ResourceError(f"{node} has no persistent reservations, which are required here: {reason}")
    return not reason


def _why_not(node: str) -> str:
    name = Path(node).name
    if name.startswith("dm-"):
        return "it is a mapped device (multipath, LVM), which one path's reservation does not protect"
    try:
        path_of(PROGRAM)
        done = _ask(node, "--read-keys")
    except ResourceError as error:
        return str(error)
    return "" if done.code == 0 else done.last_line


def take(node: str, owner: Reservation) -> None:
    """Register this owner's key, reserve the device, and shut out older epochs of the group."""
    key = Key.of(owner)
    _refuse_newer(node, key, owner)
    _do(node, "--register-ignore", f"--param-sark={key}")
    holder = _holder(node)
    if holder is None:
        _do(node, "--reserve", f"--param-rk={key}", kind=True)
    elif holder != key:
        _preempt(node, key, holder)
    for other in _keys(node) - {key}:  # registrants may write, too
        _refuse_newer(node, key, owner)
        _preempt(node, key, other)
    check(node, owner)


def check(node: str, owner: Reservation) -> None:
    """ResourceError unless the device is reserved for exactly this owner."""
    holder = _holder(node)
    if holder != Key.of(owner):
        who = f"is reserved by the key {holder}" if holder else "is not reserved any more"
        raise ResourceError(f"{node} {who}, and this owner's is {Key.of(owner)}", RESERVATION_LOST)


def release(node: str, key: str) -> None:
    """Give the device back. What another has taken meanwhile stays as it is."""
    wanted = Key.parse(key)
    if wanted in _keys(node):
        if _holder(node) == wanted:
            _do(node, "--release", f"--param-rk={key}", kind=True)
        _do(node, "--register", f"--param-rk={key}", "--param-sark=0")


def _refuse_newer(node: str, key: Key, owner: Reservation) -> None:
    foreign = [other for other in _keys(node) if not other.is_older_than(key)]
    if foreign:
        raise ResourceError(
            f"{node} is reserved by the key {foreign[0]} of another owner, and this is group {owner.group} at"
            f" epoch {owner.epoch} (key {key}); if that owner is gone for good, register a key and clear the"
            f" device: sg_persist --out --register-ignore --param-sark=1 {node};"
            f" sg_persist --out --clear --param-rk=1 {node}",
            RESERVATION_LOST,
        )


def _preempt(node: str, key: Key, other: Key) -> None:
    _do(node, "--preempt-abort", f"--param-rk={key}", f"--param-sark={other}", kind=True)


def _keys(node: str) -> set[Key]:
    return {Key.parse(text) for text in _KEY.findall(_must(node, _ask(node, "--read-keys")))}


def _holder(node: str) -> Key | None:
    found = _KEY.search(_must(node, _ask(node, "--read-reservation")))
    return Key.parse(found.group(1)) if found else None


def _ask(node: str, question: str) -> Done:
    return run([PROGRAM, "--no-inquiry", "--in", question, node], COMMAND_S)


def _do(node: str, *action: str, kind: bool = False) -> None:
    options = [f"--prout-type={WRITE_EXCLUSIVE_REGISTRANTS_ONLY}"] if kind else []
    _must(node, run([PROGRAM, "--no-inquiry", "--out", *action, *options, node], COMMAND_S))


def _must(node: str, done: Done) -> str:
    if done.code == RESERVATION_CONFLICT:
        raise ResourceError(
            f"another owner has taken the reservation of {node} at this moment", RESERVATION_LOST
        )
    if done.code != 0:
        raise ResourceError(f"the reservation of {node} could not be asked or changed: {done.last_line}")
    return done.output
