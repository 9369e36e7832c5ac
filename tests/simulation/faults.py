"""What can go wrong, and what operators click meanwhile: each kind of step, carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.machine import Weather
from tests.simulation.network import DOWN, HTTP, UP, Chances

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
        self._count = 0

    @property
    def count(self) -> int:
        """Faults injected, messages included."""
        return self._count + self._world.network.faults

    def do(self, step: Step) -> None:
        """Carry out one step."""
        self._count += step.kind != "click"
        self._world.note(f"=== {step}")
        getattr(self, f"_{step.kind}")(*step.arguments)

    def stop(self) -> None:
        """The faults stop: everything runs again, and every message arrives."""
        world = self._world
        world.note("=== the faults stop")
        world.network.chances = Chances()
        world.network.cuts.clear()
        for machine in world.machines.values():
            machine.weather = Weather()
            machine.thaw()
            machine.start()
        world.network.is_up = True
        world.servers.start()
        world.network.look()

    def _click(self, kind: str, group: int, node: int, place: int) -> None:
        self._world.click(kind, **self._world.target_of(kind, group, node, place))

    # Agents and machines

    def _kill(self, node: int) -> None:
        self._world.machine_at(node).kill()

    def _start(self, node: int) -> None:
        self._world.machine_at(node).start()
        self._world.network.look()

    def _leave(self, node: int) -> None:
        self._world.machine_at(node).leave()

    def _freeze(self, node: int) -> None:
        self._world.machine_at(node).freeze()

    def _thaw(self, node: int) -> None:
        self._world.machine_at(node).thaw()
        self._world.network.look()

    # Programs and probes

    def _break(self, node: int, place: int) -> None:
        self._world.machine_at(node).break_process(place)

    def _lie(self, node: int, place: int) -> None:
        self._world.machine_at(node).lie(place)

    def _weather(self, node: int, failing: float, hanging: float, slow: float) -> None:
        self._world.machine_at(node).weather = Weather(failing, hanging, slow)

    # The network

    def _cut(self, node: int, what: str) -> None:
        name = self._world.machine_at(node).name
        self._world.network.cuts |= {(name, part) for part in CUTS[what]}

    def _join(self, node: int) -> None:
        network, name = self._world.network, self._world.machine_at(node).name
        network.cuts = {cut for cut in network.cuts if cut[0] != name}
        network.look()

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

    def _service_down(self) -> None:
        self._world.servers.kill()

    def _service_up(self) -> None:
        self._world.servers.start()

    def _service_crash(self, points: int) -> None:
        self._world.servers.crash_soon(points)

    def _web_restart(self) -> None:
        self._world.servers.restart_web()

    def _wall_clock(self, jump: float) -> None:
        self._world.servers.clocks.jump += jump
