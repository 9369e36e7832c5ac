"""What all resources of an Exchange Virtual Server have in common.

Each is one service process on the group's own address. The process is watched, so its end
is known at once and LooksAlive is never called; IsAlive asks the service itself. The
original's health thread asks every 10 s, which is the poll interval here.

Source: semantics 6.4.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.exchange.health import CHECK_FAILED, http_status
from monitoring.resource_dlls.exchange.starting import start

SERVICES = "monitoring.resource_dlls.exchange.services"
ATTENDANT = "Exchange System Attendant"
STORE = "Exchange Information Store"
STOP_GRACE_S = 2.0
"""A service stops within 0.1 s; one that does not is ended."""


def port(default: int, purpose: str) -> Property:
    """The property that says where on the group's address a service listens."""
    return Property("Port", kind="port", default=default, help=f"{purpose}, on the group's own address")


class ExchangeService(ResourceDLL):
    """Base of the family: `service` names the module of `services` whose `serve` is the process."""

    family = "Exchange"
    required_dependencies: ClassVar[tuple[str, ...]] = (ATTENDANT,)
    polls_looks_alive = False
    is_alive_ms = 10_000
    warm_modules = (SERVICES,)
    service: ClassVar[str]

    _process: Process | None = None

    @property
    def address(self) -> str:
        return str(self.provider("IP Address").properties["Address"])

    def place(self) -> dict[str, Any]:
        """Where and for whom the service runs (services.place.Place)."""
        network_name = self.provider("Network Name").properties
        return {
            "service": self.service,
            "address": self.address,
            "name": network_name["Name"],
            "names": network_name.get("RegistryPath") or os.environ.get("CLUSTERWEB_NAMES", ""),
            "disk": self.provider("Physical Disk").properties["Path"],
            "node": self.context.node,
            "epoch": self.context.epoch,
        }

    def settings(self) -> Mapping[str, Any]:
        """Arguments of the service beside its place and port."""
        return {}

    async def online(self) -> None:
        arguments = {"place": self.place(), "port": self["Port"], **self.settings()}
        self._process = await start(self.context, f"{SERVICES}.{self.service}:serve", arguments)

    async def adopt(self) -> bool:
        """The service needs nothing of the agent: IsAlive, which is next, asks it."""
        running = self.context.watched()
        self._process = running[0] if running else None
        return bool(running)

    async def offline(self) -> None:
        self._process = None
        await self.context.kill_all_async(STOP_GRACE_S)

    async def terminate(self) -> None:
        self._process = None
        await self.context.kill_all_async()

    async def is_alive(self) -> bool:
        if self._process is None:
            return False
        if self._process.returncode is not None:
            raise ResourceError(f"the service ended with exit code {self._process.returncode}", CHECK_FAILED)
        await self.check_health()
        return True

    async def check_health(self) -> None:
        """Ask the service; ResourceError says what is wrong. Default: its own health page."""
        status, text = await http_status(self.address, self["Port"], "/health")
        if status != 200:
            raise ResourceError(f"{self.type_name} reports: {text or status}", CHECK_FAILED)
