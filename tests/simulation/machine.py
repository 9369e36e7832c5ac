"""A simulated machine: the real agent but for its processes, its two paths and its guard.

The member, its lease, the outbox, the monitor, the plan, the resources with their entry
points and probes are the real ones, on simulated time. What is simulated is what would be
outside the agent: the programs that resources run, the guard process, the network.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from monitoring.core.messages import Downward, MessageError, Upward, open_down
from monitoring.node.context import Host
from monitoring.node.keeper import PATIENCE
from monitoring.node.member import Member
from monitoring.node.monitor import Monitor
from monitoring.node.outbox import Batch, Outbox
from monitoring.node.record import Record
from monitoring.resource_dlls.api import Property, ResourceDLL, ResourceError
from tests.simulation.law import Violation
from tests.simulation.loop import AgentLoop, BootClock, Later

TYPE = "Generic Application"
LIFE = 1_000_000
"""Distance of two incarnations."""
Answer = Callable[[list[object] | None], None]
"""Takes what came back, None where the messages could not be sent."""


class Paths(Protocol):
    """The two ways from a node to the cluster service."""

    def by_broker(self, name: str, messages: list[Upward], answer: Answer) -> None: ...

    def by_http(self, name: str, messages: list[Upward], answer: Answer) -> None: ...


@dataclass
class Weather:
    """How the programs on a machine behave now."""

    failing: float = 0.0
    """Chance that an Online fails."""
    hanging: float = 0.0
    """Chance that an entry point never returns."""
    slow: float = 0.0
    """Chance that one takes seconds, Terminate included."""
    lying: set[int] = field(default_factory=set)
    """Resources whose next IsAlive says no though they work."""


class Program(ResourceDLL):
    """What a resource runs. It holds a claim (an address, a disk) and one process."""

    type_name = TYPE
    properties = (Property("Id", "int", default=0),)
    polls_looks_alive = False
    machine: ClassVar[Machine]

    async def online(self) -> None:
        machine, rid = self.machine, self["Id"]
        machine.check_providers(rid)
        machine.claims.add(rid)
        await self._work()
        self.context.spawn(["serve"])
        await self._work()
        if machine.rng.random() < machine.weather.failing:
            raise ResourceError("it did not come up")
        machine.up.add(rid)

    async def offline(self) -> None:
        machine, rid = self.machine, self["Id"]
        machine.check_dependents(rid)
        machine.up.discard(rid)
        await self._work()
        await self.context.kill_all_async()
        machine.claims.discard(rid)

    async def terminate(self) -> None:
        machine, rid = self.machine, self["Id"]
        machine.up.discard(rid)
        slow = machine.rng.random() < machine.weather.slow
        await asyncio.sleep(machine.rng.uniform(0.1, 1.0) if slow else machine.rng.uniform(0.0, 0.15))
        await self.context.kill_all_async()
        machine.claims.discard(rid)

    async def is_alive(self) -> bool:
        lying = self.machine.weather.lying
        if self["Id"] in lying:
            lying.discard(self["Id"])
            return False
        return self["Id"] in self.machine.processes

    async def _work(self) -> None:
        rng, weather = self.machine.rng, self.machine.weather
        if rng.random() < weather.hanging:
            await asyncio.sleep(3600.0)
        await asyncio.sleep(
            rng.uniform(0.3, 3.0) if rng.random() < weather.slow else rng.uniform(0.001, 0.03)
        )


@dataclass(eq=False)
class Process:
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

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def spawn(self, resource: int, argv: object, **more: object) -> Process:
        self._machine.processes[resource] = Process(resource)
        return self._machine.processes[resource]

    def is_clean(self, resource: int) -> bool:
        return resource not in self._machine.processes

    def kill(self, resource: int, grace: float = 0.0) -> bool:
        if (process := self._machine.processes.pop(resource, None)) is not None:
            process.expected = True
        return True

    def pids(self, resource: int) -> list[int]:
        return [1] if resource in self._machine.processes else []

    def trim_log(self, log: Path) -> None:
        """There is none."""


class Sweeps:
    """In place of the notes for sweeps: a machine whose agent died is swept whole."""

    def add(self, resource: int, dll: type[ResourceDLL]) -> None: ...

    def strike(self, resource: int) -> None: ...

    def is_noted(self, resource: int) -> bool:
        return False


class Courier:
    """In place of the member's courier, which has a thread: the same promises on simulated time."""

    def __init__(
        self,
        name: str,
        path: Callable[[list[Upward], Answer], None],
        loop: AgentLoop,
        done: Callable[[Batch, list[object] | None], None],
    ) -> None:
        self.busy = False
        self._path, self._loop, self._done = path, loop, done

    def send(self, batch: Batch) -> None:
        self.busy = True
        self._path(list(batch.messages), lambda answers: self._loop.enter(lambda: self._back(batch, answers)))

    def _back(self, batch: Batch, answers: list[object] | None) -> None:
        self.busy = False
        self._done(batch, answers)


