"""The Generic Application resource: a command that runs on one node at a time.

The monitor watches the process, so its end is noticed at once and LooksAlive is not polled.
A process that is alive counts as healthy; who knows more about the application writes a
Generic Script or a DLL of its own.

Source: semantics 5.1, 5.2.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.environment import variables, with_network_name

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
    )

    _process: Process | None = None

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        for name in ("CommandLine", "StopCommand"):
            try:
                words = shlex.split(values[name] or "")
            except ValueError as error:
                raise PropertyError(name, str(error)) from None
            if values[name] and not words:
                raise PropertyError(name, "the command is empty")

    async def online(self) -> None:
        self._process = self._start("CommandLine", watch=True)

    async def adopt(self) -> bool:
        running = self.context.watched()
        self._process = running[0] if running else None
        return bool(running)

    def _start(self, name: str, watch: bool) -> Process:
        words = shlex.split(self[name])
        environment = (with_network_name if self["UseNetworkName"] else variables)(self.context)
        try:
            return self.context.spawn(words, cwd=self["CurrentDirectory"], env=environment, watch=watch)
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
        return self._process is not None

    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None
