"""The name in a file of hosts(5): a block of its own, which says whose it is. All other lines stay.

    # ClusterWeb EVS1: group 5 epoch 7 node NODE1 (Mail)
    10.0.0.5	EVS1 evs1.example.org
    # ClusterWeb EVS1: end

A withdrawn name leaves its first line behind, as a memory of the epoch: an old owner cannot come back
with it.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from monitoring.resource_dlls.network_name.names import NameRecord, check_rank
from monitoring.resource_dlls.network_name.ways import WayError
from monitoring.resource_dlls.shared_files import locked

_HEAD = re.compile(r"# ClusterWeb (\S+): group (\d+) epoch (\d+) node (\S+) \((.*)\)")


class InHostsFile:
    """A way to make a name known (ways.Way). `also`: a further name for the same addresses."""

    def __init__(self, path: str, also: str = "") -> None:
        self._given = Path(path)
        self._also = also

    @property
    def _path(self) -> Path:
        """The file itself, where the given one leads to it."""
        return self._given.resolve()

    def publish(self, record: NameRecord) -> None:
        with self._locked():
            lines = self._lines()
            check_rank(_read(lines, record.name), record, remove=f"its lines from {self._given}")
            self._write([*_without(lines, record.name), *self._block(record)])

    def adopt(self, record: NameRecord) -> None:
        """The lines need no agent."""

    def withdraw(self, record: NameRecord) -> bool:
        with self._locked():
            lines = self._lines()
            present = _read(lines, record.name)
            if present is None or not present.same_owner(record):
                return False
            self._write([*_without(lines, record.name), *self._block(replace(record, addresses=()))])
            return True

    def withdraw_soon(self, record: NameRecord) -> None:
        self.withdraw(record)

    def looks_fine(self, record: NameRecord) -> bool:
        present = _read(self._lines(), record.name)
        return present is not None and present.same_owner(record) and present.addresses == record.addresses

    def check(self, record: NameRecord) -> None:
        try:
            fine = self.looks_fine(record)
        except OSError as error:
            raise WayError(f"{self._given} cannot be read: {error.strerror}") from error
        if not fine:
            raise WayError(f"{self._given} does not lead from {record.name} to {', '.join(record.addresses)}")

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self._path.with_name(f".{self._path.name}.clusterweb-lock"))

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []

    def _block(self, record: NameRecord) -> list[str]:
        owner = f"group {record.group_id} epoch {record.epoch} node {record.node} ({record.group})"
        names = " ".join(filter(None, (record.name, self._also)))
        head = f"# ClusterWeb {record.name}: {owner}"
        if not record.addresses:
            return [head]
        entries = [f"{address}\t{names}" for address in record.addresses]
        return [head, *entries, _end(record.name)]

    def _write(self, lines: list[str]) -> None:
        """Replace the file at once; its owner and its mode stay."""
        path = self._path
        temporary = path.with_name(f".{path.name}.clusterweb-{os.getpid()}")
        with temporary.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            if path.exists():
                was = path.stat()
                os.fchmod(file.fileno(), was.st_mode & 0o7777)
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            else:
                os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        temporary.replace(path)


def _end(name: str) -> str:
    return f"# ClusterWeb {name}: end"


def _read(lines: list[str], name: str) -> NameRecord | None:
    """The name's record as the lines have it."""
    for number, line in enumerate(lines):
        head = _HEAD.fullmatch(line)
        if head is not None and head[1] == name:
            entries = _entries(lines[number + 1 :], name)
            addresses = tuple(entry.split()[0] for entry in entries if not entry.startswith("#"))
            return NameRecord(name, addresses, int(head[2]), head[5], head[4], int(head[3]))
    return None


def _entries(after: list[str], name: str) -> list[str]:
    """The lines between the first and the last of a block; none where it has no last one."""
    end = _end(name)
    if end not in after:
        return []
    inner = after[: after.index(end)]
    return inner if not any(_HEAD.fullmatch(line) for line in inner) else []


def _without(lines: list[str], name: str) -> list[str]:
    """The lines without the name's block."""
    left: list[str] = []
    number = 0
    while number < len(lines):
        head = _HEAD.fullmatch(lines[number])
        if head is None or head[1] != name:
            left.append(lines[number])
            number += 1
            continue
        entries = _entries(lines[number + 1 :], name)
        number += 1 + (len(entries) + 1 if entries else 0)
    return left
