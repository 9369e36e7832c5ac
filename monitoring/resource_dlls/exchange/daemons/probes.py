"""Probes that do what a client does: greet, encrypt, log in, look into the mailbox.

Each takes LIMIT_S at most, and returns the certificates that the server presented (DER). The
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


@dataclass(frozen=True, slots=True)
class Login:
    """Whom a probe logs in as."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens. `tls_port`: encrypted from the first byte; None: nothing is encrypted."""

    address: str
    port: int
    tls_port: int | None


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

    async def encrypt(self) -> bytes:
        """The handshake after STARTTLS; the server's certificate."""
        await self._writer.start_tls(_tls())
        return self.certificate()

    def certificate(self) -> bytes:
        found = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return bytes(found or b"")


@cache
def _tls() -> ssl.SSLContext:
    """Any certificate will do: whether clients trust it is not the probe's to judge, its date is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def _talk(address: str, port: int, *, tls: bool = False) -> AsyncIterator[Conversation]:
    where = f"{address}:{port}"
    async with _bounded(where):
        reader, writer = await asyncio.open_connection(
            address, port, limit=LONGEST_LINE, ssl=_tls() if tls else None
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


async def smtp(server: Server, login: Login) -> tuple[list[bytes], str]:
    """Greeting, STARTTLS, AUTH (RFC 4954); a greeting on the encrypted port.

    The text is why it takes no mail from anybody now, such as for want of space; empty where it does.
    """
    certificates: list[bytes] = []
    async with _talk(server.address, server.port) as talk:
        await talk.reply("220", "greets with")
        talk.send("EHLO clusterweb")
        await talk.reply("250", "answers EHLO with")
        if server.tls_port is not None:
            talk.send("STARTTLS")
            await talk.reply("220", "refuses STARTTLS")
            certificates.append(await talk.encrypt())
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
    return certificates + await _on_encrypted_port(server, "220"), refusal


async def imap(server: Server, login: Login) -> list[bytes]:
    """Greeting, STARTTLS, LOGIN and SELECT (RFC 3501)."""
    certificates: list[bytes] = []
    async with _talk(server.address, server.port) as talk:
        await talk.expect("* OK", "greets with")
        if server.tls_port is not None:
            talk.send("a STARTTLS")
            await talk.tagged("a", "refuses STARTTLS")
            certificates.append(await talk.encrypt())
        talk.send(f"b LOGIN {login.name} {login.password}")
        await talk.tagged("b", f"refuses the login of {login.name}")
        talk.send("c SELECT INBOX")
        await talk.tagged("c", "cannot open a mailbox")
        talk.send("d LOGOUT")
        await talk.tagged("d", "answers LOGOUT with")
    return certificates + await _on_encrypted_port(server, "* OK")


async def pop3(server: Server, login: Login) -> list[bytes]:
    """Greeting, STLS (RFC 2595), USER, PASS and STAT (RFC 1939)."""
    certificates: list[bytes] = []
    async with _talk(server.address, server.port) as talk:
        await talk.expect("+OK", "greets with")
        if server.tls_port is not None:
            talk.send("STLS")
            await talk.expect("+OK", "refuses STLS")
            certificates.append(await talk.encrypt())
        talk.send(f"USER {login.name}")
        await talk.expect("+OK", "refuses USER")
        talk.send(f"PASS {login.password}")
        await talk.expect("+OK", f"refuses the login of {login.name}")
        talk.send("STAT")
        await talk.expect("+OK", "cannot open a mailbox")
        talk.send("QUIT")
        await talk.expect("+OK", "answers QUIT with")
    return certificates + await _on_encrypted_port(server, "+OK")


async def http(server: Server, path: str) -> list[bytes]:
    """A page on each port; any answer that is not the server's own failure will do."""
    certificates = []
    for port in (server.port, server.tls_port):
        if port is None:
            continue
        async with _talk(server.address, port, tls=port != server.port) as talk:
            talk.send(f"GET {path} HTTP/1.0\r\nHost: {server.address}\r\n")
            status = (await talk.line()).split()
            if len(status) < 2 or not status[1].isdigit() or int(status[1]) >= 500:
                raise ResourceError(f"{talk.where} answers {' '.join(status)[:200]!r}", CHECK_FAILED)
            if port != server.port:
                certificates.append(talk.certificate())
    return certificates


async def _on_encrypted_port(server: Server, greeting: str) -> list[bytes]:
    if server.tls_port is None:
        return []
    async with _talk(server.address, server.tls_port, tls=True) as talk:
        await talk.expect(greeting, "greets with")
        return [talk.certificate()]


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
