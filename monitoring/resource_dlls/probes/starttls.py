"""Asking a server for TLS in its own protocol.

Sources: RFC 3207 (SMTP), RFC 9051 (IMAP), RFC 2595 (POP3), RFC 4217 (FTP), and the
SSLRequest of PostgreSQL's protocol.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.resource_dlls.api import ResourceError


@dataclass(frozen=True, slots=True)
class Step:
    """What the client says, and how the line begins that ends a good answer."""

    say: bytes
    good: bytes


DIALOGUES: dict[str, Sequence[Step]] = {
    "smtp": (Step(b"", b"220 "), Step(b"EHLO clusterweb\r\n", b"250 "), Step(b"STARTTLS\r\n", b"220 ")),
    "imap": (Step(b"", b"* OK"), Step(b"a STARTTLS\r\n", b"a OK")),
    "pop3": (Step(b"", b"+OK"), Step(b"STLS\r\n", b"+OK")),
    "ftp": (Step(b"", b"220 "), Step(b"AUTH TLS\r\n", b"234 ")),
    "postgresql": (),
}
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
MOST_LINES = 100


async def ask_for_tls(
    protocol: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str
) -> None:
    """Go as far as the server waits for the handshake; ResourceError where it does not offer TLS."""
    if protocol == "postgresql":
        writer.write(SSL_REQUEST)
        if await reader.read(1) != b"S":
            raise ResourceError(f"{where} does not offer TLS")
        return
    for step in DIALOGUES[protocol]:
        writer.write(step.say)
        await _answer(step, protocol, reader, where)


async def _answer(step: Step, protocol: str, reader: asyncio.StreamReader, where: str) -> None:
    """Read up to the line that ends the answer; the others have "-" after the code, or begin with "*"."""
    for _ in range(MOST_LINES):
        try:
            line = await reader.readline()
        except ValueError:
            line = b""
        if line.startswith(step.good):
            return
        is_more = line[3:4] == b"-" or (line.startswith(b"* ") and bool(step.say))
        if not is_more:
            break
    said = line.decode("utf-8", "replace").strip()[:100]
    raise ResourceError(f"{where} does not offer TLS for {protocol}: it says {said!r}")
