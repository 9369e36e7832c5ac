"""Connections of the probes, and work of theirs that may hang.

Asking for the addresses of a name blocks, and may for long where a name server is silent; so does a file on
storage that is gone. Each is done by a thread of its own: a shared pool would be full after a few that
hang, and then all probes would wait.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LONGEST_LINE = 1 << 16


async def in_own_thread(function: Callable[[], _T]) -> _T:
    """What `function` returns, or raises. Whoever stops waiting leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result, failed = None, None
        try:
            result = function()
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the loop was closed meanwhile, and nobody waits
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=work, name="probe", daemon=True).start()
    return await future


async def connect(host: str, port: int, **secure: Any) -> Streams:
    """A connection to a host, tried at each of its addresses; OSError where none takes one.

    `secure`: arguments of TLS; `server_hostname` has to be among them.
    """
    failed: OSError | None = None
    for address in await addresses_of(host):
        try:
            return await asyncio.open_connection(address, port, limit=LONGEST_LINE, **secure)
        except OSError as error:
            failed = error
    raise failed or OSError(f"{host} has no address")


async def addresses_of(host: str) -> list[str]:
    """The addresses of a host, as the node resolves its name."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await in_own_thread(functools.partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(each[4][0]) for each in found))
