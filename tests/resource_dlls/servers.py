"""A whole Exchange Virtual Server for tests: its resources on a node, brought up in order."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import CompositeDLL, Provider, ResourceDLL
from tests.resource_dlls.context import LocalContext, call

PASSWORD = "correct horse"
ATTENDANT = "Exchange System Attendant"
STORE = "Exchange Information Store"
SMTP = "Exchange SMTP Virtual Server"
IMAP4 = "Exchange IMAP4 Virtual Server"
POP3 = "Exchange POP3 Virtual Server"
HTTP = "Exchange HTTP Virtual Server"
SEARCH = "Exchange MS Search"
MTA = "Exchange Message Transfer Agent"
ROUTING = "Exchange Routing Service"


class VirtualServer:
    """One virtual server on one node under one epoch. `types`: which of its services are brought up."""

    def __init__(
        self,
        shared: Path,
        address: str,
        types: Sequence[str],
        *,
        name: str = "EVS1",
        node: str = "NODE1",
        epoch: int = 1,
        group_id: int = 1,
        tree: str = "2000",
    ) -> None:
        self.address = address
        self.name = name
        self.disk = shared / name
        self.contexts: dict[str, LocalContext] = {}
        self.resources: dict[str, ResourceDLL] = {}
        self._made: list[Provider] = []
        self._where: dict[str, Any] = {"node": node, "epoch": epoch, "group": name, "group_id": group_id}
        self._state = shared / f"state-{name}-{node}-{epoch}"
        self._add("IP Address", {"Address": address, "SubnetMask": "255.0.0.0"})
        self._add("Network Name", {"Name": name, "RegistryPath": str(shared / "names")})
        self._add("Physical Disk", {"Path": str(self.disk)})
        self._add(ATTENDANT, {"Tree": tree})
        for type_name in types:
            given = {"MailboxPassword": PASSWORD, "StorageGroups": 2} if type_name == STORE else {}
            self._add(type_name, given, beside_store=tree == "2003")

    def _add(self, type_name: str, given: dict[str, Any], beside_store: bool = False) -> None:
        dll = registry.get(type_name)
        properties = dll.clean(given)
        providers = [p for p in self._made if not (beside_store and p.type_name == STORE)]
        context = LocalContext(
            self._state / type_name, name=f"{self.name} {type_name}", providers=providers, **self._where
        )
        self.contexts[type_name] = context
        self.resources[type_name] = dll(context, properties)
        self._made.append(Provider(context.name, type_name, properties))

    def online(self) -> VirtualServer:
        asyncio.run(self._online())
        return self

    async def _online(self) -> None:
        """First what the services need, in order; then all services, each when the store is up."""
        first = ["IP Address", "Network Name", "Physical Disk", ATTENDANT, STORE]
        for type_name in first:
            if type_name in self.resources:
                result = self.resources[type_name].online()
                if result is not None:
                    await result
        rest = [dll.online() for type_name, dll in self.resources.items() if type_name not in first]
        await asyncio.gather(*rest)

    def offline(self) -> None:
        for resource in reversed(self.resources.values()):
            call(resource.offline)

    def terminate(self) -> None:
        for resource in reversed(self.resources.values()):
            call(resource.terminate)

    def is_alive(self, type_name: str) -> bool:
        return bool(call(self.resources[type_name].is_alive))

    def port(self, type_name: str) -> int:
        return int(self.resources[type_name]["Port"])

    def send(self, subject: str, to: Sequence[str] = ("alice@EVS1",), body: str = "Hello\n") -> None:
        """Deliver a mail by SMTP; returns once the server has said that it has it."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "bob@EVS1", ", ".join(to), subject
        mail.set_content(body)
        with smtplib.SMTP(self.address, self.port(SMTP), timeout=10) as client:
            client.send_message(mail)

    def journal(self, service: str) -> str:
        with suppress(FileNotFoundError):
            return "".join(p.read_text() for p in (self.disk / "journal").glob(f"{service}-*.jsonl"))
        return ""


def blueprints(**values: Any) -> list[Any]:
    dll = registry.get(ATTENDANT)
    assert issubclass(dll, CompositeDLL)
    return list(dll.blueprints(dll.clean(values)))
