"""A process of the product beside others: reads one command a line, answers one line of JSON.

Run as a program, with DATABASE_URL in its environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "clusterweb.settings"
django.setup()

from django.db import connection  # noqa: E402
from django.db.models import F  # noqa: E402

from monitoring.models import Node, Operation  # noqa: E402
from monitoring.service import intents  # noqa: E402
from monitoring.service.lock import UndoneError, cluster_lock  # noqa: E402

NODE1 = Node.objects.get(name="NODE1").pk


def answer(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def hold() -> None:
    """Change every node under the lock, and commit when told to."""
    try:
        with cluster_lock() as held:
            held.cluster.last_event += 1
            Node.objects.update(reports=F("reports") + 1)
            answer(holds=True)
            sys.stdin.readline()
    except UndoneError as error:
        answer(undone=str(error))
    else:
        answer(undone="")


def lock() -> None:
    began = time.monotonic()
    with cluster_lock():
        pass
    answer(seconds=time.monotonic() - began)


def beat() -> None:
    """What the cluster service does for a heartbeat."""
    began = time.monotonic()
    Node.objects.filter(pk=NODE1).update(heartbeat=F("heartbeat") + 1)
    answer(seconds=time.monotonic() - began)


def reports() -> None:
    answer(reports=Node.objects.get(pk=NODE1).reports)


def session() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        answer(pid=cursor.fetchone()[0])


def pause() -> None:
    accepted = intents.submit("pause", by="alice", node=NODE1)
    answer(state=accepted.operation.state, operations=Operation.objects.filter(kind="pause").count())


COMMANDS = {each.__name__: each for each in (hold, lock, beat, reports, session, pause)}
for line in sys.stdin:
    COMMANDS[line.strip()]()
