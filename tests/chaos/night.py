"""One run: a cluster starts, faults strike while mail is sent and groups are moved, all heals, is judged."""

from __future__ import annotations

import imaplib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from clusterweb.run.config import BASE_DIR
from tests.chaos import evidence, verdict
from tests.chaos.clients import Operator, Sender
from tests.chaos.fabric import NODES, Fabric
from tests.chaos.faults import Faults
from tests.chaos.parts import Parts
from tests.chaos.rest import Rest
from tests.chaos.verdict import Ownership
from tests.cluster.installation import wait_until

START_WITHIN = 120.0
SETTLE_WITHIN = 90.0
"""Seconds until all groups are Online after the last fault is undone."""
DELIVER_WITHIN = 150.0
"""Seconds until the last mail has arrived: the transfer agent waits up to a minute between two attempts."""
SERVERS = ("EVS1", "EVS2")
GROUPS = (*SERVERS, "APP1", "APP2", "APP3")
DASHBOARDS = (1, 2)


@dataclass
class Outcome:
    """What a run found."""

    violations: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def check(self, what: str, found: list[str]) -> None:
        self.lines.append(f"{what:<38} {len(found) or 'none'}")
        self.violations += [f"{what}: {each}" for each in found]

    def tell(self, what: str, value: object) -> None:
        self.lines.append(f"{what:<38} {value}")


