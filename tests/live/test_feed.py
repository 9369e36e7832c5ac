"""The live feed, end to end in one process: sockets, hub, database, announcements."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.test import Client

from clusterweb.asgi import application
from monitoring.core.states import GroupState
from monitoring.live import hub as hub_module
from monitoring.live import topics
from monitoring.live.consumer import ENDED, SPOKE, UNKNOWN_TOPIC
from monitoring.live.visitor import Reading
from monitoring.models import Cluster, Group
from monitoring.models.roles import Role, grant
from monitoring.service import clock, journal
from monitoring.service.lock import cluster_lock
from monitoring.service.publish import LIVE
from tests.web import seed

TAG = re.compile(r"<[^>]*>")
pytestmark = pytest.mark.django_db(transaction=True)


def live(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine; pytest sees a function with the same fixtures."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async_to_sync(test)(*args, **kwargs)

    return run


@pytest.fixture
def made() -> seed.Seeded:
    return seed.cluster(clock.now(), probes=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "BACKSTOP", 0.1)
    monkeypatch.setattr(hub_module, "LIFE_SIGN", 0.2)


@database_sync_to_async
def cookie(made: seed.Seeded, who: str) -> str:
    client = Client()
    client.force_login(made.users[who])
    name, morsel = next(iter(client.cookies.items()))
    return f"{name}={morsel.value}"


@asynccontextmanager
async def watching(
    cookies: str, topic: str = "overview", since: int | None = None
) -> AsyncIterator[WebsocketCommunicator]:
    """A page on `topic` that shows everything up to event `since`, by default up to the newest."""
    if since is None:
        since = await newest()
    socket = WebsocketCommunicator(
        application,
        f"/live/?topic={topic}&since={since}",
        headers=[(b"cookie", cookies.encode()), (b"host", b"localhost"), (b"origin", b"http://localhost")],
    )
    await socket.connect()
    try:
        yield socket
    finally:
        await socket.disconnect()


@database_sync_to_async
def newest() -> int:
    return Cluster.objects.get().last_event


@database_sync_to_async
def fail(name: str, announce: bool = True, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """A group becomes Failed, as the cluster service writes it down."""
    with cluster_lock() as held:
        group = Group.objects.get(name=name)
        group.last_state = GroupState.FAILED
        group.save()
        journal.add(held, f"{name} failed.", group=group, code=1205)


async def html_after(socket: WebsocketCommunicator, words: str, timeout: float = 5) -> tuple[int, str]:
    """Number and HTML of the first message that contains `words`; signs of life are passed over."""
    async with asyncio.timeout(timeout):
        while True:
            number, _, html = (await socket.receive_from(timeout)).partition("\n")
            if words in TAG.sub("", html) or words in number:
                return int(number.split()[0]), html


async def closed_with(socket: WebsocketCommunicator) -> int:
    async with asyncio.timeout(5):
        while (message := await socket.receive_output(5))["type"] != "websocket.close":
            pass
        return int(message["code"])


@live
async def test_a_change_reaches_those_who_watch(made: seed.Seeded) -> None:
    async with watching(await cookie(made, "operator")) as socket:
        await html_after(socket, "")  # it is up to date
        before = await newest()
        await fail("EVS1")
        number, html = await html_after(socket, "EVS1 failed.")
        assert number == before + 1
        assert f'id="group-{made.groups["EVS1"].pk}"' in html
        assert f'id="group-{made.groups["EVS2"].pk}"' not in html  # only what changed
        assert "2 of 3 groups failed" in html


@live
async def test_a_page_that_reconnects_gets_what_it_missed(made: seed.Seeded) -> None:
    seen = await newest()
    await fail("EVS1")
    await fail("EVS2")
    async with watching(await cookie(made, "viewer"), since=seen) as socket:
        number, html = await html_after(socket, "EVS1 failed.")
        assert number == seen + 2
        assert "EVS2 failed." in TAG.sub("", html)


@live
async def test_a_change_whose_announcement_was_lost_arrives_all_the_same(
    made: seed.Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.service.publish.announce", lambda held: None)
    async with watching(await cookie(made, "viewer")) as socket:
        await fail("EVS2")
        await html_after(socket, "EVS2 failed.")


@live
async def test_a_viewer_gets_no_action_and_an_operator_does(made: seed.Seeded) -> None:
    async with (
        watching(await cookie(made, "viewer")) as viewer,
        watching(await cookie(made, "operator")) as operator,
    ):
        for socket in (viewer, operator):
            await html_after(socket, "")  # it is up to date
        await fail("EVS1")
        _, for_viewer = await html_after(viewer, "EVS1 failed.")
        _, for_operator = await html_after(operator, "EVS1 failed.")
    assert "data-dialog" not in for_viewer
    assert f"/groups/{made.groups['EVS1'].pk}/move/" in for_operator
    assert "/evict/" not in for_operator  # that is the administrator's


@live
async def test_a_change_is_rendered_once_for_all_who_watch_the_same(
    made: seed.Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[tuple[topics.Topic, Role]] = []
    real = topics.render

    def counting(topic: topics.Topic, change: topics.Change, role: Role, reading: Reading) -> str:
        rendered.append((topic, role))
        return real(topic, change, role, reading)

    cookies = await cookie(made, "viewer")
    async with watching(cookies) as one, watching(cookies) as two, watching(cookies) as three:
        for socket in (one, two, three):
            await html_after(socket, "")
        monkeypatch.setattr(hub_module, "render", counting)
        await fail("EVS1")
        texts = {(await html_after(socket, "EVS1 failed."))[1] for socket in (one, two, three)}
    assert len(texts) == 1
    assert rendered == [(topics.Topic("overview"), Role.VIEWER)]


@live
async def test_what_was_deleted_makes_the_page_load_anew(made: seed.Seeded) -> None:
    seen = await newest()

    @database_sync_to_async
    def delete() -> None:
        with cluster_lock() as held:
            group = Group.objects.create(name="SHORT-LIVED")
            journal.add(held, "SHORT-LIVED was deleted.", group=group)
            group.delete()

    await delete()
    async with watching(await cookie(made, "viewer"), since=seen) as socket:
        number, html = await html_after(socket, "REFETCH")
        assert (number, html) == (seen + 1, "")


@live
async def test_nobody_watches_without_a_role(made: seed.Seeded) -> None:
    for cookies in ("", await cookie(made, "stranger")):
        async with watching(cookies) as socket:
            assert await closed_with(socket) == ENDED


@live
async def test_an_unknown_topic_is_refused(made: seed.Seeded) -> None:
    for topic in ("secrets", "group:1;drop", "group:99999999999999999999"):
        async with watching(await cookie(made, "viewer"), topic) as socket:
            assert await closed_with(socket) == UNKNOWN_TOPIC


@live
async def test_signing_out_ends_the_feed(made: seed.Seeded) -> None:
    async with watching(await cookie(made, "operator")) as socket:
        await html_after(socket, "")
        await database_sync_to_async(Session.objects.all().delete)()
        assert await closed_with(socket) == ENDED


@live
async def test_another_role_ends_the_feed(made: seed.Seeded) -> None:
    async with watching(await cookie(made, "operator")) as socket:
        await html_after(socket, "")
        await database_sync_to_async(grant)(made.users["operator"], Role.VIEWER)
        assert await closed_with(socket) == ENDED


@live
async def test_a_foreign_origin_is_refused(made: seed.Seeded) -> None:
    socket = WebsocketCommunicator(
        application,
        "/live/?topic=overview&since=0",
        headers=[
            (b"cookie", (await cookie(made, "viewer")).encode()),
            (b"host", b"localhost"),
            (b"origin", b"http://evil.example"),
        ],
    )
    connected, _ = await socket.connect()
    assert not connected


@live
async def test_whatever_a_browser_sends_closes_its_own_page_and_no_other(made: seed.Seeded) -> None:
    sent: list[dict[str, Any]] = [
        *({"text": text} for text in ("", "\0", "{", '{"type": "websocket.disconnect"}', "[" * 100_000)),
        *({"bytes": data} for data in (b"", b"\xff" * 1000, bytes(range(256)))),
    ]
    async with watching(await cookie(made, "viewer")) as quiet:
        for frame in sent:
            async with watching(await cookie(made, "viewer")) as loud:
                await loud.send_input({"type": "websocket.receive", **frame})
                assert await closed_with(loud) == SPOKE
        await fail("EVS1")
        await html_after(quiet, "EVS1 failed.")


@live
async def test_announcements_that_are_none_of_ours_leave_the_page_live(made: seed.Seeded) -> None:
    async with watching(await cookie(made, "viewer")) as socket:
        await html_after(socket, "")
        layer = get_channel_layer()
        forged = {"type": "live.changed", "seq": 10**17, "groups": ["x"], "nodes": [], "resources": []}
        for message in ({}, forged, {**forged, "groups": []}):
            await layer.group_send(LIVE, message)
        await fail("EVS1")
        number, _ = await html_after(socket, "EVS1 failed.")
        assert number <= await newest()  # the number is the database's, not the forged one
