"""A simulated machine: the real agent but for its processes, its two paths and its guard.

The member, its lease, the outbox, the monitor, the plan, the resources with their entry
points and probes are the real ones, on simulated time. What is simulated is what would be
outside the agent: the programs that resources run, the guard process, the network.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from monitoring.core.messages import Downward, MessageError, Upward, open_down
from monitoring.node import inheritance
from monitoring.node.context import Host
from monitoring.node.home import APART
from monitoring.node.member import Member
from monitoring.node.monitor import Monitor
from monitoring.node.outbox import Batch, Outbox
from monitoring.node.record import Ended, Record
from tests.simulation.guard import Guard, Keeper
from tests.simulation.law import Violation
from tests.simulation.loop import AgentLoop, BootClock, Later
from tests.simulation.process import EPOCH
from tests.simulation.program import Child, Processes, Sweeps, Weather, types_of

Answer = Callable[[list[object] | None], None]
"""Takes what came back, None where the messages could not be sent."""


class Paths(Protocol):
    """The two ways from a node to the cluster service."""

    def by_broker(self, name: str, messages: list[Upward], answer: Answer) -> None: ...

    def by_http(self, name: str, messages: list[Upward], answer: Answer) -> None: ...


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


class Agent:
    """One agent process, put together as the real one is."""

    def __init__(self, machine: Machine, paths: Paths) -> None:
        self.loop = AgentLoop(machine.clock, machine.later)  # type: ignore[abstract]
        self._machine = machine
        self._paths = paths

    def begin(self) -> None:
        """Go on with what an earlier agent left, or end it and begin a new life."""
        self.loop.enter(self._begin)

    def _begin(self) -> None:
        machine, sweeps = self._machine, Sweeps(self._machine)
        types = types_of(machine)
        left = inheritance.find(machine.home, machine.name, sweeps, types)  # type: ignore[arg-type]
        self._record = Record(None, machine.name)
        if left is None:
            machine.sweep()
            incarnation, reports = self._next_life(), 0
        else:
            self._record.go_on(left.life)
            incarnation, reports = left.life.begun.incarnation, left.microseconds
        machine.record = self._record
        self._build(
            types, sweeps, Outbox(incarnation, lambda changes: self.monitor.compose(changes), reports)
        )
        if left is not None:
            machine.adoptions += 1
            self.monitor.restore(left.life)
            self.member.go_on(left.guard.ends)
        self.loop.call_soon(self.member.start)

    def _next_life(self) -> int:
        return self._record.begin(self._machine.next_incarnation(), self.loop.time())

    def _build(self, types: dict[str, Any], sweeps: Any, outbox: Outbox) -> None:
        machine, paths, name = self._machine, self._paths, self._machine.name
        self.outbox = outbox
        self.member = Member(
            name,
            self.loop,
            self.outbox,
            broker=lambda messages, answer: paths.by_broker(name, messages, answer),  # type: ignore[arg-type,misc]
            second=lambda messages, answer: paths.by_http(name, messages, answer),  # type: ignore[arg-type,misc]
            open_envelope=self._open,
            next_incarnation=self._next_life,
            guard=Keeper(machine, self),
        )
        processes: Any = Processes(machine, self._record)
        nothing: Any = None
        host = Host(
            name,
            machine.home,
            self.loop,
            types,
            processes,
            nothing,
            sweeps,
            self.member.may_start,
            self._record,
            self._log,
        )
        self.monitor = Monitor(host, self.outbox, self.member.pump)
        self.member.resources = self.monitor

    def end_record(self) -> None:
        """It has left in order: there is nothing to go on with."""
        self._record.end()

    def _open(self, raw: object) -> Downward:
        return open_down(raw, self._machine.name, self._machine.key)

    def _log(self, resource: int | None, level: int, text: str, code: int, output: str = "") -> None:
        self.outbox.log(level, text, code, resource, output)
        self.member.pump()

    def hears_of(self, process: Child) -> None:
        """A process has ended, and the agent watches it."""
        self._record.add(Ended(process.resource, process.pid))
        self.loop.enter(lambda: self.monitor.process_ended(process))  # type: ignore[arg-type]

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
        self.processes: dict[int, Child] = {}
        self.claims: set[int] = set()
        """From the beginning of Online to the end of Offline or Terminate."""
        self.up: set[int] = set()
        """From the end of Online to the beginning of Offline or Terminate."""
        self.weather = Weather()
        self.wall = rng.uniform(-2.0, 2.0)
        """Seconds that its wall clock is wrong by."""
        self.guard = Guard(self)
        self.record: Record | None = None
        """What the newest agent has written down."""
        self.adoptions = 0
        """Agents that went on with what another had left."""
        self.agent: Agent | None = None
        self.broken: Violation | None = None
        self.newest_pid = 1
        self._requires = requires
        self._paths = paths
        self._incarnation = 0
        self._starts = 0
        self._is_leaving = self._comes_back = False

    def at(self, local: float, call: Callable[[], None]) -> None:
        """Call something when the machine's own clock shows `local`."""
        self.later(max(self.clock.in_world(local), self.clock.world()), call)

    def next_incarnation(self) -> int:
        """As the agent's home gives them: by the wall clock, which may be wrong, but ever greater."""
        wall = EPOCH + self.clock.world() + self.wall
        self._incarnation = max(self._incarnation + APART, int(wall * 1e9))
        return self._incarnation

    def running(self) -> set[int]:
        """The resources of which something runs, or is held, here."""
        return self.claims | self.processes.keys()

    # The agent's life

    def start(self) -> None:
        """Start an agent where there is none, or once it has left."""
        self._starts += 1
        if self._is_leaving:
            self._comes_back = True
        elif self.agent is None:
            self.agent = Agent(self, self._paths)
            self.agent.begin()

    def start_later(self, seconds: float) -> None:
        """What systemd does after a crash."""
        self._starts += 1
        mine = self._starts
        self.later(self.clock.world() + seconds, lambda: self.start() if mine == self._starts else None)

    def kill(self) -> None:
        """SIGKILL of the agent: what it ran goes on until its lease is over."""
        if not self.guard.is_frozen:  # what happens where both are away is outside of what is promised
            self._end()

    def _end(self) -> None:
        """The agent's process is no more."""
        if (agent := self.agent) is None:
            return
        agent.loop.die()
        self.agent = None
        if self._is_leaving and self._comes_back:
            self.start_later(0.1)
        self._is_leaving = self._comes_back = False
        self.guard.part()

    def reboot(self, seconds: float) -> None:
        """The machine goes down with all that it has, and comes back with another boot clock."""
        self.guard.thaw()
        self._end()
        self.guard.finish()
        self.record = None
        self.clock = BootClock(self.clock.world, self.rng.uniform(0.0, 30.0), self.clock.rate)
        self.start_later(seconds)

    def power_off(self, seconds: float) -> None:
        """The same at the hand of a fence device."""
        self.reboot(seconds)

    def suspend(self) -> None:
        """The whole machine stands still, its guard as well: only a fence device can help then."""
        if self.agent is not None:
            self.agent.loop.is_frozen = True
            self.guard.freeze()

    def end_processes(self) -> list[Child]:
        """SIGKILL of all of them. What waits for a disk ends as well: the disk comes back in time."""
        self.weather.stuck.clear()
        ended = list(self.processes.values())
        self.processes.clear()
        return ended

    def sweep(self) -> None:
        """Everything is ended, and taken back."""
        self.end_processes()
        self.weather.dead.clear()
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
            agent.end_record()
            self._end()

    def freeze(self) -> None:
        if self.agent is not None and not self.guard.is_frozen:
            self.agent.loop.is_frozen = True

    def freeze_guard(self) -> None:
        """The guard stands still; not where its agent does, for one of them has to act."""
        if self.hears:
            self.guard.freeze()

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
        if not found:
            return
        process = self.processes.pop(found[place % len(found)])
        if self.agent is not None:
            self.agent.hears_of(process)

    def die_quietly(self, place: int) -> int | None:
        """One of the processes ends, nobody is told, and the probes go on to say that it works."""
        found = sorted(self.processes)
        if not found:
            return None
        rid = found[place % len(found)]
        del self.processes[rid]
        self.weather.dead.add(rid)
        return rid

    def check_left_alone(self, rid: int) -> None:
        """The law of maintenance: what works is not touched."""
        if self.agent is None or rid not in self.up:
            return
        monitor, member = self.agent.monitor, self.agent.member
        held = monitor._owners.get(rid)
        if held is None or not held.watch_only or held.released or monitor._stopping:
            return
        if member.may_start():
            self._breaks(f"resource {rid} is taken down on {self.name} in maintenance")

    def lie(self, place: int) -> None:
        """A probe will say no of something that works."""
        if found := sorted(self.up):
            self.weather.lying.add(found[place % len(found)])

    def check_free(self, rid: int) -> None:
        """Nothing runs twice: what is there already is not brought online beside it."""
        if rid in self.running():
            self._breaks(f"resource {rid} comes online on {self.name}, where it is already")

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
