"""What all probes have in common: they start and stop nothing, so Online waits until it answers.

A single lost packet shall not move a group: an IsAlive that fails is tried again, as often as
Attempts says, before the resource fails.
"""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from monitoring.resource_dlls.api import Property, ResourceDLL, ResourceError

TRY_EVERY_S = 1.0

ADDRESS = Property(
    "Address",
    placeholder="the group's IP Address that it depends on",
    help="host name or address to ask",
)
TIMEOUT = Property(
    "Timeout",
    kind="int",
    default=5,
    minimum=1,
    maximum=120,
    unit="s",
    help="an answer that takes longer is none",
)
ATTEMPTS = Property(
    "Attempts",
    kind="int",
    default=2,
    minimum=1,
    maximum=10,
    help="how often in a row it may fail to answer until the resource fails; one second lies between",
)
START_TIMEOUT = Property(
    "StartTimeout",
    kind="int",
    default=30,
    minimum=0,
    maximum=3600,
    unit="s",
    help="how long Online waits for the first good answer",
)
TRIES = (TIMEOUT, ATTEMPTS, START_TIMEOUT)


class Probe(ResourceDLL):
    """Base class: a type defines `probe`, and `look` where there is something cheaper."""

    family = "Probes"
    is_alive_ms: ClassVar[int] = 30_000
    looks_alive_ms: ClassVar[int] = 10_000

    _watches = False

    async def probe(self) -> None:
        """Ask once, within Timeout; ResourceError says what was wrong with the answer."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """The host to ask: Address, else the group's address."""
        if self["Address"]:
            return str(self["Address"])
        for provider in self.context.providers:
            if provider.type_name == "IP Address":
                return str(provider.properties["Address"])
        raise ResourceError(
            f"Address: name a host to ask, or let {self.context.name} depend on an IP Address"
        )

    async def online(self) -> None:
        deadline = time.monotonic() + self["StartTimeout"]
        told = ""
        while reason := await self._complaint():
            if time.monotonic() >= deadline:
                raise ResourceError(reason)
            if reason != told:
                self.context.progress(f"waiting: {reason}")
                told = reason
            await asyncio.sleep(TRY_EVERY_S)
        self._watches = True

    async def adopt(self) -> bool:
        """Nothing of it was held by the agent; IsAlive, which is next, asks."""
        self._watches = True
        return True

    async def terminate(self) -> None:
        self._watches = False

    async def looks_alive(self) -> bool:
        return self._watches and not await self._complaint()

    async def is_alive(self) -> bool:
        if not self._watches:
            return False
        for _ in range(self["Attempts"] - 1):
            if not await self._complaint():
                return True
            await asyncio.sleep(TRY_EVERY_S)
        if reason := await self._complaint():
            raise ResourceError(reason)
        return True

    async def _complaint(self) -> str:
        """What is wrong with the answer; "" where it is as it should be."""
        try:
            async with asyncio.timeout(self["Timeout"]):
                await self.probe()
        except TimeoutError:
            return f"{self.target} did not answer within {self['Timeout']} s"
        except ResourceError as error:
            return str(error)
        except OSError as error:
            return f"{self.target} does not answer: {error.strerror or error}"
        return ""
