"""The web server refuses what is too large, and cuts off what is too slow."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from clusterweb import web_server
from monitoring.service import clock
from tests.cluster.installation import free_port, wait_until
from tests.security.table import Caller
from tests.security.talkative import LONG
from tests.security.test_urls import TOKEN, client_of
from tests.web import seed

WITHIN = 1.5
SCRIPT = f"from clusterweb import web_server; web_server.READ_WITHIN = {WITHIN}; web_server.main()"
HEAD = b"POST /node/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A web server alone: neither database nor broker is needed to refuse something."""
    probe = HEAD + b"Content-Length: 2\r\n\r\n{}"
    yield from serve(SCRIPT, tmp_path_factory.mktemp("home"), probe, b"HTTP/1.1 400")


def serve(script: str, home: Path, probe: bytes, expected: bytes) -> Iterator[int]:
    """The port of a web server in a process of its own, once it answers `probe`."""
    chosen = free_port()
    hidden = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env["CLUSTERWEB_HOME"] = str(home)
    command = [sys.executable, "-c", script, "--bind", "127.0.0.1", "--port", str(chosen)]
    server = subprocess.Popen(command, cwd=settings.BASE_DIR, env=env)

    def answers() -> bool:
        try:
            return exchange(chosen, probe).startswith(expected)
        except OSError:
            return False

    wait_until(answers, 30, "the web server answers")
    yield chosen
    server.terminate()
    assert server.wait(15) is not None


def exchange(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send the parts and read what comes, until the other side is silent for long or has closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        for part in parts:
            try:
                wire.sendall(part)
            except OSError:
                break
            time.sleep(pause)
        found = b""
        wire.settimeout(WITHIN * 3)
        try:
            while chunk := wire.recv(65536):
                found += chunk
                if b"\r\n\r\n" in found and not found.startswith((b"HTTP/1.1 413", b"HTTP/1.1 408")):
                    break
        except (TimeoutError, ConnectionResetError):
            found = found or b"reset"
        return found


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(port: int) -> None:
    announced = HEAD + f"Content-Length: {web_server.MAX_BODY + 1}\r\n\r\n".encode()
    assert exchange(port, announced).startswith(b"HTTP/1.1 413")


def test_a_body_that_grows_too_large_is_refused(port: int) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    parts = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * (web_server.MAX_BODY // 65536 + 2)]
    assert exchange(port, *parts)[:12] in (b"HTTP/1.1 413", b"reset")


def test_a_body_of_the_largest_size_is_read(port: int) -> None:
    body = b"x" * web_server.MAX_BODY
    sent = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    assert exchange(port, sent, body).startswith(b"HTTP/1.1 400"), "it is read, and no exchange"


def test_a_header_that_never_ends_is_refused(port: int) -> None:
    assert not exchange(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"G", b"E", b"T", b" ", b"/", b" "] * 2,
        [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 12],
        [HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 12],
    ],
    ids=["nothing", "a line", "a head", "a body"],
)
def test_who_sends_too_slowly_is_cut_off(port: int, parts: list[bytes]) -> None:
    began = time.monotonic()
    found = exchange(port, *parts, pause=0.2)
    assert time.monotonic() - began < WITHIN * 2.5
    assert found in (b"", b"reset") or found.startswith(b"HTTP/1.1 408")


def test_an_answer_names_neither_the_server_nor_its_version(port: int) -> None:
    found = exchange(port, HEAD + b"Content-Length: 2\r\n\r\n{}").lower()
    assert b"\r\nserver:" not in found
    assert b"python" not in found and b"daphne" not in found and b"django" not in found


# WebSockets

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module")
def talking_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    chosen = "web_server.APPLICATION = 'tests.security.talkative:application'; web_server.main"
    yield from serve(
        SCRIPT.replace("web_server.main", chosen), tmp_path_factory.mktemp("home"), UPGRADE, b"HTTP/1.1 101"
    )


def frame(payload: bytes, first: bool = True, last: bool = True) -> bytes:
    """A frame of text as a client sends it, masked by zeros."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes([(0x80 if last else 0) | (1 if first else 0)]) + size + bytes(4) + payload


def say(port: int, *frames: bytes) -> tuple[bytes, bool]:
    """Open a WebSocket and take in the long thing; say the frames: what came, and whether it was cut."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(UPGRADE)
        heard = 0
        while heard < LONG:
            heard += len(wire.recv(1_000_000))
        found = b""
        try:
            for part in frames:
                wire.sendall(part)
            wire.settimeout(3)
            while more := wire.recv(100_000):
                found += more
        except TimeoutError:
            return found, False
        except OSError:
            pass
        return found, True


def test_a_long_list_is_sent_and_a_short_word_is_heard(talking_port: int) -> None:
    found, was_cut = say(talking_port, frame(b"hello"))
    assert b"heard hello" in found and not was_cut


@pytest.mark.parametrize(
    "frames",
    [
        [frame(b"x" * 5000)],
        [frame(b"x" * 3000), frame(b"x" * 3000)],
        [frame(b"x" * 1000, first=True, last=False), *[frame(b"x" * 1000, first=False, last=False)] * 5],
        [frame(b"", first=True, last=False), *[frame(b"", first=False, last=False)] * 5000],
    ],
    ids=["one message", "two messages", "fragments", "empty fragments"],
)
def test_who_says_much_is_cut_off(talking_port: int, frames: list[bytes]) -> None:
    found, was_cut = say(talking_port, *frames)
    assert was_cut
    assert len(found) < 3100, "what was within the limit may have been heard"


@pytest.mark.django_db
def test_a_form_with_too_many_fields_is_refused() -> None:
    client = client_of(Caller.ADMINISTRATOR, seed.cluster(clock.now(), probes=False))
    many = {f"field{number}": "x" for number in range(2000)}
    assert client.post("/groups/new/empty/", many, headers={"X-CSRFToken": TOKEN}).status_code == 400


@pytest.mark.django_db
def test_a_program_that_sends_too_much_is_told() -> None:
    client: Client = client_of(Caller.OPERATOR, seed.cluster(clock.now(), probes=False))
    response = client.post(
        "/api/v1/groups/EVS1/move",
        b'{"reason": "' + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}',
        "application/json",
        headers={"X-CSRFToken": TOKEN},
    )
    assert response.status_code == 413
    assert response["Content-Type"] == "application/problem+json"
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == web_server.MAX_BODY
