"""Two dashboards and two workers of the cluster service: one cluster, whichever of them one meets."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.cookiejar import CookieJar

import pytest
from pytest_django import DjangoDbBlocker

from clusterweb.run import leftovers, processes
from clusterweb.run.config import BASE_DIR, Config
from tests.cluster import stores
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import free_port, wait_until

pytestmark = pytest.mark.cluster

PATIENCE = 20.0


class Pair:
    """The cluster of an installation, with a second dashboard and a second worker beside it."""

    def __init__(self, live: LiveCluster, broker: str) -> None:
        self.live = live
        self.port = free_port()
        config = Config(live.home, "127.0.0.1", self.port, broker)
        own = {"CLUSTERWEB_PORT": str(self.port), leftovers.MARK: str(live.home)}
        env = {**live.env, **own}
        worker = [word.replace("service@", "second@") for word in processes.service()]
        self._started = [self._start(argv, env) for argv in (processes.web(config), worker)]
        self.urls = (live.url, f"http://127.0.0.1:{self.port}")
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        wait_until(self._answers, PATIENCE, "the second dashboard answers")

    def _start(self, argv: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, cwd=BASE_DIR, env=env, stdout=sys.stderr, stderr=sys.stderr)

    def _answers(self) -> bool:
        try:
            return bool(self.page(1))
        except OSError:
            return False

    def stop(self) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait(30)

    def page(self, which: int, path: str = "/", form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(f"{self.urls[which]}{path}", data, {"Referer": self.urls[which]})
        with self._opener.open(request, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def sign_in(self, which: int) -> None:
        field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page(which, "/login/"))
        assert field is not None
        who = {"username": "operator", "password": self.live.passwords["operator"]}
        self.page(which, "/login/", {**who, "csrfmiddlewaretoken": field[1]})

    def move(self, which: int, group: str, node: str) -> None:
        """As a program does that has a name and a password."""
        token = base64.b64encode(f"operator:{self.live.passwords['operator']}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        address = f"{self.urls[which]}/api/v1/groups/{group}/move"
        request = urllib.request.Request(address, json.dumps({"node": node}).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 202

    def follow(self, which: int) -> socket.socket:
        """The live feed of an open overview."""
        host = self.urls[which].removeprefix("http://")
        names = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
        lines = [
            f"GET /live/?topic=overview&since={self.live.last_event()} HTTP/1.1",
            f"Host: {host}",
            f"Origin: {self.urls[which]}",
            f"Cookie: {names}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        ]
        name, _, port = host.partition(":")
        feed = socket.create_connection((name, int(port)), timeout=PATIENCE)
        feed.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += feed.recv(1)
        assert b" 101 " in head.split(b"\r\n")[0]
        return feed


def read_until(feed: socket.socket, text: str) -> str:
    """What the feed sends, up to `text`; TimeoutError where it does not come."""
    got = ""
    while text not in got:
        try:
            data = feed.recv(65536)
        except OSError as error:
            raise AssertionError(f"{error} after {got!r}") from None
        assert data, f"the feed ended: {got}"
        got += data.decode(errors="replace")
    return got


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Iterator[Pair]:
    with ExitStack() as stack:
        database = stack.enter_context(stores.postgresql())
        broker = stack.enter_context(stores.valkey())
        settings = {"DATABASE_URL": database, "CLUSTERWEB_REDIS_URL": broker}
        live = LiveCluster(tmp_path_factory.mktemp("pair") / "home", settings=settings)
        stack.enter_context(django_db_blocker.unblock())
        stack.callback(live.stop)
        live.start()
        pair = Pair(live, broker)
        stack.callback(pair.stop)
        yield pair


def test_who_signed_in_on_one_dashboard_is_known_to_the_other(pair: Pair) -> None:
    pair.sign_in(0)
    assert "Sign in" not in pair.page(1)
    assert "EVS1" in pair.page(1)


def test_what_is_done_on_one_dashboard_shows_at_once_on_the_other(pair: Pair) -> None:
    pair.sign_in(0)
    with closing(pair.follow(1)) as feed:
        pair.move(0, "EVS1", "NODE2")
        assert "EVS1" in read_until(feed, "EVS1")
    pair.live.wait_online("EVS1", "NODE2")


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_worker_goes_on_alone_when_the_other_is_frozen_or_killed(
    pair: Pair, number: signal.Signals
) -> None:
    target = "NODE1" if pair.live.owner("EVS2") == "NODE2" else "NODE2"
    records = len(pair.live.records("EVS1"))
    old = pair.live.kill("service", number)
    try:
        pair.move(1, "EVS2", target)
        pair.live.wait_online("EVS2", target, timeout=15)
        assert len(pair.live.records("EVS1")) == records, "no node was lost for it"
    finally:
        if number is signal.SIGSTOP:
            os.kill(old, signal.SIGCONT)
