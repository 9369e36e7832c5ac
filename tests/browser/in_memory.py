"""Pages of a seeded cluster, rendered in this process and shown to a real Chromium.

No server runs: each page is rendered once by the project's own views and handed to the browser
with its own headers (so the Content-Security-Policy holds), static files come from the disk,
the live feed is a line that stays quiet, and a part that a page fetches for itself stays as it
is. Whatever else a page asks for is written down.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Browser, Page, Route, WebSocketRoute

ORIGIN = "http://localhost"  # trusted without TLS; nothing ever listens, the browser is answered here
STATIC = "/static/"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as the project's views answered it."""

    headers: dict[str, str]
    content: bytes


@dataclass
class Shown:
    """`pages`: by address. `strangers`: asked for, and not ours. `complaints`: of the browser."""

    pages: dict[str, Rendered] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def render(self, client: Client, addresses: Iterator[str]) -> None:
        """Render each page for `client`; what answers with something else than a whole page is left out."""
        for address in addresses:
            response = client.get(address)
            whole = not response.streaming and response.content.startswith(b"<!doctype html>")
            if response.status_code == 200 and whole:
                self.pages[address] = Rendered(dict(response.headers), response.content)

    def answer(self, route: Route) -> None:
        """Hand the browser what it asks for."""
        url = urlsplit(route.request.url)
        asked = f"{url.path}?{url.query}" if url.query else url.path
        here = f"{url.scheme}://{url.netloc}" == ORIGIN
        if here and asked in self.pages:
            page = self.pages[asked]
            route.fulfill(status=200, headers=page.headers, body=page.content)
        elif here and (path := static_file(url.path)):
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            route.fulfill(status=200, content_type=kind, path=path)
        elif here and "hx-request" in route.request.headers:
            route.fulfill(status=204)
        else:
            self.strangers.append(route.request.url)
            route.abort()


def static_file(path: str) -> str | None:
    """The file on the disk behind an address of a static file."""
    found = finders.find(path.removeprefix(STATIC)) if path.startswith(STATIC) else None
    return str(found) if found else None


def _quiet(line: WebSocketRoute) -> None:
    """A live feed that is there and has nothing to tell; it answers nothing either."""
    line.send("0\n")


@contextmanager
def window(chromium: Browser, shown: Shown) -> Iterator[Page]:
    """A page of a browser that sees nothing but `shown`."""
    with chromium.new_context(base_url=ORIGIN, reduced_motion="reduce") as context:
        context.route("**/*", shown.answer)
        context.route_web_socket("**/*", _quiet)
        page = context.new_page()
        page.on("pageerror", lambda error: shown.complaints.append(f"{page.url}: script error: {error}"))
        page.on(
            "console",
            lambda message: (
                shown.complaints.append(f"{page.url}: {message.text}") if message.type == "error" else None
            ),
        )
        yield page
