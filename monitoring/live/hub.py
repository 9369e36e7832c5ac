"""One hub in each web process: renders a change once, sends it to all who watch.

The cluster service announces each commit on the channel layer. The hub gathers what is
announced, renders for every topic, role and reading (language, time zone) that is being
watched what changed, one after the other in one thread of its own, and sends the same text
to all who watch it. Changes that arrive meanwhile are gathered and rendered together, so a
burst costs what the page can take and not more.

The announcement only wakes the hub: what a watcher was told is kept as the number of the
newest event. A look at that number every BACKSTOP seconds finds what a lost announcement
would have said, and a page that reconnects says where it stopped and gets all since.

A message is one line with the number of the newest event, then HTML. A line alone is a
sign of life. "REFETCH" after the number: too much changed, the page shall load itself anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from channels.layers import get_channel_layer
from django.db import close_old_connections

from monitoring.live import feed
from monitoring.live.topics import Change, Topic, render
from monitoring.live.visitor import Reading, Visitor
from monitoring.models.roles import Role
from monitoring.service.publish import LIVE

BACKSTOP = 1.5
"""Seconds between two looks at the newest event number, while somebody watches."""
LIFE_SIGN = 5.0
"""Seconds between signs of life; a page that gets none for 12 s knows that it is cut off."""
RETRY = 2.0
"""Seconds until the channel layer is tried again."""

log = logging.getLogger(__name__)
T = TypeVar("T")
Audience = tuple[Topic, Role, Reading]


@dataclass(eq=False)
class Watcher:
    """One open page. `since` is the number of the newest event that it shows."""

    visitor: Visitor
    topic: Topic
    since: int
    send: Callable[[str], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    reading: Reading
    gone: bool = False

    @property
    def audience(self) -> Audience:
        return self.topic, self.visitor.role, self.reading


@dataclass(eq=False)
class Hub:
    """Knows who watches what. All methods run on the event loop that made it."""

    watchers: dict[Audience, set[Watcher]] = field(default_factory=lambda: defaultdict(set))
    _arrived: list[Watcher] = field(default_factory=list)
    _pages: Counter[int] = field(default_factory=Counter)
    _change: Change | None = None
    _told: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "live-render"))

    def join(self, watcher: Watcher) -> None:
        """Start to watch: first comes what happened since `watcher.since`, then all that follows."""
        self._arrived.append(watcher)
        self._pages[watcher.visitor.user] += 1
        self._wake.set()
        if not self._tasks:
            self._tasks = [asyncio.create_task(run()) for run in (self._listen, self._pump, self._look_after)]

    def leave(self, watcher: Watcher) -> None:
        """Stop to watch; the last one to leave lets the hub rest."""
        if not watcher.gone:
            self._pages -= Counter([watcher.visitor.user])
        watcher.gone = True
        with contextlib.suppress(ValueError):
            self._arrived.remove(watcher)
        group = self.watchers.get(watcher.audience, set())
        group.discard(watcher)
        if not group:
            self.watchers.pop(watcher.audience, None)
        if not self._pages:  # one that is being welcomed stands in no other list
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def pages_of(self, user: int) -> int:
        """How many pages of this user are open."""
        return self._pages[user]

    def tell(self, change: Change) -> None:
        """Take note of a change; it is sent as soon as the one before is out."""
        self._change = change if self._change is None else self._change | change
        self._wake.set()

    async def _pump(self) -> None:
        """Send what is new, one batch after the other: nobody gets an older state after a newer."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            arrived, self._arrived = self._arrived, []
            change, self._change = self._change, None
            try:
                if change is not None and self.watchers:
                    await self._send_change(change)
                await self._welcome(arrived)
            except Exception as error:  # the database is away: what was to be sent waits
                log.warning("changes could not be read: %s", error)
                self._arrived += [w for w in arrived if w not in self.watchers.get(w.audience, ())]
                await asyncio.sleep(RETRY)
                self.tell(change or Change(0, 0))

    async def _send_change(self, change: Change) -> None:
        """Send `change`, and with it all that an announcement which was lost would have told."""
        if change.seq <= self._told and not (change.groups or change.nodes or change.resources):
            return  # the backstop found what was announced a moment later
        change = await self._in_thread(feed.complete, change, self._told)
        for audience, watching in list(self.watchers.items()):
            await self._send(watching, await self._render(audience, change))
        self._told = change.seq

    async def _welcome(self, arrived: list[Watcher]) -> None:
        """Bring newcomers up to date. Those who stopped at the same number share one rendering."""
        alike: dict[tuple[Audience, int], list[Watcher]] = defaultdict(list)
        for watcher in arrived:
            alike[watcher.audience, watcher.since].append(watcher)
        for (audience, since), watchers in alike.items():
            change = replace(await self._in_thread(feed.changes_since, since), catching_up=True)
            text = await self._render(audience, change)
            if not self.watchers:
                self._told = change.seq
            self.watchers[audience].update(w for w in watchers if not w.gone)
            await self._send(watchers, text)

    async def _render(self, audience: Audience, change: Change) -> str:
        if change.whole:
            return f"{change.seq} REFETCH\n"
        topic, role, reading = audience
        try:
            return f"{change.seq}\n{await self._in_thread(render, topic, change, role, reading)}"
        except Exception:
            log.exception("the changes of %s were not rendered; its pages load anew", topic)
            return f"{change.seq} REFETCH\n"

    async def _send(self, watchers: Iterable[Watcher], text: str) -> None:
        for watcher in list(watchers):
            try:
                await watcher.send(text)
            except Exception:  # the socket went away; its consumer will say so
                self.leave(watcher)

    async def _listen(self) -> None:
        """Hear what the cluster service announces. Without a broker the backstop goes on."""
        while True:
            try:
                layer = get_channel_layer()
                channel = await layer.new_channel()
                await layer.group_add(LIVE, channel)
                while True:
                    await self._hear(layer, channel)
            except Exception as error:
                log.warning("changes are not announced (%s); trying again in %g s", error, RETRY)
                await asyncio.sleep(RETRY)

    async def _hear(self, layer: Any, channel: str) -> None:
        """Take one announcement in; what is none of ours is passed over."""
        try:
            change = feed.announced(await layer.receive(channel))
        except Exception as error:  # the layer could not read what somebody put there
            log.warning("an announcement could not be read: %s", type(error).__name__)
            await asyncio.sleep(0.1)
            return
        if change is not None:
            self.tell(change)

    async def _look_after(self) -> None:
        """Find changes whose announcement was lost, show that the line is alive, end what has no right."""
        quiet = 0.0
        while True:
            await asyncio.sleep(BACKSTOP)
            quiet += BACKSTOP
            try:
                seq = await self._in_thread(feed.newest)
                if seq > self._told:
                    self.tell(Change(seq, self._told))
                if quiet >= LIFE_SIGN:
                    quiet = 0.0
                    await self._end_sessions()
                    await self._send(self._all(), f"{min(seq, self._told)}\n")
            except Exception as error:  # the database is away for a moment
                log.warning("the newest event could not be read: %s", error)

    async def _end_sessions(self) -> None:
        """Close the page of whoever signed out, was locked out or was given another role."""
        visitors = {watcher.visitor for watcher in self._all()}
        ended = await self._in_thread(feed.ended, visitors)
        for watcher in [w for w in self._all() if w.visitor in ended]:
            self.leave(watcher)
            await watcher.close()

    def _all(self) -> list[Watcher]:
        return [watcher for watching in self.watchers.values() for watcher in watching]

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        def call() -> T:
            close_old_connections()
            return function(*args)

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop; a server has one loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        for closed in [other for other in _hubs if other.is_closed()]:
            del _hubs[closed]
        _hubs[loop] = Hub()
    return _hubs[loop]
