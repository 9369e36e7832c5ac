"""The directory of network names: one record a name, on storage that all nodes share.

Beside the records lies ``hosts``, the same in the format of hosts(5), for clients and
resolvers. A record says who registered it and under which epoch; a withdrawn one stays as a
memory of the epoch, so that an old owner cannot come back with it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from monitoring.resource_dlls.shared_files import locked, write_atomically


class NameTakenError(Exception):
    """The name is registered by a newer owner, or by another group."""


@dataclass(frozen=True, slots=True)
class NameRecord:
    """A name and the addresses that it leads to; none once it was withdrawn."""

    name: str
    addresses: tuple[str, ...]
    group_id: int
    group: str
    node: str
    epoch: int

    def same_owner(self, other: NameRecord) -> bool:
        return (self.group_id, self.node, self.epoch) == (other.group_id, other.node, other.epoch)


class NameRegistry:
    """Reads and writes the records. Not found or damaged storage raises OSError or ValueError."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        return self.folder / f"{name.upper()}.json"

    def read(self, name: str) -> NameRecord | None:
        """The name's record, None where it was never registered (or can be no name: clients ask for any)."""
        if "/" in name or "\0" in name:
            return None
        try:
            text = self.path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            return NameRecord(**{**fields, "addresses": tuple(fields["addresses"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path(name)} is damaged: {error}") from None

    def records(self) -> Iterator[NameRecord]:
        """All registered names, in order; withdrawn ones are left out."""
        for path in sorted(self.folder.glob("*.json")):
            record = self.read(path.stem)
            if record is not None and record.addresses:
                yield record

    def addresses(self, name: str) -> tuple[str, ...]:
        """Where a client finds the name now; empty where nobody has it."""
        record = self.read(name)
        return record.addresses if record else ()

    def register(self, record: NameRecord) -> None:
        """Make the record the name's own, or raise NameTakenError with the reason."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            present = self.read(record.name)
            check_rank(present, record, remove=str(self.path(record.name)))
            self._write(record)

    def withdraw(self, record: NameRecord) -> bool:
        """Take the name away if it is still this owner's; False where it is not."""
        with self._lock():
            present = self.read(record.name)
            if present is None or not present.same_owner(record):
                return False
            self._write(replace(record, addresses=()))
            return True

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        return locked(self.folder / ".lock")

    def _write(self, record: NameRecord) -> None:
        write_atomically(self.path(record.name), json.dumps(asdict(record)))
        lines = [f"{address}\t{each.name}" for each in self.records() for address in each.addresses]
        write_atomically(self.folder / "hosts", "".join(f"{line}\n" for line in lines))


def check_rank(present: NameRecord | None, new: NameRecord, *, remove: str, where: str = "") -> None:
    """Raise NameTakenError where a record that is there keeps another from being written.

    `remove`: what has to be removed where the owner is gone for good; `where`: it was found, and a space.
    """
    if present is None or not _outranks(present, new):
        return
    state = "is registered" if present.addresses else "was last registered"
    raise NameTakenError(
        f"{new.name} {state} {where}for group {present.group} on {present.node}"
        f" (epoch {present.epoch}), and this is group {new.group} at epoch {new.epoch};"
        f" if that owner is gone for good, remove {remove}"
    )


def _outranks(present: NameRecord, new: NameRecord) -> bool:
    """Whether a record that is there keeps another from being written."""
    if present.group_id != new.group_id:
        return bool(present.addresses)  # epochs of two groups say nothing about each other
    if present.epoch == new.epoch:
        return present.node != new.node
    return present.epoch > new.epoch
