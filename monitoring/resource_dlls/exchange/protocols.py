"""The protocol virtual servers: SMTP, IMAP4, POP3 and HTTP.

IsAlive asks each what its clients would: does it greet on its port (semantics 6.4). A server
that depends on the store counts as healthy only while it can reach it; one beside the store
(the tree of 2003) may say that the store is away.
"""

from __future__ import annotations

from typing import ClassVar

from monitoring.resource_dlls.api import Property, ResourceError
from monitoring.resource_dlls.exchange.base import STORE, ExchangeService, port
from monitoring.resource_dlls.exchange.health import CHECK_FAILED, greeting, http_status


class ProtocolServer(ExchangeService):
    """A server that speaks first: `welcome` opens its greeting, `unavailable` the one without a store."""

    welcome: ClassVar[str]
    unavailable: ClassVar[str]

    @property
    def needs_store(self) -> bool:
        return any(provider.type_name == STORE for provider in self.context.providers)

    async def check_health(self) -> None:
        said = await greeting(self.address, self["Port"])
        expected = (self.welcome,) if self.needs_store else (self.welcome, self.unavailable)
        if not said.startswith(expected):
            raise ResourceError(f"{self.type_name} greets with {said!r}", CHECK_FAILED)


class SMTP(ProtocolServer):
    type_name = "Exchange SMTP Virtual Server"
    description = "Takes mail; says so once the store has it on disk."
    icon = "send"
    service = "smtp"
    welcome, unavailable = "220 ", "421 "
    properties: ClassVar[tuple[Property, ...]] = (port(2525, "SMTP"),)


class IMAP4(ProtocolServer):
    type_name = "Exchange IMAP4 Virtual Server"
    description = "Lets clients read their mail where it lies."
    icon = "inbox"
    service = "imap"
    welcome, unavailable = "* OK ", "* BYE "
    properties: ClassVar[tuple[Property, ...]] = (port(1143, "IMAP4"),)


class POP3(ProtocolServer):
    type_name = "Exchange POP3 Virtual Server"
    description = "Lets clients fetch their mail."
    icon = "mail-open"
    service = "pop"
    welcome, unavailable = "+OK ", "-ERR "
    properties: ClassVar[tuple[Property, ...]] = (port(1110, "POP3"),)


class HTTP(ProtocolServer):
    type_name = "Exchange HTTP Virtual Server"
    description = "Shows a mailbox to a web browser, with a search."
    icon = "globe"
    service = "web"
    properties: ClassVar[tuple[Property, ...]] = (port(8080, "HTTP"),)

    async def check_health(self) -> None:
        status, text = await http_status(self.address, self["Port"], "/health")
        if status != 200 and (self.needs_store or status != 503):
            raise ResourceError(f"{self.type_name} reports: {text or status}", CHECK_FAILED)
