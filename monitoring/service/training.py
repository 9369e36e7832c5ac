"""Breaking things on purpose, on a demo of one machine: real signals to real processes.

Nothing here pretends: a killed process is dead, a frozen one does not answer, a frozen agent does
not renew its lease. Each freeze ends by itself, by a process that outlives this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitoring.core.model import Refused
from monitoring.models import Node, Resource
from monitoring.node import marks
from monitoring.service import journal
from monitoring.service.lock import cluster_lock

FREEZE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A resource that has processes now, and how many."""

    id: int
    name: str
    group: str
    node: str
    processes: int


def targets(home: Path) -> list[Target]:
    """What can be broken now: resources with processes on the nodes of this machine. One query."""
    found = _processes(home)
    rows = Resource.objects.filter(pk__in=found).select_related("group").order_by("group__name", "pk")
    return [Target(r.pk, r.name, r.group.name, *_where(found[r.pk])) for r in rows]


def _where(found: list[tuple[str, int]]) -> tuple[str, int]:
    return found[0][0], len(found)


def _processes(home: Path) -> dict[int, list[tuple[str, int]]]:
    """Node and pid of each process of a resource, by the resource."""
    found: dict[int, list[tuple[str, int]]] = {}
    for node in sorted((home / "nodes").glob("*/")):
        for process in marks.scan(str(node)):
            if process.resource:
                found.setdefault(process.resource, []).append((node.name, process.pid))
    return found


def nodes(home: Path) -> list[Node]:
    """The nodes whose agent runs on this machine."""
    return [node for node in Node.objects.order_by("pk") if _agent(home, node.name) is not None]


def _agent(home: Path, node: str) -> int | None:
    with suppress(OSError, ValueError, KeyError):
        pid = int(json.loads((home / "run" / f"agent-{node}.pid").read_text())["pid"])
        if b"monitoring.node" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def kill(home: Path, resource: int, by: str) -> str:
    """End the processes of a resource at once. What was done, in a sentence."""
    row, pids = _of(home, resource)
    _signal(pids, signal.SIGKILL)
    return _tell(f"Training: {by} killed the processes of {row.name}.", by, row)


def hang(home: Path, resource: int, by: str) -> str:
    """Freeze the processes of a resource for a while: its IsAlive gets no answer."""
    row, pids = _of(home, resource)
    _freeze(pids)
    return _tell(f"Training: {by} froze the processes of {row.name} for {FREEZE_SECONDS} s.", by, row)


def cut(home: Path, node: int, by: str) -> str:
    """Freeze the agent of a node for a while: it is not heard, and its lease runs out."""
    row = Node.objects.filter(pk=node).first()
    pid = _agent(home, row.name) if row else None
    if row is None or pid is None:
        raise Refused("node", "The agent of this node does not run on this machine.")
    _freeze([pid])
    with cluster_lock() as held:
        text = f"Training: {by} cut off {row.name} for {FREEZE_SECONDS} s."
        journal.add(held, text, node=row, by=by)
    return text


def heal(home: Path, by: str) -> str:
    """Let everything go on that was frozen. What was killed comes back by the cluster's own doing."""
    pids = [pid for found in _processes(home).values() for _, pid in found]
    pids += [pid for node in Node.objects.all() if (pid := _agent(home, node.name)) is not None]
    _signal(pids, signal.SIGCONT)
    with cluster_lock() as held:
        text = f"Training: {by} healed everything."
        journal.add(held, text, by=by)
    return text


def _of(home: Path, resource: int) -> tuple[Resource, list[int]]:
    row = Resource.objects.select_related("group").filter(pk=resource).first()
    pids = [pid for _, pid in _processes(home).get(resource, [])]
    if row is None or not pids:
        raise Refused("resource", "Nothing of this resource runs on this machine now.")
    return row, pids


def _tell(text: str, by: str, row: Resource) -> str:
    with cluster_lock() as held:
        journal.add(held, text, group=row.group, resource=row, by=by)
    return text


def _freeze(pids: Iterable[int]) -> None:
    """Stop the processes, and see to it first that they go on whatever becomes of this one."""
    words = [str(pid) for pid in pids]
    script = f'sleep {FREEZE_SECONDS}; kill -CONT "$@"'
    subprocess.Popen(["/bin/sh", "-c", script, "sh", *words], start_new_session=True)
    _signal(map(int, words), signal.SIGSTOP)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
