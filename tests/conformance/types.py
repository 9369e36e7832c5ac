"""Resource types for the tests of the conformance suite: one that keeps every promise, and those
that break one each.

What they bring online is a listening server in a process of its own, and a marker file which the
sweep takes back.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, PropertyError, ResourceDLL, ResourceError

SERVER = """
import socket, sys, time
s = socket.create_server((sys.argv[1], int(sys.argv[2])))
open(sys.argv[3], "w").close()
while True: s.accept()[0].sendall(b"hello")
"""
IDLE = "import time; time.sleep(1000)"


class Good(ResourceDLL):
    """A server that greets."""

    type_name = "Test Good"
    description = "Greets whoever connects."
    polls_looks_alive = False
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Address", kind="ip", default="127.0.0.1", help="where it listens"),
        Property("Port", kind="port", required=True, help="where it listens"),
        Property("Word", secret=True, help="the password"),
    )
    _process: Process | None = None

    async def online(self) -> None:
        ready = self.context.state_dir / "ready"
        ready.unlink(missing_ok=True)
        argv = [sys.executable, "-S", "-c", SERVER, self["Address"], str(self["Port"]), str(ready)]
        self._process = self.context.spawn(argv)
        while not ready.exists():
            if self._process.returncode is not None:
                raise ResourceError("the server ended")
            await asyncio.sleep(0.005)

    async def adopt(self) -> bool:
        (self._process,) = self.context.watched() or (None,)
        return self._process is not None

    async def terminate(self) -> None:
        await self.context.kill_all_async()

    async def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None


class Plain(ResourceDLL):
    """No process: a socket that the agent holds."""

    type_name = "Test Plain"
    description = "Holds an address."
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Address", kind="ip", required=True, help="what is held"),
    )

    def __init__(self, context: Any, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self.held: socket.socket | None = None

    def online(self) -> None:
        self.held = socket.create_server((self["Address"], 3999))

    def terminate(self) -> None:
        if self.held is not None:
            self.held.close()

    def is_alive(self) -> bool:
        return self.held is not None


class Warm(Good):
    """Its node keeps a warm parent, as it has libraries to load."""

    warm_modules = ("json",)


class OnlineAtOpen(Good):
    async def open(self) -> None:
        await self.online()


class NotAliveAtFirst(Good):
    async def is_alive(self) -> bool:
        return False


class CannotComeAgain(Good):
    async def online(self) -> None:
        if self._process is not None:
            raise ResourceError("it was online once")
        await super().online()


class OfflineLeaves(Good):
    async def offline(self) -> None: ...


class OfflineOnce(Good):
    async def offline(self) -> None:
        if not self.context.pids():
            raise ResourceError("nothing runs")
        await self.terminate()


class NeedsOpen(Good):
    async def open(self) -> None:
        self.opened = True

    async def terminate(self) -> None:
        assert self.opened
        await super().terminate()


class StartsAfterTerminate(Plain):
    """An Online that goes on, on its thread, and ends up holding the socket."""

    type_name = "Test Late"

    def online(self) -> None:
        time.sleep(0.3)
        self.held = socket.create_server((self["Address"], 3999))

    def terminate(self) -> None:
        if self.held is not None:
            self.held.close()
            self.held = None
        else:
            time.sleep(0)


class Unwatched(Good):
    """Its process is gone and IsAlive does not ask."""

    async def online(self) -> None:
        self._process = self.context.spawn([sys.executable, "-S", "-c", IDLE], watch=False)

    async def is_alive(self) -> bool:
        return True


class AdoptsNothing(Good):
    """Says that it took over what it has ended."""

    async def adopt(self) -> bool:
        await self.context.kill_all_async()
        self._process = self.context.spawn([sys.executable, "-S", "-c", IDLE])
        return True


class NoSweep(Plain):
    """Leaves what no process is: a folder that a new life trips over."""

    type_name = "Test Marker"

    @property
    def marker(self) -> Path:
        return self.context.state_dir / "marker"

    def online(self) -> None:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            raise ResourceError("it is there already") from None

    def terminate(self) -> None:
        self.marker.unlink(missing_ok=True)

    def is_alive(self) -> bool:
        return self.marker.exists()


class SweepFails(NoSweep):
    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        raise ResourceError("it resists")


class Blocks(Good):
    async def is_alive(self) -> bool:
        time.sleep(0.3)
        return await super().is_alive()


class Talkative(Good):
    async def online(self) -> None:
        self.context.log(0, f"the password is {self['Word']}")
        await super().online()


class OnCommandLine(Good):
    async def online(self) -> None:
        self.context.spawn([sys.executable, "-S", "-c", IDLE, self["Word"]])
        await super().online()


class Quotes(Good):
    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        if values["Word"] and "'" in values["Word"]:
            raise PropertyError("Word", f"{values['Word']} has a quotation mark in it")


class Silent(Good):
    pending_timeout_ms = 300

    async def online(self) -> None:
        await asyncio.sleep(1000)


class Daemon(Good):
    """Its process ends; what it started runs on, and is watched by nobody but IsAlive."""

    async def online(self) -> None:
        note = self.context.state_dir / "pid"
        program = f"(setsid sleep 1000 & echo $! > {note}.new; mv {note}.new {note})"
        await self.context.spawn(["sh", "-c", program], watch=False).wait()

    async def adopt(self) -> bool:
        return await self.is_alive()

    async def is_alive(self) -> bool:
        pid = int((self.context.state_dir / "pid").read_text())
        return pid in self.context.pids()


class Wipes(Good):
    """Its process has nothing in its environment any more, as one that writes its title over it."""

    async def online(self) -> None:
        self._process = self.context.spawn(["env", "-i", "sleep", "1000"])


class NoText(Good):
    properties: ClassVar[tuple[Property, ...]] = (*Good.properties, Property("Mystery"))


class BadDefault(Good):
    properties: ClassVar[tuple[Property, ...]] = (
        *Good.properties,
        Property("Size", kind="int", default="12", help="a number"),
    )


class WrongField(Good):
    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        if values["Port"] == 1:
            raise PropertyError("Prot", "is too low")


class Careless(Good):
    properties: ClassVar[tuple[Property, ...]] = (*Good.properties, Property("Path", help="what to do"))

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        if values["Path"].startswith("/"):
            raise PropertyError("Path", "is absolute")


class Changes(Good):
    @classmethod
    def clean(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        cleaned = super().clean(values)
        return {**cleaned, "Port": cleaned["Port"] + 1}


class Nameless(Good):
    type_name = " Spaces around "


class Escapes(Good):
    """A daemon without marks, in nobody's session: only its port tells of it."""

    async def online(self) -> None:
        ready = self.context.state_dir / "ready"
        ready.unlink(missing_ok=True)
        argv = [sys.executable, "-S", "-c", SERVER, self["Address"], str(self["Port"]), str(ready)]
        self.escaped = subprocess.Popen(argv, env={}, start_new_session=True)
        note = Path(os.environ["CONFORMANCE_ESCAPED"])
        note.write_text(f"{self.escaped.pid} ")
        while not ready.exists():
            await asyncio.sleep(0.005)

    async def terminate(self) -> None: ...

    async def is_alive(self) -> bool:
        return True
