"""What can go wrong, and what operators click meanwhile: each kind of step, carried out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.machine import Machine
from tests.simulation.network import DOWN, HTTP, UP, Chances
from tests.simulation.program import Weather

if TYPE_CHECKING:
    from tests.simulation.world import World

CUTS = {
    "all": (UP, DOWN, HTTP),
    "out": (UP, HTTP),
    "in": (DOWN, HTTP),
    "broker": (UP, DOWN),
    "up": (UP,),
    "down": (DOWN,),
    "http": (HTTP,),
}
ENDS = (
    *("start", "thaw", "thaw_guard", "join", "swift", "unstick", "die_loudly", "resume_machine"),
    *("broker_up", "server_up", "server_thaw", "database_up"),
)
"""Steps that only end what another began."""


@dataclass(frozen=True)
class Step:
    """One fault or click of a schedule. Things are named by their place in the world."""

    at: float
    kind: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.at:7.3f} {self.kind}{self.arguments or ''}"


class Faults:
    """Carries out the steps of a schedule."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """Faults injected by kind, messages included; also operators' clicks and adoptions by new agents."""
        adoptions = Counter({"adoption": sum(m.adoptions for m in self._world.machines.values())})
        return self._counts + self._world.network.faults + adoptions

    def do(self, step: Step) -> None:
        """Carry out one step."""
        if step.kind not in ENDS:
            self._counts[step.kind] += 1
        self._world.note(f"=== {step}")
        getattr(self, f"_{step.kind}")(*step.arguments)

    def stop(self) -> None:
        """The faults stop: everything runs again, and every message arrives."""
        world = self._world
        world.note("=== the faults stop")
        world.network.chances = Chances()
        world.network.cuts.clear()
        world.network.slow.clear()
        world.network.is_up = world.servers.kernel.database_is_up = True
        for process in world.servers.all:
            process.crash_in = process.error_in = process.stall_in = None
            world.servers.kernel.thaw(process)
            world.servers.start(process)
        world.fencing.behaviour.clear()
        for machine in world.machines.values():
            machine.weather = Weather()
            machine.guard.thaw()
            machine.thaw()
            machine.start()
        world.network.look()

    def _machine(self, place: int) -> Machine:
        return self._world.machine_at(place)

    def _click(self, kind: str, group: int, node: int, place: int) -> None:
        self._world.operators.click_at(kind, group, node, place)

    # Agents, guards and machines

    def _kill(self, node: int) -> None:
        self._machine(node).kill()

    def _start(self, node: int) -> None:
        self._machine(node).start()
        self._world.network.look()

    def _leave(self, node: int) -> None:
        self._machine(node).leave()

    def _reboot(self, node: int, seconds: float) -> None:
        self._machine(node).reboot(seconds)

    def _freeze(self, node: int) -> None:
        self._machine(node).freeze()

    def _thaw(self, node: int) -> None:
        self._machine(node).thaw()
        self._world.network.look()

    def _freeze_guard(self, node: int) -> None:
        self._machine(node).freeze_guard()

    def _thaw_guard(self, node: int) -> None:
        self._machine(node).guard.thaw()

    def _suspend(self, node: int) -> None:
        if self._world.fencing.has_devices:  # without them it is outside of what is promised
            self._machine(node).suspend()

    def _resume_machine(self, node: int) -> None:
        self._machine(node).guard.thaw()
        self._machine(node).thaw()
        self._world.network.look()

    def _device(self, node: int, behaviour: str) -> None:
        self._world.fencing.behaviour[self._machine(node).name] = behaviour

    def _node_wall_clock(self, node: int, jump: float) -> None:
        self._machine(node).wall += jump

    # Programs and probes

    def _break(self, node: int, place: int) -> None:
        self._machine(node).break_process(place)

    def _die_quietly(self, node: int, place: int) -> None:
        self._machine(node).die_quietly(place)

    def _die_loudly(self, node: int) -> None:
        self._machine(node).weather.dead.clear()

    def _stick(self, node: int) -> None:
        machine = self._machine(node)
        machine.weather.stuck |= machine.processes.keys()

    def _unstick(self, node: int) -> None:
        self._machine(node).weather.stuck.clear()

    def _lie(self, node: int, place: int) -> None:
        self._machine(node).lie(place)

    def _weather(self, node: int, failing: float, hanging: float, slow: float, flapping: float) -> None:
        weather = self._machine(node).weather
        weather.failing, weather.hanging, weather.slow, weather.flapping = failing, hanging, slow, flapping

    # The network

    def _cut(self, node: int, what: str) -> None:
        name = self._machine(node).name
        self._world.network.cuts |= {(name, part) for part in CUTS[what]}

    def _join(self, node: int) -> None:
        network, name = self._world.network, self._machine(node).name
        network.cuts = {cut for cut in network.cuts if cut[0] != name}
        network.look()

    def _slow(self, node: int, what: str, seconds: float) -> None:
        name = self._machine(node).name
        self._world.network.slow |= {(name, part): seconds for part in CUTS[what]}

    def _swift(self, node: int) -> None:
        network, name = self._world.network, self._machine(node).name
        network.slow = {way: most for way, most in network.slow.items() if way[0] != name}

    def _messages(self, lost: float, doubled: float, late: float) -> None:
        self._world.network.chances = Chances(lost, doubled, late)

    def _broker_down(self) -> None:
        self._world.network.is_up = False

    def _broker_up(self, empty: bool) -> None:
        network = self._world.network
        if empty:
            network.lose_everything()
        network.is_up = True
        network.look()

    # The servers

    def _server_down(self, who: int) -> None:
        self._world.servers.kill(self._world.servers.at(who))

    def _server_up(self, who: int) -> None:
        self._world.servers.start(self._world.servers.at(who))

    def _server_freeze(self, who: int) -> None:
        self._world.servers.kernel.freeze(self._world.servers.at(who))

    def _server_thaw(self, who: int) -> None:
        self._world.servers.kernel.thaw(self._world.servers.at(who))

    def _server_crash(self, who: int, points: int) -> None:
        self._world.servers.at(who).crash_in = points

    def _server_stall(self, who: int, points: int, seconds: float, whole: bool) -> None:
        process = self._world.servers.at(who)
        process.stall_in, process.stall = points, (seconds, whole)

    def _database_error(self, who: int, points: int) -> None:
        self._world.servers.at(who).error_in = points

    def _database_down(self) -> None:
        self._world.servers.kernel.database_is_up = False

    def _database_up(self) -> None:
        self._world.servers.kernel.database_is_up = True

    def _wall_clock(self, who: int, jump: float) -> None:
        self._world.servers.at(who).wall += jump
