"""Resource types whose entry points end or block the process that they run in, when they are told to.

A file `<resource>.<entry point>` in the folder Switch holds what the next call of it shall do.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, ResourceError
from tests.node.dlls import FOREVER, Faulty

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


def hold_the_interpreter() -> None:
    """A C extension that hangs, and lets no other thread run: neither does the agent's, in its process."""
    ctypes.PyDLL(None).sleep(1000)


def fork_one() -> None:
    if os.fork() == 0:
        time.sleep(FOREVER)
        os._exit(0)


class Menace(Faulty):
    """A process of its own, and evil; by plain entry points."""

    type_name = "Test Menace"

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self.loop = asyncio.get_running_loop()
        self.found = len(context.watched())  # what is asked of the agent here is answered

    def evil(self, entry_point: str) -> None:
        """Do what the switch says, once."""
        self.note(f"{entry_point} in {os.getpid()}")
        switch = Path(self["Switch"]) / f"{self.context.name}.{entry_point}"
        if not switch.exists():
            return
        what = switch.read_text()
        switch.unlink()
        {
            "hang in C": hold_the_interpreter,
            "nap": lambda: time.sleep(0.5),
            "hang": lambda: time.sleep(FOREVER),
            "abort": os.abort,
            "exit": lambda: os._exit(7),
            "sys.exit": sys.exit,
            "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
            "leak": lambda: subprocess.Popen(SLEEP, start_new_session=True),
            "fork": fork_one,
            "raise": self.refuse,
            "start soon": lambda: self.start_later(0.2),
            "start later": lambda: self.start_later(1.3),
            "warn": lambda: self.context.show("Space", "9 of 10 GiB", level=1, share=0.9),
        }[what]()

    def refuse(self) -> None:
        raise ResourceError("it was told to", 1039)

    def start_later(self, wait: float) -> None:
        """Start a process some seconds after Terminate has interrupted this."""
        terminated = Path(self["Switch"]) / f"{self.context.name}.terminated"
        while not terminated.exists():
            self.context.progress("waiting to be interrupted")
            time.sleep(0.01)
        time.sleep(wait)
        try:
            self.context.spawn(SLEEP)
        except ResourceError as error:
            self.note(f"refused: {error}")
            raise

    def online(self) -> None:
        self.evil("online")
        self.context.progress("starting")
        self.process = self.context.spawn(SLEEP, env={"MENACE": "1"})
        (self.context.state_dir / "address").touch()

    def adopt(self) -> bool:
        self.evil("adopt")
        (self.process,) = self.context.watched()
        return True

    def offline(self) -> None:
        self.evil("offline")
        self.context.kill_all(1.0)
        (self.context.state_dir / "address").unlink()

    def terminate(self) -> None:
        (Path(self["Switch"]) / f"{self.context.name}.terminated").touch()
        self.evil("terminate")
        self.context.kill_all()
        (self.context.state_dir / "address").unlink(missing_ok=True)

    def looks_alive(self) -> bool:
        return True

    def is_alive(self) -> bool:
        self.evil("isalive")
        return self.process.returncode is None and self.process.pid in self.context.pids()

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        (state_dir / "address").unlink(missing_ok=True)


class AsyncMenace(Menace):
    """The same by asynchronous entry points, with a service of the warm parent."""

    type_name = "Test Async Menace"
    warm_modules: ClassVar[tuple[str, ...]] = ("tests.node.echo",)
    properties: ClassVar[tuple[Property, ...]] = Faulty.properties

    async def online(self) -> None:  # type: ignore[override]
        self.evil("online")
        if self.fault("slow-start"):
            self.context.spawn(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], watch=False)
            await asyncio.sleep(0.3)
            await self.context.kill_all_async(FOREVER)  # until Terminate kills it
        kwargs = {"note": str(Path(self["Switch"]) / f"{self.context.name}.served")}
        self.process = await self.context.spawn_service_async("tests.node.echo:serve", kwargs)

    async def terminate(self) -> None:  # type: ignore[override]
        self.evil("terminate")
        await self.context.kill_all_async()

    async def offline(self) -> None:  # type: ignore[override]
        await self.context.kill_all_async(1.0)
        await self.process.wait()

    async def is_alive(self) -> bool:  # type: ignore[override]
        self.evil("isalive")
        return self.process.returncode is None
