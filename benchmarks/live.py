"""A running demo cluster for a measurement, and groups of generic resources in it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.installation import Installation, wait_until

if TYPE_CHECKING:
    from monitoring.models import Group, Resource

BY = "benchmark"
LOOK_EVERY = 0.002
"""Seconds between two looks at the database: the resolution of what is measured so."""


@contextmanager
def demo() -> Iterator[Installation]:
    """The demo in a fresh home; Django is set up on its database from then on."""
    folder = Path(tempfile.mkdtemp(prefix="clusterweb-bench-"))
    copy = Installation(folder / "home")
    try:
        copy.start()
        os.environ["CLUSTERWEB_HOME"], os.environ["CLUSTERWEB_PORT"] = str(copy.home), str(copy.port)
        os.environ["DJANGO_SETTINGS_MODULE"] = "clusterweb.settings"
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # the browser's driver keeps a loop in this thread
        import django

        django.setup()
        yield copy
    finally:
        copy.stop()
        shutil.rmtree(folder, ignore_errors=True)


def make_group(name: str, size: int, node: str, home: Path) -> Group:
    """A group of `size` applications, each after the one before it, online on `node`.

    In an order because Pacemaker's groups are; with no delay before a restart because
    Pacemaker has none.
    """
    from monitoring.models import Node
    from monitoring.service import topology

    group = topology.create_group({"name": name}, by=BY)
    topology.set_preferred_owners(group.pk, [Node.objects.get(name=node).pk], by=BY)
    before: Resource | None = None
    for number in range(1, size + 1):
        before = topology.create_resource(
            group.pk,
            "Generic Application",
            {"name": f"{name} {number}", "restart_delay_ms": 0},
            properties={"CommandLine": "sleep 86400", "CurrentDirectory": str(home)},
            requires=[[before.pk]] if before else [],
            by=BY,
        )
    operate("online", group=group.pk)
    return group


def operate(kind: str, *, group: int | None = None, node: int | None = None) -> float:
    """Ask for something as an operator does, wait until it is done. Returns the seconds that took."""
    from monitoring.models import Operation
    from monitoring.service import intents

    began = time.perf_counter()
    operation = intents.submit(kind, by=BY, reason="measurement", group=group, node=node).operation
    states = Operation.objects.filter(pk=operation.pk)

    def finished() -> str:
        state, outcome = states.values_list("state", "outcome").get()
        if state in ("failed", "superseded"):
            raise AssertionError(f"{kind}: {outcome}")
        return "" if state == "running" else str(state)

    look_until(finished, 30, f"{kind} is carried out")
    return time.perf_counter() - began


def look_until(condition: Callable[[], object], timeout: float, what: str) -> None:
    """As the tests' wait_until, looking often enough for a measurement."""
    wait_until(condition, timeout, what, every=LOOK_EVERY)


def is_online(group: Group, node: int | None = None) -> bool:
    """The group is online and at rest, on a node where one is given."""
    from monitoring.core.states import GroupState

    group.refresh_from_db()
    here = node is None or group.owner_id == node
    return here and group.last_state == GroupState.ONLINE and not group.transit_kind
