"""Waiting for an operation: by watching its row, telling what happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitoring.models import Operation
from monitoring.service.queries.groups import group_list

LOOK_EVERY = 0.1


def wait(operation: Operation, timeout: float | None, tell: Callable[[str], None]) -> Operation:
    """Return the operation as it ended, or as it is after `timeout` seconds (None: no limit).

    `tell` gets each new line about what is under way, such as "taking SMTP offline, 3 of 9".
    """
    end = None if timeout is None else time.monotonic() + timeout
    told = ""
    while operation.state == "running" and (end is None or time.monotonic() < end):
        line = _doing(operation)
        if line and line != told:
            tell(line)
            told = line
        time.sleep(LOOK_EVERY)
        operation.refresh_from_db()
    return operation


def _doing(operation: Operation) -> str:
    """What the group of the operation, or each group that a drain moves, is at now."""
    ids = [operation.group_id] if operation.group_id else []
    if operation.resource is not None:
        ids = [operation.resource.group_id]
    if operation.kind == "drain":
        ids = list(operation.parts.filter(state="running").values_list("group_id", flat=True))
    lines = [f"{group.name}: {group.doing}" for group in group_list(ids=ids) if group.doing] if ids else []
    return "; ".join(lines)
