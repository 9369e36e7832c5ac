"""The guard of a simulated machine, and what a new agent finds there of the one before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring.node.keeper import PATIENCE
from monitoring.node.record import Life, RecordError

if TYPE_CHECKING:
    from tests.simulation.machine import Agent, Machine


class Guard:
    """It neither freezes nor dies with the agent, and keeps what runs until the lease is over."""

    def __init__(self, machine: Machine) -> None:
        self.is_frozen = False
        self.lease = (0.0, 0.0)
        """The end, and the patience; zeros where nothing is held."""
        self._machine = machine
        self._waiting: list[Callable[[], None]] = []

    def told(self, ends: float, margin: float) -> None:
        """The agent's lease was renewed."""
        lease = self.lease = (ends, margin * PATIENCE)
        self._machine.at(ends, lambda: self._look(lease))

    def nothing_held(self) -> None:
        self.lease = (0.0, 0.0)

    def part(self) -> None:
        """The agent is gone."""
        if not self.lease[0]:
            self._machine.sweep()

    def finish(self) -> None:
        """Nobody goes on with what is kept: it is ended."""
        self.nothing_held()
        self._machine.sweep()

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        self.is_frozen = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    def _look(self, lease: tuple[float, float]) -> None:
        if self.lease != lease:
            return
        if self.is_frozen:
            self._waiting.append(lambda: self._look(lease))
            return
        agent = self._machine.agent
        if agent is None:
            self.finish()
            return
        for process in self._machine.end_processes():
            agent.hears_of(process)
        self._machine.at(lease[0] + lease[1], lambda: self._lose_patience(agent, lease))

    def _lose_patience(self, agent: Agent, lease: tuple[float, float]) -> None:
        if self.lease != lease:
            return
        if self._machine.agent is agent:
            self._machine.kill()
            self._machine.start_later(self._machine.rng.uniform(0.3, 1.0))
        if self._machine.agent is None:
            self.finish()


class Keeper:
    """In place of the agent's keeper: what it tells the guard, for as long as it is the agent."""

    def __init__(self, machine: Machine, agent: Agent) -> None:
        self._machine, self._agent = machine, agent

    def renew(self, ends: float, margin: float) -> None:
        if self._machine.agent is self._agent:
            self._machine.guard.told(ends, margin)

    def nothing_held(self) -> None:
        if self._machine.agent is self._agent:
            self._machine.guard.nothing_held()


class Found:
    """The guard, as a new agent finds it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.ends = guard.lease[0]

    def dismiss(self) -> None:
        self._guard.finish()


class Leftovers:
    """In place of the modules with which `inheritance` looks at a machine, found by the agent's home."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._machines = machines

    def find(self, home: Path) -> Found | None:
        guard = self._machines[home.name].guard
        return Found(guard) if guard.lease[0] else None

    def read(self, path: Path) -> Life:
        record = self._machines[path.parent.name].record
        if record is None or record.life is None:
            raise RecordError("there is no record")
        begun, *entries = record.life.entries()
        life = Life(begun)  # type: ignore[arg-type]
        for entry in entries:
            life.add(entry)
        return life

    def end_marked(self, home: str, *, spared: Collection[int], limit: float) -> bool:
        machine = self._machines[Path(home).name]
        for rid in [rid for rid in machine.processes if rid not in spared]:
            machine.weather.stuck.discard(rid)
            del machine.processes[rid]
        return True
