"""What resources run on a simulated machine: programs with a claim and a process, in all weathers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from monitoring.node.record import Ended, Record, Started
from monitoring.resource_dlls.api import Property, ResourceDLL, ResourceError

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

TYPE = "Generic Application"
NEVER = 3600.0


@dataclass
class Weather:
    """How the programs on a machine behave now."""

    failing: float = 0.0
    """Chance that an Online fails."""
    hanging: float = 0.0
    """Chance that an entry point never returns; Terminate and the probes included."""
    slow: float = 0.0
    """Chance that one takes seconds, Terminate included."""
    flapping: float = 0.0
    """Chance that LooksAlive says no, whatever is true."""
    lying: set[int] = field(default_factory=set)
    """Resources whose next IsAlive says no though they work."""
    dead: set[int] = field(default_factory=set)
    """Resources of which IsAlive says that they work though they do not."""
    stuck: set[int] = field(default_factory=set)
    """Resources whose process waits for a disk and cannot be killed."""


class Program(ResourceDLL):
    """What a resource runs. It holds a claim (an address, a disk) and one process."""

    type_name = TYPE
    properties = (Property("Id", "int", default=0),)
    machine: ClassVar[Machine]

    async def online(self) -> None:
        machine, rid = self.machine, self["Id"]
        machine.check_providers(rid)
        machine.check_free(rid)
        machine.claims.add(rid)
        await self._work()
        self.context.spawn(["serve"])
        await self._work()
        if machine.rng.random() < machine.weather.failing:
            raise ResourceError("it did not come up")
        machine.up.add(rid)

    async def adopt(self) -> bool:
        """The agent is another; the claim was not its own to lose."""
        machine, weather = self.machine, self.machine.weather
        await self._work()
        if machine.rng.random() < weather.failing:
            raise ResourceError("it is not as it should be")
        if machine.rng.random() < 0.1:
            return False
        machine.up.add(self["Id"])
        return True

    async def offline(self) -> None:
        machine, rid = self.machine, self["Id"]
        machine.check_dependents(rid)
        machine.check_left_alone(rid)
        machine.up.discard(rid)
        await self._work()
        await self.context.kill_all_async()
        machine.claims.discard(rid)

    async def terminate(self) -> None:
        machine, rid = self.machine, self["Id"]
        machine.check_left_alone(rid)
        machine.up.discard(rid)
        if machine.rng.random() < machine.weather.hanging / 2:
            await asyncio.sleep(NEVER)
        slow = machine.rng.random() < machine.weather.slow
        await asyncio.sleep(machine.rng.uniform(0.1, 1.0) if slow else machine.rng.uniform(0.0, 0.15))
        await self.context.kill_all_async()
        machine.claims.discard(rid)

    async def looks_alive(self) -> bool:
        machine = self.machine
        if machine.rng.random() < machine.weather.flapping:
            return False
        return self._seems_alive()

    async def is_alive(self) -> bool:
        machine = self.machine
        if machine.rng.random() < machine.weather.hanging / 4:
            await asyncio.sleep(NEVER)
        if self["Id"] in machine.weather.lying:
            machine.weather.lying.discard(self["Id"])
            return False
        return self._seems_alive()

    def _seems_alive(self) -> bool:
        return self["Id"] in self.machine.processes or self["Id"] in self.machine.weather.dead

    async def _work(self) -> None:
        rng, weather = self.machine.rng, self.machine.weather
        if rng.random() < weather.hanging:
            if rng.random() < 0.5:
                await asyncio.sleep(NEVER)
            await asyncio.shield(self._deaf(rng.uniform(2.0, 8.0)))
        await asyncio.sleep(
            rng.uniform(0.3, 3.0) if rng.random() < weather.slow else rng.uniform(0.001, 0.03)
        )

    async def _deaf(self, seconds: float) -> None:
        """Blocking work that hears of no cancellation, and goes on after it: it must start nothing more."""
        await asyncio.sleep(seconds)
        if not self.machine.processes.keys() & {self["Id"]}:
            try:
                self.context.spawn(["late"])
            except ResourceError:
                return  # it was told so


@dataclass(eq=False)
class Child:
    """A process of a resource, as the monitor sees one."""

    resource: int
    watch: bool = True
    expected: bool = False
    pid: int = 1
    returncode: int | None = None

    def epitaph(self) -> str:
        return "its process ended"


class Processes:
    """In place of the agent's processes: the machine's."""

    def __init__(self, machine: Machine, record: Record) -> None:
        self._machine = machine
        self._record = record

    def spawn(self, resource: int, argv: object, **more: object) -> Child:
        if (other := self._machine.processes.get(resource)) is not None:
            self._record.add(Ended(resource, other.pid))
        self._machine.newest_pid += 1
        child = self._machine.processes[resource] = Child(resource, pid=self._machine.newest_pid)
        self._record.add(Started(resource, child.pid, 0))
        return child

    def find(self, resource: int, pid: int, ticks: int) -> bool:
        child = self._machine.processes.get(resource)
        return child is not None and child.pid == pid

    def expect_start(self, resource: int) -> None:
        """Something may run of it: nobody here has to be told."""

    def is_clean(self, resource: int) -> bool:
        return resource not in self._machine.processes

    def kill(self, resource: int, grace: float = 0.0) -> bool:
        if resource in self._machine.weather.stuck and resource in self._machine.processes:
            return False
        if (process := self._machine.processes.pop(resource, None)) is not None:
            process.expected = True
            self._record.add(Ended(resource, process.pid))
        return True

    def pids(self, resource: int) -> list[int]:
        return [1] if resource in self._machine.processes else []

    def trim_log(self, log: Path) -> None:
        """There is none."""


class Sweeps:
    """In place of the notes for sweeps: what is to be taken back is what is claimed."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def add(self, resource: int, dll: type[ResourceDLL]) -> None: ...

    def strike(self, resource: int) -> None: ...

    def is_noted(self, resource: int) -> bool:
        return resource in self._machine.claims

    def sweep(self, resource: int, types: object) -> str:
        self._machine.claims.discard(resource)
        self._machine.up.discard(resource)
        return ""

    def sweep_all(self, types: object, keep: Collection[int] = frozenset()) -> list[str]:
        return [self.sweep(rid, types) for rid in self._machine.claims - set(keep)][:0]


def types_of(machine: Machine) -> dict[str, Any]:
    """The resource DLLs of a machine."""
    return {TYPE: type("Program", (Program,), {"machine": machine})}
