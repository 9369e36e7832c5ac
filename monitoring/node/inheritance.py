"""What an earlier agent of this node has left, for a new one to go on with.

The life of an earlier agent goes on where three things fit: its guard still holds its lease,
its record is whole and of this boot, and the lease has long enough to go. Else it is over: the
guard ends everything now, and the new agent begins a new life with nothing running.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monitoring.node import clock, keeper, marks, record
from monitoring.node.keeper import Found
from monitoring.node.record import Life, RecordError
from monitoring.node.sweep import SweepNotes
from monitoring.resource_dlls.api import ResourceDLL

logger = logging.getLogger(__name__)

RECORD = "record"
"""Name of the record in the node's home."""
TIME_TO_JOIN = 0.3
"""Seconds that the lease has to go at least: an answer to the first heartbeat has to come in them."""
KILL_LIMIT = 2.0
"""Seconds that processes which nobody wants have to end in."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A life that goes on."""

    life: Life
    guard: Found

    @property
    def microseconds(self) -> int:
        """How long the life has lasted. Whatever it counts has grown by less than one in each."""
        return int(clock.now() * 1e6) - self.life.begun.at + 1


def find(
    home: Path, node: str, sweeps: SweepNotes, types: Mapping[str, type[ResourceDLL]]
) -> Inheritance | None:
    """What can be gone on with; None where everything has to be ended. Blocking."""
    guard = keeper.find(home)
    if guard is None:
        return None
    try:
        life = _fitting(home, node, guard)
        _end_unwanted(home, life, sweeps, types)
    except (RecordError, OSError, ValueError) as error:
        logger.warning("what an earlier agent has left is ended: %s", error)
        guard.dismiss()
        return None
    logger.info("life %d of the node goes on", life.begun.incarnation)
    return Inheritance(life, guard)


def _fitting(home: Path, node: str, guard: Found) -> Life:
    if not guard.ends:
        raise RecordError("its guard holds no lease")
    if guard.ends - clock.now() < TIME_TO_JOIN:
        raise RecordError("its lease is over, or all but")
    life = record.read(home / RECORD)
    if life.begun.node != node:
        raise RecordError(f"it was the agent of {life.begun.node}, and this is that of {node}")
    return life


def _end_unwanted(home: Path, life: Life, sweeps: SweepNotes, types: Mapping[str, type[ResourceDLL]]) -> None:
    """End what no group of this node has: a parent of services, resources that were given up.

    Nothing else may start a process now; what was just being started is found by another look.
    """
    held = life.held()
    if not marks.end_marked(str(home), spared=held, limit=KILL_LIMIT):
        raise RecordError("processes that no group of this node has cannot be killed")
    for problem in sweeps.sweep_all(types, keep=held):
        logger.error(problem)
