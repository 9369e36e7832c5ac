"""Celery application of the cluster service (the node agents have their own, without Django).

Tasks carry JSON only and have no results: what came of them stands in the database.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clusterweb.settings")

from celery import Celery
from django.conf import settings

app = Celery(
    "clusterweb",
    broker=settings.REDIS_URL,
    include=["monitoring.service.tasks", "monitoring.service.fencing.runner"],
)
app.conf.update(
    task_default_queue="cluster",
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    worker_prefetch_multiplier=16,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "visibility_timeout": 3600,
        "global_keyprefix": "clusterweb.",
        # Who sends while the broker is away learns it at once: the database sends again
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    },
)
