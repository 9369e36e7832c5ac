"""Speaks to a Redis or Valkey server: a few commands at once over one connection (RESP 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

LONGEST_ANSWER = 1 << 20


class ServerError(Exception):
    """The server's answer to a command is an error. `code`: its first word, such as NOAUTH."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


Answer = str | int | None | ServerError


async def ask(address: str, port: int, *commands: Sequence[str]) -> list[Answer]:
    """The answers to some commands, in their order. OSError where the server does not answer.

    The caller bounds the time.
    """
    writer = None
    try:
        reader, writer = await asyncio.open_connection(address, port, limit=LONGEST_ANSWER)
        writer.write(b"".join(_encoded(command) for command in commands))
        return [await _answer(reader) for _ in commands]
    except (asyncio.IncompleteReadError, ValueError) as error:
        raise ConnectionError(f"{address}:{port} does not speak the protocol of Redis: {error}") from error
    finally:
        if writer is not None:
            writer.transport.abort()  # nothing to say any more, and nothing to linger for


def _encoded(command: Sequence[str]) -> bytes:
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


async def _answer(reader: asyncio.StreamReader) -> Answer:
    line = await reader.readuntil(b"\r\n")
    kind, text = line[:1], line[1:-2].decode("utf-8", "replace")
    if kind == b"+":
        return text
    if kind == b"-":
        return ServerError(text)
    if kind == b":":
        return int(text)
    if kind != b"$":
        raise ValueError(f"an answer begins with {line[:20]!r}")
    length = int(text)
    if length < 0:
        return None
    if length > LONGEST_ANSWER:
        raise ValueError(f"an answer of {length} bytes")
    return (await reader.readexactly(length + 2))[:-2].decode("utf-8", "replace")


def read_info(text: str) -> dict[str, str]:
    """The fields of an INFO answer."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, colon, value in pairs if colon}
