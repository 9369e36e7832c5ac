"""The PostgreSQL Server resource: a server on the group's address, its database on the group's disk.

Online waits until it takes connections; while it replays its log after a crash, the page shows how
far it is. IsAlive logs in, asks, and writes a record into the server's log.

What says nothing against the server is a warning, for a restart would only make it worse: a login that
is refused, connections that are all in use, and a recovery after the crash of one of its processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.lazily import load
from monitoring.resource_dlls.postgresql import directory
from monitoring.resource_dlls.postgresql.startup import (
    CANNOT_CONNECT_NOW,
    TOO_MANY_CONNECTIONS,
    Greeting,
    greet,
)
from monitoring.resource_dlls.watched_server import CHECK_WRITES, PROBE_TIMEOUT, WatchedServer, as_account

if TYPE_CHECKING:
    from monitoring.resource_dlls.postgresql.session import Health

NOTE = "postgresql.json"
NEARLY_ALL = 0.9
IMMEDIATE_S = 5.0
TERMINATE_S = 3.0
LOOK_AGAIN_S = 0.5


class LostError(ResourceError):
    """The connection was refused or cut."""


class PostgreSQLServer(WatchedServer):
    type_name = "PostgreSQL Server"
    description = "A PostgreSQL server on the group's address, its database on the group's disk."
    notice = "Needs PostgreSQL on each node (its own service disabled), and a database made by initdb."
    folder = "postgresql"
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Port", kind="port", default=5432, help="where clients connect, on the group's address"),
        Property(
            "DataDirectory",
            kind="path",
            placeholder="postgresql on the group's disk",
            help="the database, made by initdb; the server runs as the account that owns it",
        ),
        Property(
            "ConfigFile",
            kind="path",
            placeholder="postgresql.conf in DataDirectory",
            help="the same on all nodes",
        ),
        Property(
            "Options",
            kind="command",
            help="further arguments, such as -c shared_buffers=1GB; no shell reads them",
        ),
        Property(
            "SocketDirectory",
            kind="path",
            placeholder="clients of the node connect by the address too",
            help="for a Unix socket; two servers on one port need two",
        ),
        Property(
            "ProgramDirectory",
            kind="path",
            placeholder="that of the version that made the database",
            help="where postgres is",
        ),
        Property(
            "ProbeUser", default="postgres", help="role that IsAlive logs in as; it needs no privileges"
        ),
        Property("ProbePassword", secret=True, help="of that role"),
        Property("ProbeDatabase", default="postgres", help="database that IsAlive logs in to"),
        Property(
            CHECK_WRITES,
            kind="bool",
            default=True,
            help="IsAlive writes a record into the server's log, and waits until it is on disk",
        ),
        Property(
            "AllowStandby",
            kind="bool",
            default=False,
            help="a server that only reads, as it follows another one, is healthy",
        ),
        PROBE_TIMEOUT,
        Property(
            "RecoveryTimeout",
            kind="int",
            default=300,
            minimum=0,
            maximum=86_400,
            unit="s",
            help="how long it may recover by itself after one of its processes crashed, until it has failed",
        ),
        Property(
            "StopTimeout",
            kind="int",
            default=60,
            minimum=1,
            maximum=3600,
            unit="s",
            help="time for a fast shutdown; then an immediate one, which the next start recovers from",
        ),
    )

    _has_standby_file = False
    _recovering_since = 0.0

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        try:
            shlex.split(values["Options"] or "")
        except ValueError as error:
            raise PropertyError("Options", str(error)) from None

    def open(self) -> None:
        """End what is left of an earlier life."""
        self.sweep(self.context.state_dir)

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        """Backends outlive a postmaster that was killed for as long as a query runs."""
        note = state_dir / NOTE
        with suppress(FileNotFoundError):
            left = json.loads(note.read_text())
            if left["boot"] == directory.boot_id():  # else it is over, and what runs is somebody else's
                directory.end_processes(left["data"])
            note.unlink()

    def prepare(self) -> Sequence[str]:
        data = self.directory.resolve()
        program = directory.find_program(directory.read_version(data), self["ProgramDirectory"])
        try:
            uid, gid = directory.owner(data)
            if running := list(directory.processes(str(data))):
                raise ResourceError(f"process {running[0]} runs this database already: stop it first")
            if said := directory.remove_foreign_pid_file(data):
                self.context.log(1, said)
            self._has_standby_file = (data / "standby.signal").exists()
            note = {"data": str(data), "boot": directory.boot_id()}
            (self.context.state_dir / NOTE).write_text(json.dumps(note))
        except OSError as error:
            raise ResourceError(f"DataDirectory: {data} cannot be used: {error}") from error
        argv = [program, "-D", str(data), *shlex.split(self["Options"] or "")]
        settings = {
            "listen_addresses": self.address,
            "port": str(self.port),
            "unix_socket_directories": self["SocketDirectory"] or "",
        }
        if self["ConfigFile"]:
            settings |= {"config_file": self["ConfigFile"], "data_directory": str(data)}
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return as_account(argv, uid, gid)

    async def hindrance(self) -> str:
        waiting = "waiting for the server to answer"
        try:
            greeting = await self._greet()
        except (OSError, TimeoutError):
            return self._recovery() or waiting
        if greeting.code == CANNOT_CONNECT_NOW:
            return self._recovery() or greeting.text
        health = await self._ask(greeting)
        if health is not None and health.is_standby and not self["AllowStandby"]:
            if self._has_standby_file:
                raise ResourceError(_standby())
            return self._recovery() or waiting  # it reads while it recovers to a point in time
        return ""

    def _recovery(self) -> str:
        return directory.recovery(self._process.pid) if self._process is not None else ""

    async def check_health(self) -> None:
        try:
            await self._look()
        except LostError:  # after the crash of a process the server cuts off everybody, to recover
            await asyncio.sleep(LOOK_AGAIN_S)
            await self._look()

    async def _look(self) -> None:
        try:
            greeting = await self._greet()
        except TimeoutError:
            raise ResourceError(f"it did not answer within {self['ProbeTimeout']} s") from None
        except OSError as error:
            raise LostError(f"it takes no connection: {error}") from error
        self._check_recovery(greeting, time.monotonic())
        if greeting.code == CANNOT_CONNECT_NOW:
            return
        health = await self._ask(greeting)
        if health is not None and health.is_standby and not self["AllowStandby"]:
            raise ResourceError(_standby())

    def _check_recovery(self, greeting: Greeting, now: float) -> None:
        """A server that recovers by itself is given its time: a restart would only begin it anew."""
        if greeting.code != CANNOT_CONNECT_NOW:
            self._recovering_since = 0.0
            self.context.show("Recovery", "")
            return
        self._recovering_since = self._recovering_since or now
        if now - self._recovering_since >= self["RecoveryTimeout"]:
            raise ResourceError(f"it takes no connections for {self['RecoveryTimeout']} s: {greeting.text}")
        self.context.show("Recovery", greeting.text, level=1)

    async def _greet(self) -> Greeting:
        async with asyncio.timeout(self["ProbeTimeout"]):
            return await greet(self.address, self.port, self["ProbeUser"], self["ProbeDatabase"])

    async def _ask(self, greeting: Greeting) -> Health | None:
        """What the server says of itself, shown; None where it lets nobody in at the moment."""
        if greeting.code == TOO_MANY_CONNECTIONS:
            self.context.show("Connections", "all in use", level=1, share=1.0)
            return None
        if not greeting.is_ready:
            raise ResourceError(f"it refuses connections: {greeting.text} ({greeting.code})")
        session: Any = await load("monitoring.resource_dlls.postgresql.session")
        try:
            health: Health = await session.ask(
                self["ProbeTimeout"],
                self[CHECK_WRITES],
                host=self.address,
                port=self.port,
                user=self["ProbeUser"],
                password=self["ProbePassword"] or None,
                dbname=self["ProbeDatabase"],
            )
        except TimeoutError:
            raise ResourceError(f"it did not answer within {self['ProbeTimeout']} s") from None
        except session.LoginError as error:
            await self._check_login_alone_fails(str(error))
            return None
        except session.LOST as error:
            raise LostError(f"it cut the connection: {' '.join(str(error).split())}") from error
        except session.Error as error:
            raise ResourceError(f"it does not do what it is asked: {' '.join(str(error).split())}") from error
        if self._process is not None and health.postmaster not in (0, self._process.pid):
            raise ResourceError(f"another server answers on {self.address} port {self.port}")
        self._show(health)
        return health

    async def _check_login_alone_fails(self, reason: str) -> None:
        """Warn of a login that is refused while the server takes connections; else it has failed."""
        try:
            greeting = await self._greet()
        except (OSError, TimeoutError) as error:
            raise LostError(f"it takes no connection any more: {error or 'too late'}") from error
        if greeting.is_ready:
            said = " ".join(reason.split())[:150]
            self.context.show("Probe", f"the database is not asked, for the login fails: {said}", level=1)

    def _show(self, health: Health) -> None:
        share = round(health.connections / health.most_connections, 2)
        self.context.show("Probe", "")
        self.context.show("Version", f"PostgreSQL {health.version.split()[0]}")
        self.context.show("Role", "standby: it only reads" if health.is_standby else "")
        self.context.show(
            "Connections",
            f"{health.connections} of {health.most_connections}",
            level=int(share >= NEARLY_ALL),
            share=min(share, 1.0),
        )

    async def offline(self) -> None:
        await super().offline()
        await asyncio.to_thread(self.sweep, self.context.state_dir)

    async def stop(self) -> None:
        """A fast shutdown; where that takes too long an immediate one, which loses nothing either."""
        self.context.progress("shutting down")
        if await self.ends_within(self["StopTimeout"], signal.SIGINT):
            return
        self.context.log(1, f"not stopped within {self['StopTimeout']} s: immediate shutdown")
        self.context.progress("immediate shutdown")
        if not await self.ends_within(IMMEDIATE_S + TERMINATE_S, signal.SIGQUIT):
            raise ResourceError("it did not stop; it is ended by force")

    def terminate(self) -> None:
        """Immediate shutdown, then force. On a thread: it waits."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGQUIT)
            deadline = time.monotonic() + TERMINATE_S
            while process.returncode is None and time.monotonic() < deadline:
                time.sleep(0.02)
        self.context.kill_all()
        self.sweep(self.context.state_dir)
        self._process = None


def _standby() -> str:
    return "it is a standby, which only reads what another server writes (AllowStandby makes that healthy)"
