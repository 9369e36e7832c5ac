"""The WebSocket of a page: lets the right ones in and passes on what the hub sends."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import User

from monitoring.live.hub import Watcher, hub
from monitoring.live.topics import Topic
from monitoring.live.visitor import Reading, Visitor
from monitoring.models.roles import role_of

ENDED = 4403
"""Close code: signed out, or no right to this. The page loads anew and is sent to the login."""
UNKNOWN_TOPIC = 4404
SPOKE = 4400
"""Close code: a page has nothing to say here."""
TOO_MANY = 4429
MOST_OF_A_USER = 1000
"""Pages that one user may have open on one web process."""


class LiveConsumer(AsyncWebsocketConsumer):
    """/live/?topic=group:5&since=123&lang=en&zone=UTC: the page on group 5 shows all up to event 123."""

    channel_layer_alias = "none"  # the hub listens, once for all
    watcher: Watcher | None = None

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        topic = Topic.parse(query.get("topic", [""])[0])
        since = query.get("since", ["0"])[0]
        reading = Reading.of(query.get("lang", [""])[0], query.get("zone", [""])[0])
        visitor = await database_sync_to_async(_visitor)(self.scope)
        await self.accept()  # first, so that the browser is shown the close code
        if visitor is None:
            await self.close(ENDED)
        elif topic is None or not (since.isascii() and since.isdigit() and len(since) < 19):
            await self.close(UNKNOWN_TOPIC)
        elif hub().pages_of(visitor.user) >= MOST_OF_A_USER:
            await self.close(TOO_MANY)
        else:
            self.watcher = Watcher(visitor, topic, int(since), self._push, self._end, reading)
            hub().join(self.watcher)

    async def disconnect(self, code: int) -> None:
        if self.watcher is not None:
            hub().leave(self.watcher)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """What is asked for goes over HTTP."""
        await self.close(SPOKE)

    async def _push(self, text: str) -> None:
        await self.send(text_data=text)

    async def _end(self) -> None:
        await self.close(ENDED)


def _visitor(scope: dict[str, Any]) -> Visitor | None:
    """The signed-in user of a scope that AuthMiddlewareStack filled, with a role; else None."""
    user = getattr(scope.get("user"), "_wrapped", None)  # a lazy object, filled by now
    session = scope.get("session")
    if not isinstance(user, User) or session is None or not session.session_key:
        return None
    role = role_of(user)
    if role is None:
        return None
    return Visitor(user.pk, session.session_key, user.get_session_auth_hash(), role)
