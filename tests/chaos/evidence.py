"""What is left of a run: journals, mailboxes, history. Read here, judged in verdict.py."""

from __future__ import annotations

import imaplib
import json
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.clients import MAILBOX
from tests.chaos.rest import Rest
from tests.chaos.verdict import Ownership, Service

IMAP_PORT = 1143
PATIENCE = 20.0
GROUP_STATE_CHANGED = 1674
NOT_SERVING = ("fenced", "stop")
"""Entries that a service makes when it does not serve any more."""
PAGE = 500


def boot_time(wall: float) -> float:
    """A moment of the wall clock, which nobody sets during a run, by the boot clock."""
    return wall - time.time() + time.clock_gettime(time.CLOCK_BOOTTIME)


def beats(folder: Path) -> tuple[list[Service], dict[str, list[float]]]:
    """What the applications journalled (beat.py): each process, and each group's moments in order."""
    services: list[Service] = []
    moments: dict[str, list[float]] = defaultdict(list)
    for journal in sorted(folder.iterdir()):
        group, node, epoch, pid, _ = journal.name.split(".")
        # The last line of a process that was killed may not be whole.
        times = [int(line) / 1e9 for line in journal.read_text().split("\n")[:-1]]
        if times:
            services.append(Service(group, node, int(epoch), min(times), max(times), f"application {pid}"))
            moments[group] += times
    return services, {group: sorted(times) for group, times in moments.items()}


def exchange(shared: Path, group: str) -> list[Service]:
    """What the services of a virtual server journalled on its disk, each process one."""
    found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for journal in (shared / group / "journal").glob("*.jsonl"):
        for line in journal.read_text().split("\n")[:-1]:
            entry = json.loads(line)
            if entry["event"] not in NOT_SERVING:
                who = (entry["node"], entry["epoch"], entry["service"], entry["pid"])
                found[who].append(entry["monotonic"])
    ahead = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()  # the machine was suspended so long
    return [
        Service(group, node, epoch, min(times) + ahead, max(times) + ahead, f"{service} {pid}")
        for (node, epoch, service, pid), times in found.items()
    ]


def mailbox(address: str, password: str) -> list[str]:
    """The subjects of all mails that the virtual server hands out."""
    with imaplib.IMAP4(address, IMAP_PORT, timeout=PATIENCE) as server:
        server.login(MAILBOX, password)
        server.select("INBOX", readonly=True)
        _, parts = server.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    heads = [part[1].decode() for part in parts if isinstance(part, tuple)]
    return [head.partition(":")[2].strip() for head in heads]


def history(rest: Rest) -> list[dict[str, Any]]:
    """All events, oldest first."""
    found: list[dict[str, Any]] = []
    since = 0
    while True:
        answer = rest.get(f"events?since={since}&limit={PAGE}")
        found += answer["events"]
        if len(answer["events"]) < PAGE:
            return found
        since = answer["next"]


def ownerships(events: list[dict[str, Any]]) -> list[Ownership]:
    """Whose each group was, from when on, as the history tells it."""
    return [
        Ownership(event["group"], event["node"], boot_time(_seconds(event["at"])))
        for event in events
        if event["code"] == GROUP_STATE_CHANGED and event["group"]
    ]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
