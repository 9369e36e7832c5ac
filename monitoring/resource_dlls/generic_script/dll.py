"""The Generic Script resource: an executable, of any language, is the resource DLL.

It is called with one argument, the entry point's name: Open, Online, LooksAlive, IsAlive,
Offline, Terminate or Close. Exit code 0 means success or true, 1 failure or false, and 3
that the script does not have the entry point, which all but LooksAlive and IsAlive may lack.
What it leaves running after Online belongs to the resource and ends with it.

As in the original, Online is Open then Online, Offline is Offline then Close, and Terminate
is Open (where needed), Terminate, Close. A call that takes longer than CallTimeout is ended
(event 1232); until the script was terminated, further calls are refused (event 1233).

Source: semantics 1.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import ClassVar

from monitoring.resource_dlls.api import Process, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.environment import variables

CALL_HUNG = 1232
CALL_REFUSED = 1233
NOT_IMPLEMENTED = 3
MANDATORY = frozenset({"LooksAlive", "IsAlive"})


class GenericScript(ResourceDLL):
    type_name = "Generic Script"
    description = "An executable file, called with the name of each entry point."
    icon = "scroll-text"
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "ScriptFilePath",
            kind="path",
            required=True,
            help="executable file; keep it on every node, not on a cluster disk",
        ),
        Property(
            "CallTimeout",
            kind="int",
            default=180_000,
            minimum=10,
            unit="ms",
            help="a call that takes longer is ended, and counts as failed",
        ),
    )

    _opened = False
    _hung = ""

    async def online(self) -> None:
        await self._require("Open")
        self._opened = True
        await self._require("Online")

    async def adopt(self) -> bool:
        """What the script started needs nothing of the agent; the script says itself whether it works."""
        self._opened = True
        if not await self.is_alive():
            raise ResourceError(f"{self._called('IsAlive')} said no")
        return True

    async def offline(self) -> None:
        await self._require("Offline")
        await self._require("Close")
        self._opened = False
        await self.context.kill_all_async()

    async def terminate(self) -> None:
        """End it whatever the script says: first by its own means, then by force."""
        self._hung = ""
        for verb in ("Terminate", "Close") if self._opened else ("Open", "Terminate", "Close"):
            try:
                await self._require(verb)
            except ResourceError as error:
                self.context.log(1, str(error), error.code)
        self._opened, self._hung = False, ""
        await self.context.kill_all_async()

    async def looks_alive(self) -> bool:
        return await self._call("LooksAlive") == 0

    async def is_alive(self) -> bool:
        code = await self._call("IsAlive")
        if code not in (0, 1):
            raise ResourceError(f"{self._called('IsAlive')} ended with exit code {code}")
        return code == 0

    async def _require(self, verb: str) -> None:
        code = await self._call(verb)
        if code == 0 or (code == NOT_IMPLEMENTED and verb not in MANDATORY):
            return
        raise ResourceError(
            f"{self._called(verb)} ended with exit code {code}; its output is in {self.context.state_dir}"
        )

    async def _call(self, verb: str) -> int:
        """Exit code of one call of the script."""
        if self._hung:
            raise ResourceError(
                f"{verb} is refused: {self._hung} hung and was not terminated yet", CALL_REFUSED
            )
        script = Path(self["ScriptFilePath"])
        try:
            process = self.context.spawn(
                [str(script), verb], cwd=script.parent, env=variables(self.context), watch=False
            )
        except OSError as error:
            raise ResourceError(f"{script} could not be started: {error}") from error
        try:
            async with asyncio.timeout(self["CallTimeout"] / 1000):
                return await process.wait()
        except TimeoutError:
            self._hung = verb
            text = f"{self._called(verb)} did not return within {self['CallTimeout']} ms"
            self.context.log(2, text, CALL_HUNG)
            raise ResourceError(text, CALL_HUNG) from None
        finally:
            _end(process)

    def _called(self, verb: str) -> str:
        return f"{self['ScriptFilePath']} {verb}"


def _end(process: Process) -> None:
    """End a call that was given up, with what it started in its session; a finished one is left alone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
