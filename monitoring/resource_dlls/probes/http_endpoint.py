"""The HTTP Endpoint resource: online while a web address answers as it should."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import SplitResult, urljoin, urlsplit

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.probes import tls
from monitoring.resource_dlls.probes.base import TRIES, Probe
from monitoring.resource_dlls.probes.http_client import Answer, Request, fetch
from monitoring.resource_dlls.probes.network import connect

MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS = {"http": 80, "https": 443}


class HTTPEndpoint(Probe):
    type_name = "HTTP Endpoint"
    description = "A web address: its status, its text, its time to answer."
    icon = "globe"
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "URL",
            default="/",
            help="a whole address, or only its path: then it is asked at the group's address",
            details="https://www.example.com/health is asked where the name leads, or at Address where that "
            "is set. /health is asked at the group's IP Address, at Port, by HTTPS where TLS is set.",
        ),
        Property("Port", kind="port", default=80, help="where URL is a path only"),
        Property("TLS", kind="bool", default=False, help="ask by HTTPS, where URL is a path only"),
        Property(
            "Address",
            placeholder="the host of URL, or the group's IP Address",
            help="where to connect, whatever name URL has",
        ),
        Property("Method", default="GET", choices=("GET", "HEAD", "OPTIONS", "POST"), help="how it is asked"),
        Property(
            "Headers",
            help="further headers, as Name: value; several are parted by |",
        ),
        Property(
            "Authorization", secret=True, help="value of the header Authorization, such as Bearer and a token"
        ),
        Property("Status", default="200-299", help="what is good: numbers and ranges, parted by commas"),
        Property("Contains", help="text that the body has to contain"),
        Property("Matches", help="regular expression that something in the body has to match"),
        Property(
            "WarnLatency",
            kind="int",
            default=0,
            maximum=120_000,
            unit="ms",
            help="an answer that takes longer is a warning; 0: never",
        ),
        Property(
            "MaxLatency",
            kind="int",
            default=0,
            maximum=120_000,
            unit="ms",
            help="an answer that takes longer is no good one; 0: Timeout alone counts",
        ),
        Property(
            "Redirects",
            default="judge",
            choices=("judge", "follow", "follow on this host"),
            help="judge: a redirect is an answer as any other, and Status says whether it is good",
        ),
        tls.VERIFY,
        tls.CA_FILE,
        *TRIES,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        _check_url(values["URL"])
        read_headers(values["Headers"] or "")
        if "\n" in (values["Authorization"] or "") or "\r" in (values["Authorization"] or ""):
            raise PropertyError("Authorization", "a header has one line")
        read_status(values["Status"])
        try:
            re.compile(values["Matches"] or "")
        except re.error as error:
            raise PropertyError("Matches", f"it is not a regular expression: {error}") from None
        if values["Method"] == "HEAD" and (values["Contains"] or values["Matches"]):
            raise PropertyError("Method", "an answer to HEAD has no body for Contains and Matches")

    @property
    def url(self) -> str:
        given = str(self["URL"])
        if not given.startswith("/"):
            return given
        scheme = "https" if self["TLS"] else "http"
        host = f"[{self.target}]" if ":" in self.target else self.target
        port = "" if self["Port"] == DEFAULT_PORTS[scheme] else f":{self['Port']}"
        return f"{scheme}://{host}{port}{given}"

    @property
    def target(self) -> str:
        if self["Address"] or self["URL"].startswith("/"):
            return super().target
        return urlsplit(self["URL"]).hostname or ""

    async def looks_alive(self) -> bool:
        """The port takes a connection: cheap for the server too."""
        if not self._watches:
            return False
        url = urlsplit(self.url)
        try:
            async with asyncio.timeout(self["Timeout"]):
                _, writer = await connect(self.target, _port(url))
        except OSError:
            return False
        writer.transport.abort()
        return True

    async def probe(self) -> None:
        began = time.monotonic()
        answer = await self._fetch()
        took_ms = (time.monotonic() - began) * 1000
        self._judge(answer)
        most, warn = self["MaxLatency"], self["WarnLatency"]
        if most and took_ms > most:
            raise ResourceError(f"{self.url} took {took_ms:.0f} ms to answer, more than {most} ms")
        self.context.show("Status", str(answer.status))
        is_slow = bool(warn) and took_ms > warn
        self.context.show("Latency", f"slower than {warn} ms" if is_slow else "", level=1)

    async def _fetch(self) -> Answer:
        """The answer, redirects followed as Redirects says."""
        url, connect = self.url, self.target
        headers = read_headers(self["Headers"] or "")
        if self["Authorization"]:
            headers["Authorization"] = self["Authorization"]
        for _ in range(MOST_REDIRECTS + 1):
            try:
                answer = await fetch(Request(self["Method"], url, headers, connect), await self._context(url))
            except ssl.SSLError as error:
                raise ResourceError(f"{url}: {tls.in_words(error)}") from error
            where = answer.headers.get("location")
            if self["Redirects"] == "judge" or answer.status not in REDIRECTS or not where:
                return answer
            url, before = urljoin(url, where), url
            if not _is_same_place(url, before):
                if self["Redirects"] != "follow":
                    raise ResourceError(f"{before} redirects to another host: {url}")
                _check_redirect(url)
                connect = ""  # another host is where its own name leads
                headers.pop("Authorization", None)  # and is told no secret
        raise ResourceError(f"{self.url} redirects more than {MOST_REDIRECTS} times")

    async def _context(self, url: str) -> ssl.SSLContext | None:
        if not url.startswith("https:"):
            return None
        return await tls.client_context(self["VerifyTLS"], self["CAFile"])

    def _judge(self, answer: Answer) -> None:
        if not any(low <= answer.status <= high for low, high in read_status(self["Status"])):
            raise ResourceError(f"{self.url} answers with status {answer.status}, not {self['Status']}")
        body = answer.body.decode("utf-8", "replace")
        if self["Contains"] and self["Contains"] not in body:
            raise ResourceError(f"{self.url} answers without the text {self['Contains']!r}")
        if self["Matches"] and not re.search(self["Matches"], body):
            raise ResourceError(f"{self.url} answers with nothing that matches {self['Matches']!r}")


def _check_url(text: str) -> None:
    if any(c.isspace() or not c.isprintable() for c in text):
        raise PropertyError("URL", "an address has no spaces")
    if text.startswith("/"):
        return
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise PropertyError("URL", str(error)) from None
    if url.scheme not in DEFAULT_PORTS or not url.hostname:
        raise PropertyError("URL", f"{text!r} begins with neither http:// nor https:// nor /")
    if "@" in url.netloc:
        raise PropertyError("URL", "put the password into Authorization: an address is shown to everybody")


def _check_redirect(url: str) -> None:
    try:
        _check_url(url)
    except PropertyError as error:
        raise ResourceError(f"it redirects to what cannot be asked: {error.message}") from None


def _port(url: SplitResult) -> int:
    return url.port or DEFAULT_PORTS[url.scheme]


def _is_same_place(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    if first.scheme != second.scheme or first.scheme not in DEFAULT_PORTS:
        return False
    return (first.hostname, _port(first)) == (second.hostname, _port(second))


def read_status(text: str) -> list[tuple[int, int]]:
    """Ranges of status codes: "200-299, 301" is [(200, 299), (301, 301)]."""
    ranges = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?\s*", part)
        if found is None:
            raise PropertyError("Status", f"{part.strip()!r} is neither a status nor a range such as 200-299")
        ranges.append((int(found[1]), int(found[2] or found[1])))
    return ranges


def read_headers(text: str) -> dict[str, str]:
    headers = {}
    for part in filter(None, map(str.strip, text.split("|"))):
        name, colon, value = part.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`~-]+", name) or not value.isprintable():
            raise PropertyError("Headers", f"{part!r} is not a header of the form Name: value")
        headers[name] = value.strip()
    return headers
