"""Probes that do what a client does: greet, encrypt, log in, look into the mailbox.

Each takes LIMIT_S at most, and returns the certificate that the server presented (DER). The
errors carry what the server said, never what was said to it.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.exchange.health import CHECK_FAILED, LIMIT_S, LONGEST_LINE

NONE, STARTTLS, TLS = "none", "STARTTLS", "TLS"


@dataclass(frozen=True, slots=True)
class Login:
    """Whom a probe logs in as."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server takes clients, and how it encrypts: not at all, after STARTTLS, from the first byte."""

    address: str
    port: int
    encryption: str = NONE


class Conversation:
    """A line-oriented protocol with one server."""

    def __init__(self, where: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.where, self._reader, self._writer = where, reader, writer

    async def line(self) -> str:
        said = await self._reader.readline()
        if not said:
            raise ResourceError(f"{self.where} closed the connection", CHECK_FAILED)
        return said.decode("utf-8", "replace").rstrip()

    def send(self, text: str) -> None:
        self._writer.write(text.encode() + b"\r\n")

    async def expect(self, beginning: str, what: str) -> str:
        """The next line, which has to begin so."""
        said = await self.line()
        if not said.startswith(beginning):
            raise ResourceError(f"{self.where} {what}: {said[:200]!r}", CHECK_FAILED)
        return said

    async def reply(self, code: str, what: str) -> None:
        """A reply of SMTP, of several lines, which has to have the code (RFC 5321, 4.2.1)."""
        while (await self.expect(code, what))[3:4] == "-":
            pass

    async def tagged(self, tag: str, what: str) -> None:
        """IMAP's answers up to the one that ends a command, which has to be OK."""
        while not (said := await self.line()).startswith(f"{tag} "):
            pass
        if not said.startswith(f"{tag} OK"):
            raise ResourceError(f"{self.where} {what}: {said[:200]!r}", CHECK_FAILED)

    async def encrypt(self) -> None:
        """The handshake after STARTTLS."""
        await self._writer.start_tls(_tls())

    def certificate(self) -> bytes:
        """What the server presented (DER); empty where nothing is encrypted."""
        tls = self._writer.get_extra_info("ssl_object")
        return bytes(tls.getpeercert(binary_form=True) or b"") if tls is not None else b""


@cache
def _tls() -> ssl.SSLContext:
    """Any certificate will do: whether clients trust it is not the probe's to judge, its date is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def _talk(door: Door) -> AsyncIterator[Conversation]:
    where = f"{door.address}:{door.port}"
    async with _bounded(where):
        reader, writer = await asyncio.open_connection(
            door.address, door.port, limit=LONGEST_LINE, ssl=_tls() if door.encryption == TLS else None
        )
        try:
            yield Conversation(where, reader, writer)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def _bounded(where: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(LIMIT_S):
            yield
    except TimeoutError:
        raise ResourceError(f"{where} did not answer within {LIMIT_S:g} s", CHECK_FAILED) from None
    except ssl.SSLError as error:
        raise ResourceError(f"{where} does not encrypt: {error.reason or error}", CHECK_FAILED) from error
    except (OSError, ValueError) as error:
        raise ResourceError(f"{where} does not answer: {error}", CHECK_FAILED) from error


async def smtp(door: Door, login: Login) -> tuple[bytes, str]:
    """Greeting, STARTTLS, AUTH (RFC 4954).

    The text is why it takes no mail from anybody now, such as for want of space; empty where it does.
    """
    async with _talk(door) as talk:
        await talk.reply("220", "greets with")
        talk.send("EHLO clusterweb")
        await talk.reply("250", "answers EHLO with")
        if door.encryption == STARTTLS:
            talk.send("STARTTLS")
            await talk.reply("220", "refuses STARTTLS")
            await talk.encrypt()
            talk.send("EHLO clusterweb")
            await talk.reply("250", "answers EHLO with")
        word = base64.b64encode(f"\0{login.name}\0{login.password}".encode()).decode()
        talk.send(f"AUTH PLAIN {word}")
        await talk.reply("235", f"refuses the login of {login.name}")
        talk.send("MAIL FROM:<>")
        said = await talk.line()
        refusal = "" if said.startswith("250") else said[:200]
        talk.send("QUIT")
        await talk.reply("221", "answers QUIT with")
        return talk.certificate(), refusal


async def imap(door: Door, login: Login) -> bytes:
    """Greeting, STARTTLS, LOGIN and SELECT (RFC 3501)."""
    async with _talk(door) as talk:
        await talk.expect("* OK", "greets with")
        if door.encryption == STARTTLS:
            talk.send("a STARTTLS")
            await talk.tagged("a", "refuses STARTTLS")
            await talk.encrypt()
        talk.send(f"b LOGIN {login.name} {login.password}")
        await talk.tagged("b", f"refuses the login of {login.name}")
        talk.send("c SELECT INBOX")
        await talk.tagged("c", "cannot open a mailbox")
        talk.send("d LOGOUT")
        await talk.tagged("d", "answers LOGOUT with")
        return talk.certificate()


async def pop3(door: Door, login: Login) -> bytes:
    """Greeting, STLS (RFC 2595), USER, PASS and STAT (RFC 1939)."""
    async with _talk(door) as talk:
        await talk.expect("+OK", "greets with")
        if door.encryption == STARTTLS:
            talk.send("STLS")
            await talk.expect("+OK", "refuses STLS")
            await talk.encrypt()
        talk.send(f"USER {login.name}")
        await talk.expect("+OK", "refuses USER")
        talk.send(f"PASS {login.password}")
        await talk.expect("+OK", f"refuses the login of {login.name}")
        talk.send("STAT")
        await talk.expect("+OK", "cannot open a mailbox")
        talk.send("QUIT")
        await talk.expect("+OK", "answers QUIT with")
        return talk.certificate()


async def http(door: Door, path: str) -> bytes:
    """Any answer that is not the server's own failure will do."""
    async with _talk(door) as talk:
        host = f"[{door.address}]" if ":" in door.address else door.address
        talk.send(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n")
        status = (await talk.line()).split()
        if len(status) < 2 or not status[1].isdigit() or int(status[1]) >= 500:
            raise ResourceError(f"{talk.where} answers {' '.join(status)[:200]!r}", CHECK_FAILED)
        return talk.certificate()


async def lmtp(path: str, recipient: str) -> None:
    """A store takes mail for a mailbox: asked up to the recipient, nothing is delivered (RFC 2033)."""
    async with _bounded(path):
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
        try:
            talk = Conversation("the store", reader, writer)
            await talk.reply("220", "greets with")
            for text, what in (
                ("LHLO clusterweb", "answers LHLO with"),
                ("MAIL FROM:<>", "answers MAIL with"),
                (f"RCPT TO:<{recipient}>", f"has no mailbox {recipient}"),
            ):
                talk.send(text)
                await talk.reply("250", what)
            talk.send("QUIT")
            await talk.reply("221", "answers QUIT with")
        finally:
            writer.transport.abort()
