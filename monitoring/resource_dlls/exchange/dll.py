"""System Attendant, Information Store, transfer agent, routing and search.

Creating the System Attendant of a virtual server creates all the rest, in the tree of
Exchange 2000 or 2003. Source: semantics 6.2 and 6.3.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Blueprint, CompositeDLL, Property, PropertyError, ResourceError
from monitoring.resource_dlls.exchange.base import ATTENDANT, STORE, ExchangeService, port
from monitoring.resource_dlls.exchange.daemons import certificate, dovecot, nginx, postfix
from monitoring.resource_dlls.exchange.health import CHECK_FAILED, greeting

BUILT_IN, DAEMONS = "built-in", "Postfix, Dovecot and nginx"


class SystemAttendant(ExchangeService, CompositeDLL):
    type_name = ATTENDANT
    description = "Makes a group an Exchange Virtual Server, brings its other resources, keeps house."
    icon = "concierge-bell"
    required_dependencies = ("IP Address", "Network Name", "Physical Disk")
    single_per_group = True
    service = "attendant"
    properties: ClassVar[tuple[Property, ...]] = (
        port(1137, "health page"),
        Property(
            "Servers",
            default=BUILT_IN,
            choices=(BUILT_IN, DAEMONS),
            help="the programs behind the resources; they are made with it and stay as they are",
            details="built-in: small servers that need nothing else, to try things out. Postfix,"
            " Dovecot and nginx: for users; they have to be installed on each node, whose agent is root.",
        ),
        Property(
            "Tree",
            default="2000",
            choices=("2000", "2003"),
            help="2000: protocols depend on the store; 2003: beside it, without POP3 and IMAP4",
        ),
        Property(
            "JournalLimit",
            kind="int",
            default=1024,
            minimum=16,
            unit="KiB",
            help="size at which a journal on the disk is set aside; one older one is kept",
        ),
        *certificate.FILES,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        certificate.check_values(values)
        if values["Servers"] == DAEMONS and values["Tree"] != "2000":
            raise PropertyError("Tree", f"{DAEMONS} come in the tree of 2000 only")
        if values["Servers"] != DAEMONS and values[certificate.FILE]:
            raise PropertyError(certificate.FILE, "the built-in servers encrypt nothing")

    def settings(self) -> Mapping[str, Any]:
        return {"journal_limit": self["JournalLimit"] * 1024}

    @classmethod
    def blueprints(cls, values: Mapping[str, Any]) -> Iterable[Blueprint]:
        return _daemons(values) if values["Servers"] == DAEMONS else cls._built_in(values)

    @classmethod
    def _built_in(cls, values: Mapping[str, Any]) -> Iterable[Blueprint]:
        beside = (ATTENDANT,)
        under = (STORE,) if values["Tree"] == "2000" else beside
        # A password that nobody knows is safer than one that everybody does
        first = {"MailboxPassword": secrets.token_urlsafe(12)}
        yield Blueprint("Information Store", STORE, beside, first)
        yield Blueprint(
            "Message Transfer Agent", MessageTransferAgent.type_name, beside, skip_if_in_cluster=True
        )
        yield Blueprint("Routing Service", RoutingService.type_name, beside)
        yield Blueprint("SMTP", "Exchange SMTP Virtual Server", under)
        yield Blueprint("HTTP", "Exchange HTTP Virtual Server", under)
        if values["Tree"] == "2000":
            yield Blueprint("IMAP4", "Exchange IMAP4 Virtual Server", under)
            yield Blueprint("POP3", "Exchange POP3 Virtual Server", under)
        yield Blueprint("Search", Search.type_name, (STORE,))


def _daemons(values: Mapping[str, Any]) -> Iterable[Blueprint]:
    """The tree of 2000; what routes and transfers mail there is Postfix here, and Dovecot searches."""
    under = (dovecot.STORE,)
    files = {name: values[name] for name in (certificate.FILE, certificate.KEY)}
    first = {"MailboxPassword": secrets.token_urlsafe(12)}
    yield Blueprint("Information Store", dovecot.STORE, (ATTENDANT,), first)
    yield Blueprint("SMTP", postfix.PostfixSMTP.type_name, under, files)
    yield Blueprint("IMAP4", dovecot.DovecotIMAP4.type_name, under, files)
    yield Blueprint("POP3", dovecot.DovecotPOP3.type_name, under, files)
    yield Blueprint("HTTP", nginx.NginxHTTP.type_name, under, files)


class InformationStore(ExchangeService):
    type_name = STORE
    description = "Owns the mail on the group's disk; the protocols read and write through it."
    icon = "database"
    single_per_group = True
    service = "store"
    properties: ClassVar[tuple[Property, ...]] = (
        port(1135, "calls of the protocols, and health page"),
        Property(
            "StorageGroups",
            kind="int",
            default=1,
            minimum=1,
            maximum=10,
            help="databases that the mailboxes are spread over; a node may hold so many in all",
        ),
        Property("Mailboxes", default="postmaster, alice, bob", help="names, separated by commas"),
        Property("MailboxPassword", secret=True, help="of all mailboxes; where empty, nobody can log in"),
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        for name in _mailboxes(values):
            if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or not name.isascii():
                raise PropertyError("Mailboxes", f"{name!r} cannot be the name of a mailbox")

    def settings(self) -> Mapping[str, Any]:
        return {
            "storage_groups": self["StorageGroups"],
            "mailboxes": _mailboxes({"Mailboxes": self["Mailboxes"]}),
            "password": self["MailboxPassword"] or "",
        }


def _mailboxes(values: Mapping[str, Any]) -> list[str]:
    """Names in lower case; postmaster is always among them (RFC 5321, 4.5.1)."""
    names = [name.strip().lower() for name in (values["Mailboxes"] or "").split(",")]
    return list(dict.fromkeys(["postmaster", *filter(None, names)]))


class MessageTransferAgent(ExchangeService):
    type_name = "Exchange Message Transfer Agent"
    description = "Carries mail from one virtual server to another: one in the cluster, for all."
    icon = "arrow-left-right"
    single_per_cluster = True
    service = "mta"
    properties: ClassVar[tuple[Property, ...]] = (
        port(2526, "takes mail of all virtual servers by SMTP"),
        Property("SmtpPort", kind="port", default=2525, help="where the virtual servers take mail"),
    )

    def settings(self) -> Mapping[str, Any]:
        return {"smtp_port": self["SmtpPort"]}

    async def check_health(self) -> None:
        said = await greeting(self.address, self["Port"])
        if not said.startswith("220 "):
            raise ResourceError(f"the transfer agent greets with {said!r}", CHECK_FAILED)


class RoutingService(ExchangeService):
    type_name = "Exchange Routing Service"
    description = "Hands mail for other virtual servers to the cluster's transfer agent."
    icon = "route"
    single_per_group = True
    service = "routing"
    properties: ClassVar[tuple[Property, ...]] = (
        port(1691, "health page"),
        Property("MtaPort", kind="port", default=2526, help="where the transfer agent takes mail"),
    )

    def settings(self) -> Mapping[str, Any]:
        return {"mta_port": self["MtaPort"]}


class Search(ExchangeService):
    type_name = "Exchange MS Search"
    description = "Indexes the words of all mail in the store."
    icon = "search"
    required_dependencies = (ATTENDANT, STORE)
    single_per_group = True
    service = "search"
    properties: ClassVar[tuple[Property, ...]] = (port(1136, "searches, and health page"),)
