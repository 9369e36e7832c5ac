"""The two paths to the cluster service. Each has a thread, so that a path that hangs holds up nobody.

The first is the broker: each message is a task on the service's queue. The second is HTTP to
the dashboard, for when the broker does not answer; its answers come back at once.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from urllib.parse import urlsplit

from celery import Celery
from kombu.connection import Connection
from kombu.messaging import Producer

from monitoring.core.messages import Upward, seal
from monitoring.node.keys import Keys
from monitoring.node.outbox import Batch
from monitoring.node.settings import Settings

logger = logging.getLogger(__name__)

Path = Callable[[Sequence[Upward]], list[object]]
"""Sends messages and returns the envelopes that came in answer; raises where it cannot."""
PATH = "/node/messages"
HTTP_TIMEOUT = 2.0
LARGEST = 64 * 2**20
"""Bytes of an answer over HTTP at most."""


class Courier:
    """Carries one batch at a time over one path. All methods are called on the loop."""

    def __init__(
        self,
        name: str,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Batch, list[object] | None], None],
    ) -> None:
        self.busy = False
        self._name = name
        self._path = path
        self._loop = loop
        self._done = done
        self._failing = False
        self._batches: SimpleQueue[Batch] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def send(self, batch: Batch) -> None:
        """Send while not busy; `done` is called with the answers, or None where it was not sent."""
        self.busy = True
        self._batches.put(batch)

    def _work(self) -> None:
        while batch := self._batches.get():
            answers: list[object] | None = None
            try:
                answers = self._path(batch.messages)
            except Exception as error:  # whatever the library raises: it is tried again
                if not self._failing:
                    logger.warning("the %s path fails: %s", self._name, error)
                self._failing = True
            else:
                if self._failing:
                    logger.warning("the %s path works again", self._name)
                self._failing = False
            try:
                self._loop.call_soon_threadsafe(self._finished, batch, answers)
            except RuntimeError:
                return  # the loop has ended

    def _finished(self, batch: Batch, answers: list[object] | None) -> None:
        self.busy = False
        self._done(batch, answers)


class BrokerPath:
    """Tasks `cluster.receive` on the queue `cluster`."""

    def __init__(self, app: Celery, settings: Settings, keys: Keys) -> None:
        self._app = app
        self._node = settings.node
        self._keys = keys
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def __call__(self, messages: Sequence[Upward]) -> list[object]:
        try:
            if self._producer is None:
                self._connection = self._app.connection_for_write()
                self._producer = self._app.amqp.Producer(self._connection)
            for message in messages:
                self._app.send_task(
                    "cluster.receive",
                    args=[seal(self._node, message, self._keys.present)],
                    queue="cluster",
                    ignore_result=True,
                    retry=False,
                    producer=self._producer,
                )
        except Exception:
            self._drop()
            raise
        return []

    def _drop(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()


class HttpPath:
    """POST of sealed messages to the dashboard, which answers with sealed messages."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._url = urlsplit(settings.service_url)
        self._node = settings.node
        self._keys = keys

    def __call__(self, messages: Sequence[Upward]) -> list[object]:
        key = self._keys.present
        body = json.dumps({"messages": [seal(self._node, m, key) for m in messages]})
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.netloc, timeout=HTTP_TIMEOUT)
        try:
            connection.request("POST", self._url.path + PATH, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read(LARGEST + 1)
        finally:
            connection.close()
        if response.status != 200:
            raise OSError(f"the dashboard answered {response.status} {response.reason}")
        if len(text) > LARGEST:
            raise OSError("the dashboard's answer is too large")
        answer = json.loads(text)
        envelopes = answer.get("messages") if isinstance(answer, dict) else None
        if not isinstance(envelopes, list):
            raise OSError("the dashboard's answer is not one of a cluster service")
        return envelopes
