"""One HTTP request over asyncio: small, bounded, and judged by its caller.

HTTP/1.1 with `Connection: close`; chunked answers are read. Nothing is kept between requests.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.probes.network import connect

LONGEST_BODY = 1 << 20
"""Bytes of a body that are looked at."""
MOST_HEADERS = 200
AGENT = "ClusterWeb"


@dataclass(frozen=True, slots=True)
class Request:
    """`connect`: where to connect, if that is not the host of the address."""

    method: str
    url: str
    headers: Mapping[str, str]
    connect: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes


async def fetch(request: Request, tls: ssl.SSLContext | None) -> Answer:
    """Send a request and read the answer. OSError where there is none; the caller bounds the time."""
    url = urlsplit(request.url)
    is_tls = url.scheme == "https"
    host = url.hostname or ""
    port = url.port or (443 if is_tls else 80)
    secure = {"ssl": tls, "server_hostname": host} if is_tls else {}
    reader, writer = await connect(request.connect or host, port, **secure)
    try:
        writer.write(_head(request, url))
        return await _read(reader, request.method)
    except asyncio.IncompleteReadError as error:
        raise ResourceError(f"{request.url} ended its answer too early") from error
    except (ValueError, asyncio.LimitOverrunError) as error:
        raise ResourceError(f"{request.url} does not speak HTTP: {error}") from error
    finally:
        writer.transport.abort()  # nothing to say any more, and nothing to linger for


def _head(request: Request, url: SplitResult) -> bytes:
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = {
        "Host": url.netloc.rpartition("@")[2],
        "User-Agent": AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    given = {name.title(): value for name, value in request.headers.items()}
    lines = [f"{request.method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**headers, **given}.items()]
    if request.method == "POST":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode()


async def _read(reader: asyncio.StreamReader, method: str) -> Answer:
    line = await _line(reader)
    version, _, rest = line.partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/") or not code.isdigit():
        raise ValueError(f"it begins with {line[:60]!r}")
    headers: dict[str, str] = {}
    while line := await _line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > MOST_HEADERS:
            raise ValueError("it sends too many headers")
    status = int(code)
    if 100 <= status < 200:
        return await _read(reader, method)
    has_body = method != "HEAD" and status not in (204, 304)
    return Answer(status, headers, await _body(reader, headers) if has_body else b"")


async def _line(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\n")).rstrip(b"\r\n").decode("latin-1")


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body, or its beginning where it is long."""
    if headers.get("transfer-encoding", "").lower().endswith("chunked"):
        return await _chunks(reader)
    length = headers.get("content-length")
    if length is not None:
        return await reader.readexactly(min(int(length), LONGEST_BODY))
    body = b""
    while len(body) < LONGEST_BODY and (part := await reader.read(LONGEST_BODY - len(body))):
        body += part
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await _line(reader)).partition(";")[0], 16):
        if size < 0:
            raise ValueError("it sends a chunk of a negative size")
        body += await reader.readexactly(min(size, LONGEST_BODY - len(body)))
        if len(body) >= LONGEST_BODY:
            return body
        await _line(reader)
    return body
