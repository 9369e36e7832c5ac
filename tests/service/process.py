"""A process of the product beside others: reads one command a line, answers one line of JSON.

Run as a program, with DATABASE_URL in its environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "clusterweb.settings"
django.setup()

from django.db import connection  # noqa: E402
from django.db.models import F  # noqa: E402

from monitoring.models import Node, Operation, Schedule, ScheduleRun  # noqa: E402
from monitoring.service import clock, intents  # noqa: E402
from monitoring.service.lock import UndoneError, cluster_lock  # noqa: E402
from monitoring.service.schedules import edits, runs  # noqa: E402
from monitoring.service.schedules.drafts import Draft  # noqa: E402

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


def plan(kind: str) -> None:
    """Maintenance of the cluster, or its end, is due now."""
    made = edits.create(
        Draft(kind=kind, at="2100-01-31 02:00", zone="UTC"), edits.Author("x", from_terminal=True)
    )
    due = clock.now() // 60 * 60
    first = f"{datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M}"
    Schedule.objects.filter(pk=made.pk).update(first=first, next_at=due)
    answer(schedule=made.pk)


def run() -> None:
    """What a worker does when it looks."""
    runs.run_due()
    told = ScheduleRun.objects.order_by("pk").values_list("title", "state", "operation__kind")
    answer(runs=list(told), operations=Operation.objects.filter(kind__endswith="maintenance").count())


def run_held() -> None:
    """The same, and wait before the commit."""
    with cluster_lock():
        runs.run_due()
        answer(ran=ScheduleRun.objects.count())
        sys.stdin.readline()


COMMANDS = {each.__name__: each for each in (hold, lock, beat, reports, session, pause, plan, run, run_held)}
for line in sys.stdin:
    name, *words = line.split()
    COMMANDS[name](*words)
