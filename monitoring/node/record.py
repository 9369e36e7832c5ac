"""The record of a life of the node: what it was told, and how far each resource has come.

An agent that starts again reads here what the one before it knew. Each entry is appended to
HOME/record before what it tells of is done, a process's just after its start. Nothing is forced
to the disk: the record counts within one boot of the machine only, and what was written
outlives the agent whatever becomes of it. A record that is damaged, or of another boot, is none.
"""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from monitoring.core.messages import Assignment, said
from monitoring.core.states import ResourceState

logger = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
COMPACT_AFTER = 1 << 20
"""Bytes that are added before the record is written anew, without what is out of date."""


class Phase(Enum):
    """How far a resource has come."""

    STARTING = "starting"
    ONLINE = "online"
    GOING = "going"
    """On its way down, or being taken down; `state` says what it will be then."""
    DOWN = "down"


class Begun(msgspec.Struct, frozen=True, tag_field="entry", tag="begun"):
    """A life begins; `at` is the boot clock then, in microseconds."""

    node: str
    incarnation: int
    boot: str
    at: int


class Assigned(msgspec.Struct, frozen=True, tag_field="entry", tag="assigned"):
    """The group is held, under this assignment."""

    assignment: Assignment


class Released(msgspec.Struct, frozen=True, tag_field="entry", tag="released"):
    """The group is another node's; nothing older than `epoch` is to be taken for it."""

    group: int
    epoch: int


class Step(msgspec.Struct, frozen=True, tag_field="entry", tag="step"):
    """A resource begins, or ends, to come online or to go down."""

    resource: int
    phase: Phase
    state: ResourceState
    attempt: int
    epoch: int
    """The ownership under which it came online."""
    type: str
    properties: dict[str, Any]
    """Those with which it came online."""
    cause: str = ""
    code: int = 0
    simulated: int = 0
    """The operation whose simulated failure was carried out last."""


class Forgotten(msgspec.Struct, frozen=True, tag_field="entry", tag="forgotten"):
    """The resource is down, and no more of this node."""

    resource: int


class Started(msgspec.Struct, frozen=True, tag_field="entry", tag="started"):
    """A watched process of the resource; `ticks` (see `marks`) tells it from a successor in its pid."""

    resource: int
    pid: int
    ticks: int


class Ended(msgspec.Struct, frozen=True, tag_field="entry", tag="ended"):
    """A watched process has ended, and the monitor knows it."""

    resource: int
    pid: int


Entry = Begun | Assigned | Released | Step | Forgotten | Started | Ended


@dataclass(slots=True)
class Life:
    """What the entries of a record add up to."""

    begun: Begun
    assignments: dict[int, Assignment] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    """The highest epoch seen of each group, held or not."""
    steps: dict[int, Step] = field(default_factory=dict)
    processes: dict[int, dict[int, int]] = field(default_factory=dict)
    """Watched processes (pid: ticks) by resource, in the order of their start."""

    def add(self, entry: Entry) -> None:
        if isinstance(entry, Step):
            self.steps[entry.resource] = entry
            if entry.phase in (Phase.STARTING, Phase.DOWN):
                self.processes.pop(entry.resource, None)
        elif isinstance(entry, Started):
            self.processes.setdefault(entry.resource, {})[entry.pid] = entry.ticks
        elif isinstance(entry, Ended):
            running = self.processes.get(entry.resource, {})
            running.pop(entry.pid, None)
            if not running:
                self.processes.pop(entry.resource, None)
        elif isinstance(entry, Assigned):
            group = entry.assignment.group
            self.assignments[group] = entry.assignment
            self.epochs[group] = max(entry.assignment.epoch, self.epochs.get(group, 0))
        elif isinstance(entry, Released):
            self.assignments.pop(entry.group, None)
            self.epochs[entry.group] = max(entry.epoch, self.epochs.get(entry.group, 0))
        elif isinstance(entry, Forgotten):
            self.steps.pop(entry.resource, None)
            self.processes.pop(entry.resource, None)
        else:
            raise ValueError("a second life in one record")

    def held(self) -> set[int]:
        """The resources of the groups that are held, of which something may run."""
        return {
            spec.id
            for assignment in self.assignments.values()
            for spec in assignment.resources
            if (step := self.steps.get(spec.id)) is not None and step.phase is not Phase.DOWN
        }

    def entries(self) -> Iterator[Entry]:
        """The fewest that add up to the same."""
        yield self.begun
        yield from (Released(group, epoch) for group, epoch in self.epochs.items())
        yield from (Assigned(assignment) for assignment in self.assignments.values())
        yield from self.steps.values()
        for resource, processes in self.processes.items():
            yield from (Started(resource, pid, ticks) for pid, ticks in processes.items())


