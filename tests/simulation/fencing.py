"""Fence devices of a simulated cluster, and the threads of its workers that use them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from monitoring.models import FenceDevice, FenceStep, Node
from monitoring.service.fencing.runner import LOOK_EVERY, FenceRunner
from monitoring.service.fencing.work import Act
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

BEHAVIOURS = ("works", "fails", "hangs", "is slow")
COMES_BACK = 4.0
"""Seconds after which a machine that was turned off is turned on again, about."""


class Runner(FenceRunner):
    """The fencing thread of one worker; what it starts are threads of that worker."""

    def __init__(self, fencing: Fencing, process: Process, name: str) -> None:
        super().__init__()
        self.me = name
        self._fencing, self._process = fencing, process

    def _start(self, name: str, call: Callable[[], None]) -> None:
        self._fencing.soon(self._process, call)


class Fencing:
    """The devices, which work as well as they do now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lives = 0
        self.behaviour: dict[str, str] = {}
        """Of the device of a machine; it works where nothing else is said."""
        self.has_devices = False

    def build(self) -> None:
        """One device, with which each node can be turned off."""
        self.has_devices = True
        device = FenceDevice.objects.create(name="Power", method="sim", parameters={})
        for node in Node.objects.all():
            self.add(node, device)

    def add(self, node: Node, device: FenceDevice | None = None) -> None:
        device = device or FenceDevice.objects.get()
        FenceStep.objects.create(node=node, device=device, level=1, timeout_ms=3000, retries=1)

    def look(self, process: Process) -> None:
        """A worker has started: its fencing thread begins to look."""
        self._lives += 1
        if self.has_devices:
            self._look(process, process.life, Runner(self, process, f"{process.name} {self._lives}"))

    def _look(self, process: Process, life: int, runner: Runner) -> None:
        if process.life != life:
            return
        again = partial(self._look, process, life, runner)
        self._world.servers.kernel.run(
            process, runner.look, lambda error: self._world.at(self._world.now + LOOK_EVERY, again)
        )

    def soon(self, process: Process, call: Callable[[], None]) -> None:
        """A new thread of the process."""
        life, kernel = process.life, self._world.servers.kernel
        self._world.at(self._world.now, lambda: kernel.run(process, call) if process.life == life else None)

    def carry_out(self, act: Act, cancelled: Callable[[], bool]) -> tuple[bool, str]:
        """In place of `work._carry_out`: one try with the device."""
        world, kernel = self._world, self._world.servers.kernel
        behaviour, machine = self.behaviour.get(act.node_name, "works"), world.machines[act.node_name]
        world.note(f"the device of {act.node_name} {behaviour}")
        kernel.sleep(world.rng.uniform(1.0, 2.5) if behaviour == "is slow" else world.rng.uniform(0.05, 0.5))
        if behaviour == "fails":
            return False, "it does not answer"
        if behaviour == "works" or behaviour == "is slow" or world.rng.random() < 0.5:
            machine.power_off(world.rng.uniform(0.5, 2.0) * COMES_BACK)
        if behaviour == "hangs":
            kernel.sleep(3.0)
            return False, "it took longer than 3 s"
        kernel.sleep(world.rng.uniform(0.0, 0.5))
        return True, "off"
