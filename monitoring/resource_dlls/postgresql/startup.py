"""The first words with a PostgreSQL server: whether it takes connections, without logging in.

The server's own code of an error is read here, which the client library does not tell of a connection
that failed, and which is the same in every language.

Source: the frontend/backend protocol 3.0, "Start-up"; error codes of appendix A.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass

VERSION_3 = 196608
LONGEST = 65_536

CANNOT_CONNECT_NOW = "57P03"
TOO_MANY_CONNECTIONS = "53300"
_LOGIN = ("28", "3D")
"""Classes of errors about who asks for what: the server itself takes connections."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """How the server answers. `code`: "" where it goes on with the login, else that of its error."""

    code: str = ""
    text: str = ""

    @property
    def is_ready(self) -> bool:
        return not self.code or self.code.startswith(_LOGIN)


async def greet(address: str, port: int, user: str, database: str) -> Greeting:
    """Ask for a connection, hear the first answer. OSError: there is none; the caller bounds the time."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        words = ("user", user, "database", database, "application_name", "clusterweb", "")
        body = struct.pack("!i", VERSION_3) + b"".join(word.encode() + b"\0" for word in words)
        writer.write(struct.pack("!i", len(body) + 4) + body)
        kind = await reader.readexactly(1)
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        if kind not in (b"R", b"E") or not 4 < length < LONGEST:
            raise ConnectionError(f"{address}:{port} does not speak PostgreSQL's protocol")
        content = await reader.readexactly(length - 4)
        await _leave(reader, writer)
    except asyncio.IncompleteReadError:
        raise ConnectionError(f"{address}:{port} closed the connection") from None
    finally:
        writer.transport.abort()
    return Greeting() if kind == b"R" else _error(content)


async def _leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait until the server has closed the connection too: it may be the last one that it takes."""
    with suppress(OSError):
        writer.write_eof()
        while await reader.read(LONGEST):
            pass


def _error(content: bytes) -> Greeting:
    """The fields of an ErrorResponse: a letter and a text each."""
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in content.split(b"\0") if part}
    return Greeting(fields.get(b"C", "XX000"), fields.get(b"M", ""))