class RecordError(ValueError):
    """A record that cannot be relied on; the text says why."""


class Record:
    """The record of the present life of a node. `path` None keeps it in memory. Called from any thread."""

    def __init__(self, path: Path | None, node: str = "") -> None:
        self.life: Life | None = None
        self._path = path
        self._node = node
        self._fd = -1
        self._grown = 0
        self._lock = threading.Lock()

    def begin(self, incarnation: int, at: float) -> int:
        """Begin the record of a new life at `at` seconds of the boot clock; returns its incarnation."""
        with self._lock:
            self.life = Life(Begun(self._node, incarnation, boot_id(), int(at * 1e6)))
            self._rewrite()
        return incarnation

    def go_on(self, life: Life) -> None:
        """Go on with the record of a life that was read."""
        with self._lock:
            self.life = life
            self._rewrite()

    def add(self, entry: Entry) -> None:
        """Write an entry down; does nothing where no life has begun."""
        with self._lock:
            if self.life is None:
                return
            if isinstance(entry, Step):
                entry = msgspec.structs.replace(entry, cause=said(entry.cause))  # a DLL may say anything
            self.life.add(entry)
            if self._fd >= 0:
                self._append(entry)

    def end(self) -> None:
        """The life is over: there is nothing to go on with."""
        with self._lock:
            self.life = None
            self._give_up()

    def _append(self, entry: Entry) -> None:
        try:
            line = _line(entry)
            if os.write(self._fd, line) != len(line):
                raise OSError("it was written in part only")
        except (OSError, ValueError) as error:
            self._fail(error)
            return
        self._grown += len(line)
        if self._grown > COMPACT_AFTER:
            self._rewrite()

    def _rewrite(self) -> None:
        """Write the record anew, beside the old one, and put it in its place."""
        if self._path is None or self.life is None:
            return
        fresh = self._path.with_suffix(".new")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            old, self._fd = self._fd, fd
            if old >= 0:
                os.close(old)
            text = b"".join(map(_line, self.life.entries()))
            if os.write(fd, text) != len(text):
                raise OSError("it was written in part only")
            fresh.replace(self._path)
        except (OSError, ValueError) as error:
            self._fail(error)
        self._grown = 0

    def _fail(self, error: Exception) -> None:
        """A record with a gap is worse than none. The node goes on without."""
        logger.error("the record cannot be written; an agent that starts again ends everything: %s", error)
        self._give_up()

    def _give_up(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._path is not None:
            with suppress(OSError):
                os.truncate(self._path, 0)
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def read(path: Path) -> Life:
    """What the record says; RecordError where there is none, or none that counts."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"there is no record: {error.strerror}") from None
    whole, _, _ = data.rpartition(b"\n")  # what is behind the last line was never acted upon
    life: Life | None = None
    for number, line in enumerate(whole.split(b"\n"), 1):
        entry = _entry(line, number)
        if life is not None:
            life.add(entry)
        elif isinstance(entry, Begun):
            life = Life(entry)
        else:
            raise RecordError("the record has no beginning")
    if life is None or life.begun.boot != boot_id():
        raise RecordError("the record is of another boot of the machine")
    return life


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


def _line(entry: Entry) -> bytes:
    text = _encoder.encode(entry)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes, number: int) -> Entry:
    digits, _, text = line.partition(b" ")
    if digits != b"%08x" % zlib.crc32(text):
        raise RecordError(f"line {number} of the record is damaged")
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise RecordError(f"line {number} of the record: {error}") from None


def boot_id() -> str:
    """A number that the kernel makes up at each boot."""
    return BOOT_ID.read_text().strip()