class Guard:
    """The guard process of one agent: it is not frozen with it, and does not die with it."""

    def __init__(self, machine: Machine, agent: Agent) -> None:
        self._machine, self._agent = machine, agent
        self._message = (0.0, 0.0)

    def renew(self, ends: float, margin: float) -> None:
        self._message = (ends, margin * PATIENCE)
        self._machine.at(ends, lambda: self._look(ends))

    def nothing_held(self) -> None:
        self._message = (0.0, 0.0)

    def _look(self, ends: float) -> None:
        if self._machine.agent is not self._agent or self._message[0] != ends:
            return
        self._machine.processes.clear()
        message = self._message
        self._machine.at(ends + message[1], lambda: self._lose_patience(message))

    def _lose_patience(self, message: tuple[float, float]) -> None:
        if self._machine.agent is self._agent and self._message == message:
            self._machine.kill()
            self._machine.start_later(self._machine.rng.uniform(0.3, 1.0))


class Agent:
    """One agent process, put together as the real one is."""

    def __init__(self, machine: Machine, paths: Paths) -> None:
        self.loop = AgentLoop(machine.clock, machine.later)  # type: ignore[abstract]
        self._machine = machine
        self.outbox = Outbox(machine.next_incarnation(), lambda changes: self.monitor.compose(changes))
        name = machine.name
        self.member = Member(
            name,
            self.loop,
            self.outbox,
            broker=lambda messages, answer: paths.by_broker(name, messages, answer),  # type: ignore[arg-type,misc]
            second=lambda messages, answer: paths.by_http(name, messages, answer),  # type: ignore[arg-type,misc]
            open_envelope=self._open,
            next_incarnation=machine.next_incarnation,
            guard=Guard(machine, self),
        )
        types = {TYPE: type("Program", (Program,), {"machine": machine})}
        processes: Any = Processes(machine)
        nothing: Any = None
        sweeps: Any = Sweeps()
        host = Host(
            name,
            machine.home,
            self.loop,
            types,
            processes,
            nothing,
            sweeps,
            self.member.may_start,
            Record(None),
            self._log,
        )
        self.monitor = Monitor(host, self.outbox, self.member.pump)
        self.member.resources = self.monitor
        self.loop.call_soon(self.member.start)

    def _open(self, raw: object) -> Downward:
        return open_down(raw, self._machine.name, self._machine.key)

    def _log(self, resource: int | None, level: int, text: str, code: int) -> None:
        self.outbox.log(level, text, code, resource)
        self.member.pump()

    def deliver(self, raw: object) -> None:
        """An envelope from the queue."""
        try:
            message = self._open(raw)
        except MessageError:
            return
        self.loop.enter(lambda: self.member.receive(message))


