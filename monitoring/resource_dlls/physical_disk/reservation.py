"""The reservation record of a disk: who owns it, and under which epoch.

It lies in ``.cluster/`` on the disk itself, beside two locks:

- ``lock`` is held, exclusively, by the agent of the owner for as long as the disk is online;
- ``writers`` is shared by all who write (fence.py), and taken exclusively for the moment in
  which the record changes hands: so that no write of an old owner is under way then, and
  every later one of it finds the new record.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from monitoring.resource_dlls.shared_files import locked, write_atomically

FOLDER = ".cluster"


@dataclass(frozen=True, slots=True)
class Reservation:
    """`held` is false once the owner gave the disk back in order; the epoch stays known."""

    group_id: int
    group: str
    node: str
    epoch: int
    held: bool

    def bars(self, newcomer: Reservation) -> bool:
        """Whether an owner who comes now, with its record, has to be refused for this one."""
        if self.group_id != newcomer.group_id:
            return self.held  # epochs of two groups say nothing about each other
        if self.epoch == newcomer.epoch:
            return self.node != newcomer.node
        return self.epoch > newcomer.epoch

    def is_of(self, owner: Reservation) -> bool:
        """Whether it is held by exactly that owner."""
        mine, other = (self.group_id, self.node, self.epoch), (owner.group_id, owner.node, owner.epoch)
        return self.held and mine == other

    def __str__(self) -> str:
        verb = "is" if self.held else "was last"
        return f"{verb} reserved for group {self.group} on {self.node} (epoch {self.epoch})"


def lock_file(disk: Path) -> Path:
    return disk / FOLDER / "lock"


def writers_file(disk: Path) -> Path:
    return disk / FOLDER / "writers"


def record_file(disk: Path) -> Path:
    return disk / FOLDER / "reservation"


def read(disk: Path) -> Reservation | None:
    """The disk's record, None where it was never reserved. ValueError where it is damaged."""
    try:
        text = record_file(disk).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return Reservation(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{record_file(disk)} is damaged: {error}") from None


def write(disk: Path, reservation: Reservation, timeout: float = 5.0) -> None:
    """Change the record; waits for writes under way, TimeoutError where one does not end."""
    with locked(writers_file(disk), timeout=timeout):
        write_atomically(record_file(disk), json.dumps(asdict(reservation)))
