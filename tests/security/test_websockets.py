"""Every WebSocket, from every page, for every caller: who is told something, and who nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import override_settings

from clusterweb.asgi import application
from monitoring.live import consumer, topics
from monitoring.live.consumer import ENDED, SPOKE, UNKNOWN_TOPIC
from monitoring.live.routing import urlpatterns
from monitoring.service import clock
from tests.security.table import CALLERS, WEBSOCKETS, Caller, reaches
from tests.security.test_urls import client_of
from tests.web import seed

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "localhost:8000"
OWN = f"http://{HOST}"
FOREIGN = (
    None,  # no browser
    "null",  # a file, or a sandboxed frame
    "http://evil.example",
    "http://localhost:8001",  # another program of the same machine
    "http://localhost",
    "http://localhost:8000.evil.example",
    "http://evil.example#http://localhost:8000",
    "http://user@localhost:8000",
    "ftp://localhost:8000",
    "http://[localhost:8000",
)


@pytest.fixture(scope="module", autouse=True)
def _pages_are_registered() -> Iterator[None]:
    import monitoring.web.topics  # noqa: F401

    yield


def test_every_websocket_has_a_row_and_every_row_a_websocket() -> None:
    assert {str(entry.pattern) for entry in urlpatterns} == set(WEBSOCKETS)


@pytest.fixture
def made() -> seed.Seeded:
    return seed.cluster(clock.now(), probes=False)


def cookies_of(caller: Caller, made: seed.Seeded) -> str:
    cookies = client_of(caller, made).cookies
    return "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())


async def answer(path: str, origin: str | None, cookies: str, host: str = HOST) -> Any:
    """ "refused" in the handshake, the close code, or the first line that came."""
    headers = [(b"host", host.encode()), (b"cookie", cookies.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    socket = WebsocketCommunicator(application, path, headers=headers)
    connected, _ = await socket.connect(timeout=5)
    if not connected:
        return "refused"
    message = await socket.receive_output(5)
    await socket.disconnect()
    return message["code"] if message["type"] == "websocket.close" else message["text"].partition("\n")[0]


@pytest.mark.parametrize("caller", CALLERS)
def test_a_page_of_this_site_is_told_what_its_user_may_see(made: seed.Seeded, caller: Caller) -> None:
    cookies = cookies_of(caller, made)
    for route, least in WEBSOCKETS.items():
        for kind in sorted(topics._renderers):
            path = f"/{route}?topic={kind}:1&since={len(made.lines)}"
            said = async_to_sync(answer)(path, OWN, cookies)
            assert said == (str(len(made.lines)) if reaches(caller, least) else ENDED), path


@pytest.mark.parametrize("caller", CALLERS)
def test_a_page_of_another_site_is_refused_whoever_is_signed_in(made: seed.Seeded, caller: Caller) -> None:
    cookies = cookies_of(caller, made)
    for route in WEBSOCKETS:
        for origin in FOREIGN:
            assert async_to_sync(answer)(f"/{route}?topic=overview", origin, cookies) == "refused", origin


def test_a_host_that_is_not_ours_is_refused_even_where_the_page_agrees(made: seed.Seeded) -> None:
    cookies = cookies_of(Caller.VIEWER, made)
    for host in ("evil.example", "evil.example:8000", "localhost:8000@evil.example", ""):
        said = async_to_sync(answer)("/live/?topic=overview", f"http://{host}", cookies, host)
        assert said == "refused", host


def test_over_https_a_page_that_came_without_it_is_refused(made: seed.Seeded) -> None:
    cookies = cookies_of(Caller.VIEWER, made)
    with override_settings(SESSION_COOKIE_SECURE=True):
        assert async_to_sync(answer)("/live/?topic=overview", OWN, cookies) == "refused"
        assert async_to_sync(answer)("/live/?topic=nothing", f"https://{HOST}", cookies) == UNKNOWN_TOPIC


def test_a_trusted_origin_is_let_in(made: seed.Seeded) -> None:
    cookies = cookies_of(Caller.VIEWER, made)
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://cluster.example"]):
        said = async_to_sync(answer)("/live/?topic=nothing", "https://cluster.example", cookies)
        assert said == UNKNOWN_TOPIC


@pytest.mark.parametrize(
    "query",
    [
        "",
        "topic=",
        "topic=secrets",
        "topic=group:1%20or%201=1",
        "topic=group:99999999999999999999",
        "topic=group:-1",
        "topic=overview&since=x",
        "topic=overview&since=99999999999999999999",
        "topic=%ff%fe&since=%00",
    ],
)
def test_what_is_no_topic_ends_the_socket(made: seed.Seeded, query: str) -> None:
    cookies = cookies_of(Caller.VIEWER, made)
    assert async_to_sync(answer)(f"/live/?{query}", OWN, cookies) == UNKNOWN_TOPIC


def test_a_page_that_speaks_is_closed(made: seed.Seeded) -> None:
    cookies = cookies_of(Caller.VIEWER, made)

    async def speak() -> int:
        headers = [(b"host", HOST.encode()), (b"cookie", cookies.encode()), (b"origin", OWN.encode())]
        socket = WebsocketCommunicator(application, "/live/?topic=overview", headers=headers)
        await socket.connect(timeout=5)
        await socket.send_to(text_data="hello")
        while (message := await socket.receive_output(5))["type"] != "websocket.close":
            pass
        return int(message["code"])

    assert async_to_sync(speak)() == SPOKE


def test_a_user_has_only_so_many_pages_open(made: seed.Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "MOST_OF_A_USER", 2)
    mine, others = cookies_of(Caller.VIEWER, made), cookies_of(Caller.OPERATOR, made)
    path = f"/live/?topic=overview&since={len(made.lines)}"

    async def open_pages() -> list[Any]:
        headers = [(b"host", HOST.encode()), (b"cookie", mine.encode()), (b"origin", OWN.encode())]
        sockets = [WebsocketCommunicator(application, path, headers=headers) for _ in range(2)]
        for socket in sockets:
            await socket.connect(timeout=5)
            await socket.receive_output(5)
        said = [await answer(path, OWN, mine), await answer(path, OWN, others)]
        for socket in sockets:
            await socket.disconnect()
        return [*said, await answer(path, OWN, mine)]

    newest = str(len(made.lines))
    assert async_to_sync(open_pages)() == [consumer.TOO_MANY, newest, newest]


def test_the_names_of_the_cookies_are_those_of_the_settings(made: seed.Seeded) -> None:
    """Otherwise every caller above would be an anonymous one."""
    assert f"{settings.SESSION_COOKIE_NAME}=" in cookies_of(Caller.VIEWER, made)
