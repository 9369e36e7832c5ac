"""Health checks of network services, each within a bounded time.

They run on the monitor's event loop and cost one connection to the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from monitoring.resource_dlls.api import ResourceError

CHECK_FAILED = 2074
LIMIT_S = 5.0
LONGEST_LINE = 4096


async def greeting(address: str, port: int) -> str:
    """The first line that a server says to a client."""
    async with _connection(address, port) as (reader, _):
        return (await reader.readline()).decode("utf-8", "replace").strip()


async def http_status(address: str, port: int, path: str) -> tuple[int, str]:
    """Status and first line of the body that a server answers a GET request with."""
    async with _connection(address, port) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        status = (await reader.readline()).split()
        if len(status) < 2 or not status[1].isdigit():
            raise ResourceError(f"{address}:{port} does not speak HTTP", CHECK_FAILED)
        while (await reader.readline()).strip():
            pass
        return int(status[1]), (await reader.readline()).decode("utf-8", "replace").strip()


@asynccontextmanager
async def _connection(
    address: str, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection for the time of a check; ResourceError where the server takes none or is silent."""
    writer = None
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_connection(address, port, limit=LONGEST_LINE)
            yield reader, writer
    except TimeoutError:
        raise ResourceError(f"{address}:{port} did not answer within {LIMIT_S:g} s", CHECK_FAILED) from None
    except (OSError, ValueError) as error:
        raise ResourceError(f"{address}:{port} does not answer: {error}", CHECK_FAILED) from error
    finally:
        if writer is not None:
            writer.transport.abort()  # nothing to say any more, and nothing to linger for
