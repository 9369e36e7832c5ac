"""The Redis Server resource: Redis or Valkey on the group's address, its data on the group's disk.

IsAlive asks for INFO and writes a key that goes away by itself. A server that refuses writes only
because its memory is full answers as it was told to: that is a warning, and no failure.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from typing import ClassVar

from monitoring.resource_dlls.api import Property, ResourceError
from monitoring.resource_dlls.redis_server.program import (
    configuration,
    find_account,
    find_program,
    has_append_only_file,
    has_snapshot,
    write_private,
)
from monitoring.resource_dlls.redis_server.resp import Answer, ServerError, ask, read_info
from monitoring.resource_dlls.watched_server import CHECK_WRITES, PROBE_TIMEOUT, WatchedServer, as_account

PROBE_KEY = "clusterweb:probe"
PROBE_KEY_LIVES_MS = 60_000
NEARLY_FULL = 0.9
MIB = 1 << 20


class RedisServer(WatchedServer):
    type_name = "Redis Server"
    description = "A Redis or Valkey server on the group's address, its data on the group's disk."
    folder = "redis"
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Port", kind="port", default=6379, help="where clients connect, on the group's address"),
        Property("Password", secret=True, help="that clients have to give"),
        Property(
            "DataDirectory",
            kind="path",
            placeholder="redis on the group's disk",
            help="where the data lie; made where it is missing",
        ),
        Property(
            "AppendOnly",
            kind="bool",
            default=True,
            help="keep each write in the append-only file, so that it survives a crash",
        ),
        Property(
            "AppendFsync",
            default="everysec",
            choices=("always", "everysec", "no"),
            help="when that file is forced to the disk; always: no acknowledged write is lost",
        ),
        Property(
            "MaxMemory",
            kind="int",
            default=0,
            maximum=1 << 24,
            unit="MiB",
            help="memory for data; 0: as much as there is",
        ),
        Property("ConfigFile", kind="path", help="further settings; those of this form come before them"),
        Property("Program", kind="path", placeholder="valkey-server, else redis-server", help="the server"),
        Property("User", placeholder="valkey, else redis", help="account that the server runs as"),
        Property(
            CHECK_WRITES,
            kind="bool",
            default=True,
            help=f"IsAlive writes the key {PROBE_KEY}, which goes away after a minute",
        ),
        PROBE_TIMEOUT,
        Property(
            "StopTimeout",
            kind="int",
            default=30,
            minimum=1,
            maximum=3600,
            unit="s",
            help="time to write its data in when it stops, before it is ended by force",
        ),
    )

    _begins_file = False
    """It was started on a snapshot, and is to keep an append-only file."""

    def prepare(self) -> Sequence[str]:
        program = find_program(self["Program"])
        uid, gid = find_account(self["User"])
        try:
            if not self.directory.exists():
                self.directory.mkdir(parents=True, mode=0o750)
                os.chown(self.directory, uid, gid)
            append_only = self._reads_append_only_file()
            settings = self.context.state_dir / "server.conf"
            write_private(settings, configuration(self._values, self.address, self.directory, append_only))
        except OSError as error:
            raise ResourceError(f"the server cannot be prepared: {error}") from error
        # The configuration comes by standard input: it holds the password, and the account that the
        # server runs as may not enter the folder that it lies in.
        command = as_account([program, "-"], uid, gid)
        return ["/bin/sh", "-c", 'exec "$@" <"$0"', str(settings), *command]

    def _reads_append_only_file(self) -> bool:
        """Whether it is started with the append-only file. A server reads that or its snapshot, never
        both: with the one that is not there it would begin empty, or with data of long ago."""
        is_kept = has_append_only_file(self.directory)
        if is_kept and not self["AppendOnly"]:
            raise ResourceError(
                f"AppendOnly: {self.directory} has an append-only file, which a server without AppendOnly"
                " would not read; set AppendOnly, or move the file away"
            )
        self._begins_file = bool(self["AppendOnly"]) and not is_kept and has_snapshot(self.directory)
        return bool(self["AppendOnly"]) and not self._begins_file

    async def hindrance(self) -> str:
        try:
            info = await self._info()
        except (OSError, TimeoutError):
            return "waiting for the server to answer"
        if info.get("loading") != "1":
            if self._begins_file:
                return await self._begin_append_only_file(info)
            await self.check_health()
            return ""
        done = info.get("loading_loaded_perc", "0").partition(".")[0]
        return f"loading the data, {done} %"

    async def _begin_append_only_file(self, info: Mapping[str, str]) -> str:
        """Have a server that has read its snapshot write the append-only file, and wait for it."""
        if info.get("aof_enabled") != "1":
            (answer,) = await self._ask(("CONFIG", "SET", "appendonly", "yes"))
            if isinstance(answer, ServerError):
                raise ResourceError(f"the append-only file cannot be begun: {answer}")
        elif info.get("aof_rewrite_in_progress") == info.get("aof_rewrite_scheduled") == "0":
            if trouble := _trouble(info):
                raise ResourceError(f"the append-only file cannot be begun: {trouble}")
            self._begins_file = False
            self.context.log(0, "It has read its snapshot, and keeps an append-only file from now on")
        return "writing the append-only file"

    async def check_health(self) -> None:
        try:
            info = await self._info()
        except TimeoutError:
            raise ResourceError(f"it did not answer within {self['ProbeTimeout']} s") from None
        except OSError as error:
            raise ResourceError(f"it does not answer: {error}") from error
        if self._process is not None and info.get("process_id") != str(self._process.pid):
            raise ResourceError(f"another server answers on {self.address} port {self.port}")
        if info.get("role") == "slave":
            raise ResourceError(
                f"it is a replica of {info.get('master_host')}, and takes no writes: nothing may make it one"
            )
        self._show(info)
        if self[CHECK_WRITES]:
            await self._check_writes()

    async def _check_writes(self) -> None:
        value = f"{self.context.node} {self.context.epoch}"
        try:
            (answer,) = await self._ask(("SET", PROBE_KEY, value, "PX", str(PROBE_KEY_LIVES_MS)))
        except (OSError, TimeoutError) as error:
            raise ResourceError(f"it does not answer a write: {error or 'too late'}") from error
        is_full = isinstance(answer, ServerError) and answer.code == "OOM"
        if isinstance(answer, ServerError) and not is_full:
            raise ResourceError(f"it refuses writes: {answer}")
        self.context.show("Writes", "refused: its memory is full" if is_full else "", level=1)

    def _show(self, info: Mapping[str, str]) -> None:
        name = "Valkey" if "valkey_version" in info else "Redis"
        version = info.get("valkey_version") or info.get("redis_version", "")
        self.context.show("Version", f"{name} {version}")
        used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
        if limit:
            share = round(used / limit, 2)
            level = int(share >= NEARLY_FULL and info.get("maxmemory_policy") == "noeviction")
            self.context.show(
                "Memory",
                f"{used / MIB:.0f} of {limit / MIB:.0f} MiB used",
                level=level,
                share=min(share, 1.0),
            )
        else:
            self.context.show("Memory", f"{used / MIB:.0f} MiB used")
        clients, most = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
        share = round(clients / most, 2) if most else 0.0
        self.context.show("Clients", f"{clients} of {most}", level=int(share >= NEARLY_FULL), share=share)
        self.context.show("Persistence", _trouble(info), level=1)

    async def stop(self) -> None:
        self.context.progress("writing the data and stopping")
        if not await self.ends_within(self["StopTimeout"], signal.SIGTERM):
            self.context.log(1, f"not stopped within {self['StopTimeout']} s, ending it by force")

    async def terminate(self) -> None:
        await self.context.kill_all_async()
        self._process = None

    async def _info(self) -> dict[str, str]:
        (answer,) = await self._ask(("INFO",))
        if isinstance(answer, ServerError):
            raise ResourceError(_refusal(answer))
        return read_info(str(answer))

    async def _ask(self, *commands: Sequence[str]) -> list[Answer]:
        login = [("AUTH", self["Password"])] if self["Password"] else []
        async with asyncio.timeout(self["ProbeTimeout"]):
            answers = await ask(self.address, self.port, *login, *commands)
        if login and isinstance(answers[0], ServerError):
            raise ResourceError(_refusal(answers[0]))
        return answers[len(login) :]


def _refusal(error: ServerError) -> str:
    """Why it lets nobody in. Its own text never quotes a password."""
    if error.code == "DENIED":
        return "without a Password it takes connections from this machine only: set one"
    if error.code in ("NOAUTH", "WRONGPASS"):
        return f"it does not take the Password of this resource; does ConfigFile set another? ({error.code})"
    return f"it answers with an error: {error}"


def _trouble(info: Mapping[str, str]) -> str:
    """What fails while it keeps its data on the disk."""
    failing = {
        "aof_last_write_status": "the last write of the append-only file failed",
        "aof_last_bgrewrite_status": "the last rewrite of the append-only file failed",
        "rdb_last_bgsave_status": "the last snapshot failed",
    }
    return "; ".join(text for field, text in failing.items() if info.get(field, "ok") == "err")
