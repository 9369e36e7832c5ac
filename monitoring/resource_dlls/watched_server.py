"""What types have in common that run one server on the group's address, its data on the group's disk.

The server runs in the foreground, as an account that is not root's, and is watched: its end is
known at once, so LooksAlive is never called. IsAlive asks the server itself.

Online and Offline are plain methods that return a coroutine: what touches storage, which may hang,
runs on the resource's own thread, the rest on the monitor's loop.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.environment import variables

LOOK_EVERY_S = 0.05
TAIL = 16_384
"""Bytes of the server's output in which the reason of its end is looked for."""
WORDS = 300
MOST_EXIT_CODE = 255

PROBE_TIMEOUT = Property(
    "ProbeTimeout",
    kind="int",
    default=5,
    minimum=1,
    maximum=120,
    unit="s",
    help="a server that takes longer to answer IsAlive has failed",
)
CHECK_WRITES = "CheckWrites"


class WatchedServer(ResourceDLL):
    """Base class. `folder`: where the data lie on the disk, unless DataDirectory says otherwise."""

    family = "Databases"
    icon = "database"
    required_dependencies: ClassVar[tuple[str, ...]] = ("IP Address", "Physical Disk")
    polls_looks_alive = False
    is_alive_ms = 15_000
    folder: ClassVar[str]

    _process: Process | None = None
    _log_began = 0

    # What a type says

    def prepare(self) -> Sequence[str]:
        """The command to start, all made ready for it. Touches storage, and may block."""
        raise NotImplementedError

    async def hindrance(self) -> str:
        """What a server that was started still waits for; "" once it serves. ResourceError: it never will."""
        raise NotImplementedError

    async def check_health(self) -> None:
        """Ask the running server; ResourceError says what is wrong."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop the running server in order."""
        raise NotImplementedError

    # Where it is

    @property
    def address(self) -> str:
        return str(self.provider("IP Address").properties["Address"])

    @property
    def port(self) -> int:
        return int(self["Port"])

    @property
    def directory(self) -> Path:
        disk = Path(self.provider("Physical Disk").properties["Path"])
        return Path(self["DataDirectory"]) if self["DataDirectory"] else disk / self.folder

    def check_on_disk(self) -> None:
        """Refuse data that would stay behind when the group moves."""
        disk = Path(self.provider("Physical Disk").properties["Path"])
        if not self.directory.resolve().is_relative_to(disk.resolve()):
            raise ResourceError(f"DataDirectory: {self.directory} is not on the group's disk, {disk}")

    # Entry points

    def online(self) -> Awaitable[None]:
        self.check_on_disk()
        return self._start(self.prepare())

    async def _start(self, argv: Sequence[str]) -> None:
        log = self.context.state_dir / "output.log"
        self._log_began = log.stat().st_size if log.exists() else 0
        try:
            process = self.context.spawn(argv, cwd=self.directory, env=variables(self.context))
        except OSError as error:
            raise ResourceError(f"{argv[0]} could not be started: {error}") from error
        self._process = process
        told = ""
        while waits_for := await self.hindrance():
            if process.returncode is not None:
                raise ResourceError(self._epitaph(process))
            if waits_for != told:
                self.context.progress(waits_for)
                told = waits_for
            await asyncio.sleep(LOOK_EVERY_S)

    async def adopt(self) -> bool:
        """The server needs nothing of the agent: IsAlive, which is next, asks it."""
        running = self.context.watched()
        self._process = running[0] if running else None
        return bool(running)

    async def offline(self) -> None:
        if self._is_running():
            await self.stop()
        await self.context.kill_all_async()
        self._process = None

    async def is_alive(self) -> bool:
        if self._process is None:
            return False
        if self._process.returncode is not None:
            raise ResourceError(self._epitaph(self._process))
        await self.check_health()
        return True

    # Helpers

    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def ends_within(self, seconds: float, number: signal.Signals) -> bool:
        """Send the server a signal; whether it ended in that time."""
        process = self._process
        if process is None or process.returncode is not None:
            return True
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            return False
        return True

    def _epitaph(self, process: Process) -> str:
        code = process.returncode or 0
        how = f" with signal {-code}" if code < 0 else f" with exit code {code}"
        if code > MOST_EXIT_CODE:  # the agent that started it could have told
            how = ""
        said = self.last_words()
        return f"the server ended{how}{f': {said}' if said else ''}"

    def last_words(self) -> str:
        """The last lines that the server printed since its start."""
        with suppress(OSError), (self.context.state_dir / "output.log").open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            began = self._log_began if self._log_began <= size else 0  # the log was set aside meanwhile
            log.seek(max(began, size - TAIL))
            lines = log.read().decode("utf-8", "replace").splitlines()
            said = "; ".join([line.strip() for line in lines if line.strip()][-3:])
            return "".join(c if c.isprintable() else " " for c in said)[-WORDS:].strip()
        return ""


def as_account(argv: Sequence[str], uid: int, gid: int) -> list[str]:
    """The command under another account; the very process that is started becomes it."""
    if os.geteuid() == uid:
        return list(argv)
    if os.geteuid() != 0:
        raise ResourceError(f"the agent is not root, and cannot run {argv[0]} as {account_name(uid)}")
    groups = "--init-groups" if account_name(uid) != str(uid) else "--clear-groups"
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", groups, "--", *argv]


def account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def account(name: str) -> Any:
    """The entry of an account; ResourceError where there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ResourceError(f"User: there is no account {name!r} on this node") from None
