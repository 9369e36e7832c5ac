"""The agent as a Celery worker: it consumes the node's own queue, one task of one kind.

A command is handed to the monitor's loop and is done with; nothing waits in Celery. Messages
are not kept for redelivery after a crash: an agent that starts anew must not hear what was
said to its earlier life, and what still matters is sent again by the cluster service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from monitoring.broker import worker
from monitoring.broker.address import Address

Deliver = Callable[[object], None]


def make_app(node: str, broker: Address, deliver: Deliver) -> Celery:
    """The application of the agent of `node`; `deliver` gets each envelope, on the worker's thread."""
    app = Celery(f"node-{node}", broker=broker.kombu_url, fixups=[], set_as_current=True)
    queue = f"node.{node}"
    app.conf.update(
        **worker.CONF,
        task_queues=[Queue(queue, Exchange(queue), routing_key=queue)],
        task_create_missing_queues=True,
        worker_prefetch_multiplier=64,
        worker_redirect_stdouts=False,
        **broker.celery,
        broker_transport_options={
            **broker.transport_options,
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

    worker.only_own_tasks(app)
    return app
