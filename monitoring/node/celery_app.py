"""The agent as a Celery worker: it consumes the node's own queue, one task of one kind.

A command is handed to the monitor's loop and is done with; nothing waits in Celery. Messages
are not kept for redelivery after a crash: an agent that starts anew must not hear what was
said to its earlier life, and what still matters is sent again by the cluster service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

logger = logging.getLogger(__name__)

Deliver = Callable[[object], None]


class PromptConsumer(Consumer):
    """Reconnects within a second: the broker's absence is measured in leases, not in minutes."""

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


def make_app(node: str, broker_url: str, deliver: Deliver) -> Celery:
    """The application of the agent of `node`; `deliver` gets each envelope, on the worker's thread."""
    app = Celery(f"node-{node}", broker=broker_url, fixups=[], set_as_current=True)
    queue = f"node.{node}"
    app.conf.update(
        task_queues=[Queue(queue, Exchange(queue), routing_key=queue)],
        task_create_missing_queues=True,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        worker_prefetch_multiplier=64,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_consumer=f"{__name__}:PromptConsumer",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "ack_emulation": False,
            "global_keyprefix": "clusterweb.",
            "socket_connect_timeout": 1,
            "socket_timeout": 5,
            "socket_keepalive": True,
        },
    )

    @app.task(name="node.command", ignore_result=True)
    def command(envelope: Any) -> None:
        deliver(envelope)

    return app
