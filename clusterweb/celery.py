"""Celery application of the cluster service (the node agents have their own, without Django).

Tasks carry JSON only and have no results: what came of them stands in the database.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clusterweb.settings")

from celery import Celery
from django.conf import settings

from monitoring.broker import worker

# Connections to the database live on from task to task (Celery would open one for each); the
# tasks look whether they still work.
TASKS_A_CONNECTION = 10_000

app = Celery(
    "clusterweb",
    broker=settings.BROKER.kombu_url,
    include=["monitoring.service.tasks", "monitoring.service.fencing.runner"],
)
app.conf.update(
    **worker.CONF,
    task_default_queue="cluster",
    # One at a time: what a frozen worker holds in its hands is lost to the others
    worker_prefetch_multiplier=1,
    CELERY_DB_REUSE_MAX=TASKS_A_CONNECTION,
    **settings.BROKER.celery,
    broker_transport_options={
        **settings.BROKER.transport_options,
        # A message that a worker took with it when it died is not given out again an hour later:
        # whatever has to happen stands in the database, and nodes send anew what was not answered
        "ack_emulation": False,
        "socket_connect_timeout": 1,
        "socket_timeout": 2,  # a broker that is frozen, or gone without a word
        "socket_keepalive": True,
        "global_keyprefix": "clusterweb.",
        # Who sends while the broker is away learns it at once: the database sends again
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    },
)
worker.only_own_tasks(app)
