"""A whole cluster of real processes for tests: started as an operator starts it, watched, broken.

It is looked at through its own database (the models, read only) and acted upon through the
command line, the browser, signals and mail.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from clusterweb.run import leftovers
from clusterweb.run.config import BASE_DIR
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Event, FailoverRecord, Group, Node, Resource
from monitoring.node import marks

START_WITHIN = 120.0
STOP_WITHIN = 90.0
LOOK_EVERY = 0.05
LIVE = "live"
"""Alias of the running cluster's database."""


def wait_until(condition: Callable[[], Any], timeout: float, what: str) -> Any:
    """Return the first true value of `condition`; AssertionError saying `what` did not happen in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(LOOK_EVERY)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LiveCluster:
    """One copy of the product in a home and on a port of its own."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output: list[str] = []
        self.user = self.password = ""
        self._supervisor: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    # Life

    @property
    def env(self) -> dict[str, str]:
        hidden = ("DJANGO_SETTINGS_MODULE", "CLUSTERWEB_REDIS_URL", "DATABASE_URL")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return {**kept, "CLUSTERWEB_HOME": str(self.home), "CLUSTERWEB_PORT": str(self.port)}

    def start(self) -> float:
        """Start it and wait until all groups have come up. Returns the seconds that took."""
        began = time.monotonic()
        self.output.clear()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "clusterweb.run"],
            cwd=BASE_DIR,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._supervisor,), daemon=True)
        self._reader.start()
        wait_until(self._is_up, START_WITHIN, f"the cluster starts:\n{''.join(self.output)}")
        self._open_database()
        return time.monotonic() - began

    def _read(self, supervisor: subprocess.Popen[str]) -> None:
        assert supervisor.stdout is not None
        for line in supervisor.stdout:
            self.output.append(line)
            if " with the password " in line:
                words = line.split()
                self.user, self.password = words[words.index("as") + 1], words[-1]

    def _is_up(self) -> bool:
        assert self._supervisor is not None
        if self._supervisor.poll() is not None:
            raise AssertionError(f"the supervisor ended:\n{''.join(self.output)}")
        return any("Ctrl-C stops everything" in line for line in self.output)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does; returns the exit code."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            return 0
        self._supervisor.send_signal(number)
        code = self._supervisor.wait(STOP_WITHIN)
        if self._reader:
            self._reader.join(5)
        return code

    def left_running(self) -> dict[int, str]:
        """Processes that belong to this home (pid: command)."""
        return leftovers.find(self.home)

    def _open_database(self) -> None:
        # The browser's driver keeps an event loop in the test's thread, where Django would
        # else refuse to read; nothing is shared with it.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        connections.databases[LIVE] = {
            **connections.databases["default"],
            "NAME": str(self.home / "clusterweb.sqlite3"),
            "CONN_MAX_AGE": None,
        }

    # Look

    def group(self, name: str) -> Group:
        return Group.objects.using(LIVE).select_related("owner").get(name=name)

    def groups(self) -> list[Group]:
        return list(Group.objects.using(LIVE).select_related("owner"))

    def owner(self, group: str) -> str:
        owner = self.group(group).owner
        return owner.name if owner else ""

    def is_online(self, group: str, on: str = "") -> bool:
        """The group is Online, at rest, and on node `on` where that is given."""
        row = self.group(group)
        here = row.owner is not None and (not on or row.owner.name == on)
        return here and row.last_state == GroupState.ONLINE and not row.transit_kind

    def resource(self, group: str, type_name: str) -> Resource:
        found = Resource.objects.using(LIVE).select_related("type", "group")
        return found.get(group__name=group, type__name=type_name)

    def resource_is_online(self, group: str, type_name: str) -> bool:
        return self.resource(group, type_name).state == ResourceState.ONLINE

    def last_event(self) -> int:
        newest = Event.objects.using(LIVE).order_by("-seq").first()
        return newest.seq if newest else 0

    def events(self, after: int = 0, **filters: Any) -> list[Event]:
        """Events in order, newest last."""
        return list(Event.objects.using(LIVE).filter(seq__gt=after, **filters).order_by("seq"))

    def story(self, after: int = 0) -> str:
        """The history as text, for the message of a failed assertion."""
        return "\n".join(
            f"{e.seq} {e.code} {e.group_name} {e.node_name}: {e.text}" for e in self.events(after)
        )

    def records(self, group: str, after: int = 0) -> list[FailoverRecord]:
        """Failover records of a group, newest last; `after` is the id of an earlier one."""
        found = FailoverRecord.objects.using(LIVE).filter(group__name=group, pk__gt=after)
        return list(found.order_by("pk"))

    def last_record(self, group: str) -> int:
        records = self.records(group)
        return records[-1].pk if records else 0

    # Act

    def cli(self, *words: str, check: bool = True) -> Any:
        """`manage.py cluster WORDS --json`, as the operator of the machine; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", "cluster", *words, "--json"],
            cwd=BASE_DIR,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"cluster {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def wait_online(self, group: str, on: str = "", timeout: float = 30.0) -> None:
        where = f" on {on}" if on else ""
        began = self.last_event()
        try:
            wait_until(lambda: self.is_online(group, on), timeout, f"{group} Online{where}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(began - 30)}") from None

    def calm_down(self) -> None:
        """Bring every group home: all nodes Up, each group Online on the first of its preferred owners."""
        wait_until(self.all_nodes_up, 30, "all nodes Up")
        for group in self.groups():
            home = group.preferences.using(LIVE).select_related("node").first()
            if home is None:
                continue
            if not self.is_online(group.name, home.node.name):
                if group.owner != home.node:
                    self.cli("move", group.name, home.node.name, check=False)
                self.cli("online", group.name)
            self.wait_online(group.name, home.node.name)

    def all_nodes_up(self) -> bool:
        return all(node.state == NodeState.UP for node in Node.objects.using(LIVE).all())

    # Processes

    def pid(self, name: str) -> int:
        """Process id of `web`, `service`, `broker` or `agent-NODE1`."""
        noted = json.loads((self.home / "run" / f"{name}.pid").read_text())
        return int(noted["pid"])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_restarted(self, name: str, old: int, timeout: float = 20.0) -> int:
        """Wait until the supervisor has started `name` anew; returns its process id."""

        def new_pid() -> int:
            try:
                pid = self.pid(name)
            except FileNotFoundError:
                return 0
            return pid if pid != old else 0

        return int(wait_until(new_pid, timeout, f"{name} is started again"))

    def node_processes(self, node: str) -> dict[int, int]:
        """What runs for a node's resources (pid: resource id), the agent's own helpers left out."""
        found = marks.scan(str(self.home / "nodes" / node))
        return {each.pid: each.resource for each in found if each.resource != marks.NO_RESOURCE}

    def resource_processes(self, group: str, type_name: str) -> list[int]:
        resource = self.resource(group, type_name)
        node = self.owner(group)
        return [pid for pid, owner in self.node_processes(node).items() if owner == resource.pk]

    def group_processes(self, group: str, node: str) -> list[int]:
        """Process ids of a group's resources on a node."""
        ids = set(Resource.objects.using(LIVE).filter(group__name=group).values_list("pk", flat=True))
        return [pid for pid, resource in self.node_processes(node).items() if resource in ids]

    @contextmanager
    def stopped(self, name: str) -> Iterator[int]:
        """A process frozen by SIGSTOP within the block."""
        pid = self.kill(name, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)
