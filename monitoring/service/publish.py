"""What leaves the cluster service after a commit: messages to nodes, news for the browsers.

Nothing here may fail the caller: the change is committed. A message that is lost is sent
again by the next decision about its group; news that are lost are noticed by their number.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from channels.layers import get_channel_layer

from clusterweb.celery import app
from monitoring.core.messages import seal

if TYPE_CHECKING:
    from monitoring.service.lock import Held

log = logging.getLogger(__name__)

LIVE = "live"
"""The channel layer group on which changes are announced."""


def after_commit(held: Held) -> None:
    """Send what a finished transaction gathered. Never raises.

    Where one message cannot be sent the rest cannot either: a broker that hangs costs its
    patience once.
    """
    sent = all(
        send_task("node.command", f"node.{node}", [seal(node, message, key)])
        for node, key, message in held.messages
    )
    if held.dirty and sent:
        send_task("cluster.decide", "cluster", [sorted(held.dirty)])
    if held.groups or held.nodes or held.resources or held.operations:
        announce(held)


def send_task(name: str, queue: str, args: list[Any]) -> bool:
    """Put one task on a queue, or log why not; the database remembers what has to be sent."""
    try:
        app.send_task(name, args=args, queue=queue, ignore_result=True, retry=False)
    except Exception as error:  # any transport error: the change stands, and is sent again
        log.warning("%s to %s was not sent: %s", name, queue, error)
        return False
    return True


def announce(held: Held) -> None:
    """Tell all web processes what changed, by ids and the number of the newest event."""
    message = {
        "type": "live.changed",
        "seq": held.seq,
        "groups": sorted(held.groups),
        "nodes": sorted(held.nodes),
        "resources": sorted(held.resources),
        "operations": sorted(held.operations),
    }
    layer = get_channel_layer()
    if layer is not None:
        future = asyncio.run_coroutine_threadsafe(layer.group_send(LIVE, message), _loop())
        _announcing.add(future)
        future.add_done_callback(_announced)


_announcing: set[Future[Any]] = set()


def _announced(future: Future[Any]) -> None:
    _announcing.discard(future)
    if not future.cancelled() and (error := future.exception()) is not None:
        log.warning("a change was not announced: %s", error)


@atexit.register
def _let_announcements_leave() -> None:
    """A command that ends at once is heard of all the same."""
    wait(list(_announcing), timeout=1.0)


_lock = threading.Lock()
_running: asyncio.AbstractEventLoop | None = None


def _loop() -> asyncio.AbstractEventLoop:
    """An event loop on a thread of its own: the channel layer keeps its connection there."""
    global _running
    with _lock:
        if _running is None or _running.is_closed():
            _running = asyncio.new_event_loop()
            threading.Thread(target=_running.run_forever, name="announcer", daemon=True).start()
    return _running
