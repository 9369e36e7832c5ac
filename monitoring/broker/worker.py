"""The consumer of our Celery workers: reconnects promptly, takes only our tasks, never ends by itself.

A task of ours has one positional argument and nothing else: no callbacks, no time to run at,
no other task to run after it. Celery would obey all of these for whoever can write to the
broker; so the tasks that Celery brings along are taken out too, and there is no remote control.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

from celery import Celery
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection

from monitoring.broker.transport import MisfitError, refuse

logger = logging.getLogger(__name__)

CONF: dict[str, Any] = {
    "task_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "worker_consumer": f"{__name__}:StrictConsumer",
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
}
"""What a worker of ours needs for it."""

_ORDERS = ("callbacks", "errbacks", "chain", "chord")
_HEADERS = ("eta", "expires", "group", "chord", "stamps", "replaced_task_nesting", "timelimit")


def only_own_tasks(app: Celery) -> None:
    """Take out the tasks that Celery brings along (celery.map, celery.chord_unlock and others)."""
    app.finalize()
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)


def check(message: Any, tasks: Collection[str]) -> None:
    """Raise MisfitError where the message is no task of ours, in the form in which we send it."""
    headers = message.headers
    if headers.get("task") not in tasks:
        raise MisfitError("it asks for a task that is not there")
    if any(_asks(headers.get(name)) for name in _HEADERS):
        raise MisfitError("it asks for more than its task")
    if message.content_type != "application/json" or (message.content_encoding or "").lower() != "utf-8":
        raise MisfitError("it is no JSON")
    try:
        args, kwargs, embed = message.payload
    except Exception:
        raise MisfitError("its body is not that of a task") from None
    if not (isinstance(args, list) and len(args) == 1 and kwargs == {} and isinstance(embed, dict)):
        raise MisfitError("a task has one argument")
    if any(_asks(embed.get(name)) for name in _ORDERS):
        raise MisfitError("it asks for another task")


def _asks(value: object) -> bool:
    """True for anything but nothing: a list of Nones is nothing too."""
    return any(map(_asks, value)) if isinstance(value, list) else value not in (None, {}, 0, "")


class StrictConsumer(Consumer):
    """Reconnects within a second: the broker's absence is measured in leases, not in minutes.

    Whatever goes wrong with what lies on the broker is handled like a lost connection: an agent
    that ended would end all that its node runs.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lost: tuple[type[Exception], ...] = self.conninfo.connection_errors
        self.connection_errors = (Exception,)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        take = super().create_task_handler(*args, **kwargs)

        def taken(message: Any) -> None:
            try:
                check(message, self.strategies)
                take(message)
            except self._lost:
                raise
            except Exception as error:
                refuse(str(error) if isinstance(error, MisfitError) else f"{type(error).__name__}")
                message.ack_log_error(logger, self._lost)

        return taken

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if not isinstance(exc, self._lost):
            refuse(f"{type(exc).__name__}: {exc}")
        super().on_connection_error_after_connected(exc)

    def ensure_connected(self, conn: Connection) -> Connection:
        conn.ensure_connection(
            self._cannot_connect,
            callback=maybe_shutdown,
            interval_start=0.1,
            interval_step=0.2,
            interval_max=1.0,
        )
        self.first_connection_attempt = False
        return conn

    def _cannot_connect(self, error: Exception, interval: float) -> None:
        logger.warning("no broker: %s; next try in %.1f s", error, interval)
