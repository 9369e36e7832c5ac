"""Resource types for the tests of the node: each does one thing, and fails when it is told to.

`Switch` is a folder: a file in it named `<resource>.<fault>` switches that fault on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, ResourceDLL, ResourceError

FOREVER = 1000.0


class Faulty(ResourceDLL):
    """Keeps a journal of its entry points and knows the faults that are switched on."""

    properties: ClassVar[tuple[Property, ...]] = (Property("Switch", kind="path", required=True),)
    polls_looks_alive = False

    def fault(self, name: str) -> bool:
        return (Path(self["Switch"]) / f"{self.context.name}.{name}").exists()

    def note(self, what: str) -> None:
        with (Path(self["Switch"]) / "journal").open("a") as journal:
            journal.write(f"{time.monotonic():.4f} {self.context.name} {what}\n")


class Job(Faulty):
    """A process, by asynchronous entry points."""

    type_name = "Test Job"

    async def online(self) -> None:
        self.note("online")
        if self.fault("fails"):
            raise ResourceError("it was told to fail", 1039)
        if self.fault("hangs-online"):
            await asyncio.sleep(FOREVER)
        argv = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]
        if self.fault("daemon"):
            argv = ["sh", "-c", "(setsid sleep 1000 >/dev/null 2>&1 &) ; exec sleep 1000"]
        self.process = self.context.spawn(argv)

    async def adopt(self) -> bool:
        self.note("adopt")
        if self.fault("hangs-adopt"):
            await asyncio.sleep(FOREVER)
        (self.process,) = self.context.watched()
        return True

    async def offline(self) -> None:
        self.note("offline")
        if self.fault("hangs-offline"):
            await asyncio.sleep(FOREVER)
        await self.context.kill_all_async(1.0)

    async def terminate(self) -> None:
        self.note("terminate")
        await self.context.kill_all_async()

    async def is_alive(self) -> bool:
        if self.fault("blocks"):
            time.sleep(FOREVER)
        return self.process.returncode is None


class Plain(Faulty):
    """No process; plain entry points, which run on threads."""

    type_name = "Test Plain"

    def online(self) -> None:
        self.note("online")
        deadline = time.monotonic() + (0.8 if self.fault("slow-online") else 0)
        while time.monotonic() < deadline:
            self.context.progress(f"{deadline - time.monotonic():.1f} s to go")
            time.sleep(0.05)
        if self.fault("hangs-online"):
            time.sleep(FOREVER)
        self.made.touch()

    @property
    def made(self) -> Path:
        """What it makes when it comes online: it lies about as an address does on an interface."""
        return Path(self["Switch"]) / f"{self.context.name}.made"

    def offline(self) -> None:
        self.note("offline")
        self.made.unlink(missing_ok=True)

    def terminate(self) -> None:
        self.note("terminate")
        self.made.unlink(missing_ok=True)
        if self.fault("resists"):
            raise ResourceError("it resists")

    def is_alive(self) -> bool:
        if self.fault("hangs-isalive"):
            time.sleep(FOREVER)
        return not self.fault("sick")


class Pulse(ResourceDLL):
    """Nothing but probes, which cost nothing: what is measured is the monitor."""

    type_name = "Test Pulse"
    properties: ClassVar[tuple[Property, ...]] = ()

    async def online(self) -> None: ...

    async def terminate(self) -> None: ...

    async def looks_alive(self) -> bool:
        return True

    async def is_alive(self) -> bool:
        return True


class Service(Faulty):
    """A Python service, forked from the warm parent."""

    type_name = "Test Service"
    warm_modules = ("tests.node.echo",)

    async def online(self) -> None:
        kwargs: dict[str, Any] = {"note": str(Path(self["Switch"]) / f"{self.context.name}.served")}
        self.process = await self.context.spawn_service_async("tests.node.echo:serve", kwargs)

    async def adopt(self) -> bool:
        (self.process,) = self.context.watched()
        return True

    async def terminate(self) -> None:
        await self.context.kill_all_async()

    async def is_alive(self) -> bool:
        return self.process.returncode is None


class Address(Faulty):
    """Stands for an address on an interface: a file that stays when the agent dies."""

    type_name = "Test Address"

    async def online(self) -> None:
        (self.context.state_dir / "address").touch()

    async def adopt(self) -> bool:
        return await self.is_alive()

    async def terminate(self) -> None:
        (self.context.state_dir / "address").unlink(missing_ok=True)

    async def is_alive(self) -> bool:
        return (self.context.state_dir / "address").exists()

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        (state_dir / "address").unlink(missing_ok=True)