class Machine:
    """One node: its clock, what runs on it, and its agent while there is one."""

    def __init__(
        self,
        name: str,
        key: str,
        rng: random.Random,
        home: Path,
        clock: BootClock,
        later: Later,
        requires: Mapping[int, tuple[tuple[int, ...], ...]],
        paths: Paths,
    ) -> None:
        self.name, self.key, self.rng, self.home, self.clock, self.later = name, key, rng, home, clock, later
        self.processes: dict[int, Process] = {}
        self.claims: set[int] = set()
        """From the beginning of Online to the end of Offline or Terminate."""
        self.up: set[int] = set()
        """From the end of Online to the beginning of Offline or Terminate."""
        self.weather = Weather()
        self.agent: Agent | None = None
        self.broken: Violation | None = None
        self._requires = requires
        self._paths = paths
        self._incarnation = 0
        self._starts = 0
        self._is_leaving = self._comes_back = False

    def at(self, local: float, call: Callable[[], None]) -> None:
        """Call something when the machine's own clock shows `local`."""
        self.later(max(self.clock.in_world(local), self.clock.world()), call)

    def next_incarnation(self) -> int:
        """As the agent's home gives them: far apart, for a life counts its reports from its own number on."""
        self._incarnation += LIFE
        return self._incarnation

    def running(self) -> set[int]:
        """The resources of which something runs, or is held, here."""
        return self.claims | self.processes.keys()

    # The agent's life

    def start(self) -> None:
        """Start an agent where there is none, or once it has left; first it ends what an earlier one left."""
        self._starts += 1
        if self._is_leaving:
            self._comes_back = True
        elif self.agent is None:
            self._sweep()
            self.agent = Agent(self, self._paths)

    def start_later(self, seconds: float) -> None:
        """What systemd does after a crash."""
        self._starts += 1
        mine = self._starts
        self.later(self.clock.world() + seconds, lambda: self.start() if mine == self._starts else None)

    def kill(self) -> None:
        """SIGKILL of the agent: the guard ends all that it left, a moment later."""
        if (agent := self.agent) is None:
            return
        agent.loop.die()
        self.agent = None
        if self._is_leaving and self._comes_back:
            self.start_later(0.1)
        self._is_leaving = self._comes_back = False
        after = self.clock.world() + self.rng.uniform(0.0, 0.05)
        self.later(after, lambda: self._sweep() if self.agent is None else None)

    def _sweep(self) -> None:
        self.processes.clear()
        self.claims.clear()
        self.up.clear()

    def leave(self) -> None:
        """SIGTERM: the agent takes everything offline in order, says so, and ends."""
        if (agent := self.agent) is not None:
            agent.loop.enter(lambda: agent.loop.create_task(self._leave(agent)))

    async def _leave(self, agent: Agent) -> None:
        self._is_leaving = True
        await agent.member.leave(5.0)
        if self.agent is agent:
            self.kill()

    def freeze(self) -> None:
        if self.agent is not None:
            self.agent.loop.is_frozen = True

    def thaw(self) -> None:
        if self.agent is not None and self.agent.loop.is_frozen:
            self.agent.loop.thaw()

    @property
    def hears(self) -> bool:
        """An agent is there to take messages from the queue."""
        return self.agent is not None and not self.agent.loop.is_frozen

    # Programs

    def break_process(self, place: int) -> None:
        """One of the processes ends by itself."""
        found = sorted(self.processes)
        if not found or self.agent is None:
            return
        process = self.processes.pop(found[place % len(found)])
        monitor = self.agent.monitor
        self.agent.loop.enter(lambda: monitor.process_ended(process))  # type: ignore[arg-type]

    def lie(self, place: int) -> None:
        """A probe will say no of something that works."""
        if found := sorted(self.up):
            self.weather.lying.add(found[place % len(found)])

    def check_providers(self, rid: int) -> None:
        """The law of order: what a resource needs is up before it comes."""
        if not all(any(p in self.up for p in clause) for clause in self._requires[rid]):
            self._breaks(f"resource {rid} comes online on {self.name} before what it needs")

    def check_dependents(self, rid: int) -> None:
        """The law of order: what needs a resource is down before it goes."""
        for dependent in self.claims:
            for clause in self._requires[dependent]:
                if rid in clause and not any(p in self.up for p in clause if p != rid):
                    self._breaks(f"resource {rid} goes offline on {self.name} before {dependent}")

    def _breaks(self, text: str) -> None:
        """Kept for the world to find: the agent would take what is raised for a fault of the program."""
        self.broken = self.broken or Violation(text)
