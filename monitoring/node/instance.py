"""The instance of its resource DLL that a resource has: made, opened or taken over, given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from monitoring.core.messages import ResourceSpec
from monitoring.node.calls import EntryPoints, within
from monitoring.node.context import Host, NodeContext
from monitoring.node.probes import Probed, Prober
from monitoring.resource_dlls.api import ResourceDLL, ResourceError

logger = logging.getLogger(__name__)

CLOSE_LIMIT = 1.0
"""Seconds that Close may take."""


class Instance:
    """Of one resource, made anew where the type or the properties have changed."""

    def __init__(self, host: Host, context: NodeContext, loop: asyncio.AbstractEventLoop) -> None:
        self.points: EntryPoints | None = None
        self.dll: ResourceDLL | None = None
        self.is_open = False
        """It was opened, or has taken over what runs."""
        self._host = host
        self._context = context
        self._loop = loop
        self._made_of: tuple[str, Mapping[str, Any]] = ("", {})

    async def opened(self, type_name: str, properties: Mapping[str, Any]) -> EntryPoints:
        """The entry points of an opened instance."""
        if not self.is_open or self._made_of != (type_name, properties):
            await self.close()
            points = self.make(type_name, properties)
            await points.call("open")
            self.is_open = True
        assert self.points is not None and self.dll is not None
        self._host.sweeps.add(self._context.resource, type(self.dll))
        return self.points

    def make(self, type_name: str, properties: Mapping[str, Any]) -> EntryPoints:
        """Make an instance that is not opened: what it stands for may run already."""
        dll_class = self._host.types.get(type_name)
        if dll_class is None:
            raise ResourceError(f"{self._host.node} has no resource DLL for {type_name}")
        self._context.state_dir.mkdir(parents=True, exist_ok=True)
        self.dll = dll_class(self._context, dll_class.clean(properties))
        self.points = EntryPoints(self.dll, self._loop, self._context.name)
        self._made_of = (type_name, dict(properties))
        return self.points

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
        is_polled = self.dll is not None and self.dll.polls_looks_alive
        looks_alive_s = spec.looks_alive_ms / 1000 if is_polled else None
        return looks_alive_s, spec.is_alive_ms / 1000, spec.deadlock_timeout_ms / 1000

    async def close(self) -> None:
        """Give the instance up. The resource is down."""
        if self.points is not None:
            if self.is_open:
                try:
                    await within(CLOSE_LIMIT, self.points.call("close"))
                except Exception:
                    logger.exception("%s: Close", self._context.name)
            self.points.abandon()
        self.dll, self.points, self.is_open = None, None, False
