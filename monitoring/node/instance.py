"""The instance of its resource DLL that a resource has: made, opened or taken over, given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from monitoring.core.messages import ResourceSpec
from monitoring.node.calls import EntryPoints, in_thread, within
from monitoring.node.context import Host, NodeContext
from monitoring.node.probes import Probed, Prober
from monitoring.node.separate.points import Listener, SeparatePoints
from monitoring.resource_dlls.api import ResourceDLL, ResourceError

logger = logging.getLogger(__name__)

CLOSE_LIMIT = 1.0
"""Seconds that Close may take."""


class Points(Protocol):
    """The entry points of an instance, in the agent (`calls`) or in a process of its own (`separate`)."""

    @property
    def is_busy(self) -> bool:
        """A call that may outlive its cancellation runs."""

    @property
    def remembers(self) -> bool:
        """The instance is still the one that was opened."""

    async def call(self, name: str) -> Any: ...

    async def call_beside(self, name: str) -> Any:
        """Run an entry point that may interrupt others (Terminate)."""

    async def settle(self, seconds: float) -> None:
        """Give a call that was left running some time to return, then go on without it."""

    def give_up(self, why: str) -> None:
        """A call hangs: nothing more is expected of it."""

    async def end(self) -> None:
        """The instance is given up."""


class Instance:
    """Of one resource, made anew where the type, the properties or the place have changed."""

    def __init__(
        self, host: Host, context: NodeContext, loop: asyncio.AbstractEventLoop, listener: Listener
    ) -> None:
        self.points: Points | None = None
        self.is_open = False
        """It was opened, or has taken over what runs."""
        self.is_isolated = False
        """A call hung in the agent: from then on it gets a process of its own, until the agent restarts."""
        self._class: type[ResourceDLL] | None = None
        self._host = host
        self._context = context
        self._loop = loop
        self._listener = listener
        self._made_of: tuple[str, Mapping[str, Any], bool] = ("", {}, False)

    async def opened(
        self, type_name: str, properties: Mapping[str, Any], *, separate: bool = False
    ) -> Points:
        """The entry points of an opened instance; `separate`: with SeparateMonitor."""
        made_of = (type_name, properties, self._has_own(separate))
        if self.points is None or not self.knows or self._made_of != made_of:
            await self.close()
            points = self.make(type_name, properties, separate=separate)
            await points.call("open")
            self.is_open = True
        assert self.points is not None and self._class is not None
        self._host.sweeps.add(self._context.resource, self._class)
        return self.points

    @property
    def knows(self) -> bool:
        """The instance is the one that was opened, or took over what runs."""
        return self.is_open and self.points is not None and self.points.remembers

    def _has_own(self, separate: bool) -> bool:
        return self._host.has_separate and (separate or self.is_isolated)

    def make(self, type_name: str, properties: Mapping[str, Any], *, separate: bool = False) -> Points:
        """Make an instance that is not opened: what it stands for may run already."""
        dll_class = self._host.types.get(type_name)
        if dll_class is None:
            raise ResourceError(f"{self._host.node} has no resource DLL for {type_name}")
        self._context.state_dir.mkdir(parents=True, exist_ok=True)
        cleaned = dll_class.clean(properties)
        self._class = dll_class
        has_own = self._has_own(separate)
        if has_own:
            self.points = SeparatePoints(self._host, self._context, dll_class, cleaned, self._listener)
        else:
            self.points = EntryPoints(dll_class(self._context, cleaned), self._loop, self._context.name)
        self._made_of = (type_name, dict(properties), has_own)
        return self.points

    @property
    def is_separate(self) -> bool:
        """It has a process of its own."""
        return self.points is not None and self._made_of[2]

    def prober(self, resource: Probed, spec: ResourceSpec) -> Prober:
        """What polls the instance from now on."""
        assert self.points is not None
        looks_alive_s, is_alive_s, deadlock_s = self.times(spec)
        return Prober(
            resource,
            self.points.call,
            self._loop,
            phase_of=spec.id,
            looks_alive_s=looks_alive_s,
            is_alive_s=is_alive_s,
            deadlock_s=deadlock_s,
        )

    def times(self, spec: ResourceSpec) -> tuple[float | None, float, float]:
        """LooksAlivePollInterval (None: not polled), IsAlivePollInterval, DeadlockTimeout, in seconds."""
        is_polled = self._class is not None and self._class.polls_looks_alive
        looks_alive_s = spec.looks_alive_ms / 1000 if is_polled else None
        return looks_alive_s, spec.is_alive_ms / 1000, spec.deadlock_timeout_ms / 1000

    async def sweep(self) -> str:
        """Take back what an earlier agent or monitor left, of which this instance does not know; a sentence
        where that failed."""
        sweeps, resource = self._host.sweeps, self._context.resource
        if self.knows or not sweeps.is_noted(resource):
            return ""
        if not self.is_separate or self.points is None:
            return str(await in_thread(lambda: sweeps.sweep(resource, self._host.types)))
        try:
            await self.points.call("sweep")
        except Exception as error:
            return f"{self._context.name} could not be swept: {error}"
        sweeps.strike(resource)
        return ""

    async def close(self) -> None:
        """Give the instance up. The resource is down."""
        points, knows = self.points, self.knows
        if points is not None:
            if knows:
                try:
                    await within(CLOSE_LIMIT, points.call("close"))
                except Exception:
                    logger.exception("%s: Close", self._context.name)
            await points.end()
        self._class, self.points, self.is_open = None, None, False
