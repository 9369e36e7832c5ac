"""A commit, until it is in the DOM of a page in Chromium, and on 500 screens at once.

One screen is a real browser; the others are WebSocket connections that note when the change
has come, in a process of their own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from playwright.sync_api import Page

from benchmarks import live
from benchmarks.figures import Figure, run, spread
from tests.browser.conftest import browser, log_in
from tests.cluster.installation import Installation

CHANGES = 20
SCREENS = 500
BUDGET = 0.150

WATCH = """name => {
  const column = document.getElementById(name);
  window.seen = new Promise(done => new MutationObserver(() => done(Date.now())).observe(
    column, {subtree: true, childList: true, attributes: true, characterData: true}));
}"""
"""The time of the next change below an element, as a promise."""


def measure() -> list[Figure]:
    with live.demo() as copy, browser() as chromium:
        page = chromium.new_page()
        log_in(page, copy.url, "admin", copy.passwords["admin"])
        page.locator("#link-state", has_text="Live").wait_for()
        alone = [change for _ in range(CHANGES) for change in _pause_and_resume(page)]
        cookie = "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())
        with _screens(copy, SCREENS - 1, cookie) as others:
            crowd = [change for _ in range(3) for change in _pause_and_resume(page, others)]
    return [
        *spread("commit until in the page's DOM", alone, BUDGET, ""),
        *spread(f"commit until on {SCREENS} screens", crowd, BUDGET, ""),
    ]


def _pause_and_resume(page: Page, others: subprocess.Popen[str] | None = None) -> Iterator[float]:
    """Pause NODE2 and resume it; seconds from each commit until the last screen has it."""
    from monitoring.models import Node
    from monitoring.service import intents

    node = Node.objects.get(name="NODE2").pk
    for kind in ("pause", "resume"):
        page.evaluate(WATCH, f"node-{node}-head")
        _say(others, "watch")
        with _commits() as committed:
            intents.submit(kind, by=live.BY, node=node)
        last = max(page.evaluate("window.seen") / 1000, _say(others, "when"))
        yield last - committed[0]
        time.sleep(0.3)


@contextmanager
def _commits() -> Iterator[list[float]]:
    """The times at which transactions of the cluster were committed in this process."""
    from monitoring.service import lock, publish

    times: list[float] = []
    told = publish.after_commit

    def note(held: lock.Held) -> None:
        times.append(time.time())
        told(held)

    with mock.patch.object(publish, "after_commit", note):
        yield times


@contextmanager
def _screens(copy: Installation, count: int, cookie: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.screen", str(copy.port), str(count), cookie]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as others:
        _answer(others)  # all are connected
        yield others
        others.terminate()


def _say(others: subprocess.Popen[str] | None, word: str) -> float:
    """Ask the other screens; their answer is a time."""
    if others is None:
        return 0.0
    assert others.stdin is not None
    others.stdin.write(word + "\n")
    others.stdin.flush()
    return _answer(others)


def _answer(others: subprocess.Popen[str]) -> float:
    assert others.stdout is not None
    return float(json.loads(others.stdout.readline()))


class Screen:
    """A WebSocket connection that notes when something comes."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.at = 0.0

    async def connect(self, port: int, cookie: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /live/?topic=overview&since=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
            f"Origin: http://127.0.0.1:{port}\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head.splitlines()[0], head
        self._kept = writer, asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            if len(data) > SIGN_OF_LIFE and not self.came.is_set():
                self.at = time.time()
                self.came.set()


SIGN_OF_LIFE = 40
"""Bytes up to which a message is a sign of life and not a change."""


async def watch(port: int, count: int, cookie: str) -> None:
    """Hold `count` screens open; answer "watch" and "when" on standard input."""
    screens = [Screen() for _ in range(count)]
    for screen in screens:
        await screen.connect(port, cookie)
    await asyncio.sleep(1)
    print("0", flush=True)
    while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if word == "watch":
            for screen in screens:
                screen.came.clear()
            print("0", flush=True)
        else:
            async with asyncio.timeout(30):
                await asyncio.gather(*(screen.came.wait() for screen in screens))
            print(json.dumps(max(screen.at for screen in screens)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        asyncio.run(watch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
    else:
        run(measure)