class Night:
    """A run of `seconds` of faults under `seed`, in `folder`."""

    def __init__(
        self,
        folder: Path,
        fabric: Fabric,
        seed: int,
        seconds: float,
        port: int,
        plant: str = "",
        only: Sequence[str] = (),
    ) -> None:
        self._folder, self._fabric, self._seconds, self._only = folder, fabric, seconds, only
        self._rng = random.Random(seed)
        self._log = (folder / "night.log").open("w", buffering=1)
        self._began = time.monotonic()
        self.parts = Parts(folder, fabric, self._fork(), port, plant)
        self._shared, self._beats = folder / "shared", folder / "beats"
        self._shared.mkdir()
        self._beats.mkdir()
        self._addresses = {name: fabric.group_address(n) for n, name in enumerate(GROUPS, start=1)}

    def _fork(self) -> random.Random:
        """Chance for one who draws on a thread of its own."""
        return random.Random(self._rng.random())

    def _say(self, line: str) -> None:
        self._log.write(f"{time.monotonic() - self._began:8.2f} {line}\n")

    def run(self, tell: Callable[[str], None]) -> Outcome:
        try:
            made = self._start()
            up = time.monotonic() - self._began
            tell(f"The cluster is up after {up:.0f} s; faults for {self._seconds:g} s")
            return self._play(made, tell)
        finally:
            self._fabric.heal()
            self.parts.stop()
            self._log.close()

    # Start

    def _start(self) -> dict[str, Any]:
        self.parts.start_stores()
        wait_until(self._made_database, START_WITHIN, "PostgreSQL takes connections")
        plan = json.dumps(self._plan())
        prepared = subprocess.run(
            [sys.executable, "-m", "tests.chaos.prepare", plan],
            cwd=BASE_DIR,
            env=self.parts.server_env(1),
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
        )
        if prepared.returncode:
            raise RuntimeError(f"the cluster was not made: {prepared.stderr}")
        made: dict[str, Any] = json.loads(prepared.stdout)
        self.parts.start_servers()
        self.parts.start_agents()
        threading.Thread(target=self.parts.watch, daemon=True).start()
        urls = [self.parts.web_url(number) for number in DASHBOARDS]
        self._rest = Rest(urls, "admin", made["users"]["admin"])
        wait_until(self._is_settled, START_WITHIN, "all groups are Online", every=0.5)
        return made

    def _made_database(self) -> bool:
        with suppress(psycopg.OperationalError):
            address = self.parts.database_url.rpartition("/")[0] + "/postgres"
            with psycopg.connect(address, autocommit=True, connect_timeout=2) as connection:
                connection.execute("CREATE DATABASE clusterweb")
            return True
        return False

    def _plan(self) -> dict[str, Any]:
        """What prepare.py shall make: two virtual servers and an application with an address and a disk
        each, which are defences of their own; and two applications without."""
        beat = f"{sys.executable} -S -E {Path(__file__).with_name('beat.py')} {self._beats}"
        groups: list[dict[str, str]] = []
        for name in GROUPS:
            group = {"name": name, "kind": "exchange" if name in SERVERS else "application"}
            if name in (*SERVERS, "APP1"):
                group["address"] = self._addresses[name][0]
            groups.append(group)
        return {
            "nodes": NODES,
            "groups": groups,
            "mask": self._fabric.mask,
            "interface": self._addresses[GROUPS[0]][1],
            "shared": str(self._shared),
            "beat": beat,
        }

    def _is_settled(self) -> bool:
        try:
            groups = self._rest.get("groups")
            nodes = self._rest.get("nodes")
        except OSError:
            return False
        groups = groups["groups"] if isinstance(groups, dict) else groups
        nodes = nodes["nodes"] if isinstance(nodes, dict) else nodes
        self._last_seen = [f"{g['name']} {g['state']} on {g['owner']}" for g in groups]
        up = all(node["state"] == "Up" for node in nodes)
        return up and all(group["state"] == "Online" for group in groups) and not self.parts.missing()

    # Faults, and after

    def _play(self, made: dict[str, Any], tell: Callable[[str], None]) -> Outcome:
        senders = [
            Sender(name, self._addresses[name][0], [s for s in SERVERS if s != name], self._fork())
            for name in SERVERS
        ]
        operator = Operator(self._rest, GROUPS, self._fork(), self._say)
        faults = Faults(self.parts, self._fork(), self._say, self._only)
        for thread in (*senders, operator, faults):
            thread.start()
        time.sleep(self._seconds)
        faults.stop()
        operator.stop()
        healed = time.monotonic()
        self._say("all faults are undone")
        operator.resume_all()
        outcome = Outcome()
        with suppress(AssertionError):
            wait_until(self._is_settled, SETTLE_WITHIN, "", every=0.25)
        settled = self._is_settled()
        outcome.tell("seconds to settle", f"{time.monotonic() - healed:.1f}")
        if not settled:
            missing = self.parts.missing()
            outcome.violations.append(f"not settled: {self._last_seen}; not running: {missing}")
        for sender in senders:
            sender.stop()
        outcome.tell("faults", sum(faults.done.values()))
        outcome.lines += [f"  {name:<36} {number}" for name, number in sorted(faults.done.items())]
        tell("Everything is healed; the check reads the journals")
        self._judge(outcome, made, senders, operator)
        return outcome

    def _judge(
        self, outcome: Outcome, made: dict[str, Any], senders: list[Sender], operator: Operator
    ) -> None:
        services, moments = evidence.beats(self._beats)
        for server in SERVERS:
            services += evidence.exchange(self._shared, server)
        events = evidence.history(self._rest)
        newest = self._rest.get("cluster")["last_event"]
        numbers = [event["seq"] for event in events if event["seq"] <= newest]
        outcome.tell("processes that journalled", len(services))
        outcome.check("two nodes served one group", verdict.overlaps(services))
        outcome.check("served under an older epoch", verdict.old_epochs(services))
        owners = self._first_owners() + evidence.ownerships(events)
        outcome.check("served against the history", verdict.not_in_history(services, owners))
        outcome.tell("events in the history", len(numbers))
        outcome.check("gaps in the history", verdict.gaps_in_numbers(numbers, newest))
        acknowledged = {mail: group for sender in senders for mail, group in sender.acknowledged.items()}
        outcome.tell("mails acknowledged", len(acknowledged))
        outcome.tell("mails not acknowledged", sum(sender.failed for sender in senders))
        outcome.check(
            "acknowledged mails that are missing", self._missing_mails(acknowledged, made["mailboxes"])
        )
        outcome.tell("actions accepted", len(operator.accepted))
        outcome.tell("actions refused, unanswered", f"{operator.refused}, {operator.unanswered}")
        outcome.check("accepted actions without an end", self._without_end(operator))
        gaps = {group: verdict.longest_gap(times) for group, times in moments.items()}
        outcome.tell(
            "longest time without service, s", ", ".join(f"{g} {s:.1f}" for g, s in sorted(gaps.items()))
        )

    def _first_owners(self) -> list[Ownership]:
        """Before anything happened; prepare.py has put the groups there."""
        return [Ownership(group, NODES[n % len(NODES)], 0.0) for n, group in enumerate(GROUPS)]

    def _missing_mails(self, acknowledged: dict[str, str], passwords: dict[str, str]) -> list[str]:
        """Those that do not arrive. Mail between virtual servers may be on its way for a while."""
        deadline = time.monotonic() + DELIVER_WITHIN
        while True:
            boxes: dict[str, list[str]] = {}
            for name in SERVERS:
                with suppress(OSError, imaplib.IMAP4.error):  # one that does not answer hands out nothing
                    boxes[name] = evidence.mailbox(self._addresses[name][0], passwords[name])
            missing = verdict.missing(acknowledged, boxes)
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(1.0)

    def _without_end(self, operator: Operator) -> list[str]:
        running = []
        for number, what in operator.accepted.items():
            operation = self._rest.get(f"operations/{number}")
            if operation["state"] == "running":
                running.append(f"operation {number}, {what}")
        return running
