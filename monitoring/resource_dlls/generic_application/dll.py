"""The Generic Application resource: a command that runs on one node at a time.

The monitor watches the process, so its end is noticed at once and LooksAlive is not polled.
A process that is alive counts as healthy, unless a HealthCommand says more; who knows still more
about the application writes a Generic Script or a DLL of its own.

Source: semantics 5.1, 5.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.environment import variables, with_network_name
from monitoring.resource_dlls.watched_server import account, as_account

CREATE_FAILED = 1039


class GenericApplication(ResourceDLL):
    type_name = "Generic Application"
    description = "Any command. Its end is noticed at once."
    icon = "app-window"
    polls_looks_alive = False
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "CommandLine",
            kind="command",
            required=True,
            help="program and arguments, quoted as for a shell; no shell runs it",
        ),
        Property("CurrentDirectory", kind="path", required=True, help="directory that the command starts in"),
        Property(
            "UseNetworkName",
            kind="bool",
            default=False,
            help="give it the group's network name as HOSTNAME and COMPUTERNAME",
        ),
        Property("StopCommand", kind="command", help="asks it to stop; without one it gets SIGTERM"),
        Property(
            "GracePeriod",
            kind="int",
            default=5,
            maximum=3600,
            unit="s",
            help="time to stop in, before it is ended by force",
        ),
        Property(
            "HealthCommand",
            kind="command",
            help="IsAlive runs it: exit code 0 says that all is well; without one a live process does",
        ),
        Property(
            "HealthTimeout",
            kind="int",
            default=10,
            minimum=1,
            maximum=600,
            unit="s",
            help="a HealthCommand that takes longer is ended, and counts as failed",
        ),
        Property(
            "User",
            placeholder="the agent's own",
            help="account that all of its commands run as; needs an agent that is root",
        ),
        Property(
            "Environment",
            help="variables, as in LANG=C 'OPTIONS=-x -y'; no place for passwords",
            details="Viewers see it, and every process of the same account can read it.",
        ),
    )

    _process: Process | None = None

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        for name in ("CommandLine", "StopCommand", "HealthCommand"):
            if values[name] and not _words(name, values[name]):
                raise PropertyError(name, "the command is empty")
        for word in _words("Environment", values["Environment"]):
            variable, equals, _ = word.partition("=")
            if not equals or not (variable.isascii() and variable.isidentifier()):
                raise PropertyError("Environment", f"{word!r} is not of the form NAME=value")
            if variable.startswith("CLUSTERWEB_"):
                raise PropertyError(
                    "Environment", f"{variable}: names with CLUSTERWEB_ are the cluster's own"
                )

    async def online(self) -> None:
        self._process = self._start("CommandLine", watch=True)

    async def adopt(self) -> bool:
        running = self.context.watched()
        self._process = running[0] if running else None
        return bool(running)

    def _start(self, name: str, watch: bool) -> Process:
        words = shlex.split(self[name])
        own = dict(word.split("=", 1) for word in shlex.split(self["Environment"] or ""))
        argv, environment = words, (with_network_name if self["UseNetworkName"] else variables)(self.context)
        if self["User"]:
            user = account(self["User"])
            argv = as_account(words, user.pw_uid, user.pw_gid)
            environment |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
        try:
            return self.context.spawn(argv, cwd=self["CurrentDirectory"], env=environment | own, watch=watch)
        except OSError as error:
            raise ResourceError(f"{words[0]} could not be started: {error}", CREATE_FAILED) from error

    async def offline(self) -> None:
        grace = float(self["GracePeriod"])
        if self["StopCommand"] and self._is_running():
            await self._ask_to_stop(grace)
            grace = 0.0  # what is left did not listen
        await self.context.kill_all_async(grace)
        self._process = None

    async def _ask_to_stop(self, grace: float) -> None:
        """Run the stop command and wait, `grace` seconds in all, for the application to end."""
        assert self._process is not None
        try:
            async with asyncio.timeout(grace):
                code = await self._start("StopCommand", watch=False).wait()
                if code != 0:
                    self.context.log(1, f"the stop command ended with exit code {code}")
                await self._process.wait()
        except TimeoutError:
            self.context.log(1, f"not stopped within {grace:g} s, ending it by force")

    async def terminate(self) -> None:
        await self.context.kill_all_async()
        self._process = None

    async def is_alive(self) -> bool:
        if self._process is not None and self._process.returncode is not None:
            raise ResourceError(f"the process ended with exit code {self._process.returncode}")
        if self._process is None:
            return False
        if self["HealthCommand"]:
            await self._ask_for_health()
        return True

    async def _ask_for_health(self) -> None:
        asked = self._start("HealthCommand", watch=False)
        try:
            async with asyncio.timeout(self["HealthTimeout"]):
                code = await asked.wait()
        except TimeoutError:
            raise ResourceError(f"HealthCommand did not end within {self['HealthTimeout']} s") from None
        finally:
            _end(asked)
        if code != 0:
            raise ResourceError(f"HealthCommand ended with exit code {code}")

    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None


def _words(name: str, text: str | None) -> list[str]:
    try:
        return shlex.split(text or "")
    except ValueError as error:
        raise PropertyError(name, str(error)) from None


def _end(process: Process) -> None:
    """End a command that was given up, with what it started in its session; a finished one is left alone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
