"""The processes of the cluster, and a supervisor that starts what has died, a while later."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clusterweb.run.broker import find_server
from clusterweb.run.config import BASE_DIR
from monitoring.node import marks
from tests.chaos.fabric import BROKER, DATABASE, FRONT, NODES, SECOND, Fabric

LOOK_EVERY = 0.05
RESTART_AFTER = (0.2, 3.0)
"""Seconds between the death of a process and its next start."""
INITDB = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
"""Of each PostgreSQL on this machine, the newest last."""
SERVICES, WEBS = ("service1", "service2"), ("web1", "web2")
PASSWORD = "chaos"


@dataclass
class Part:
    """One process, in its place. `due`: when it is to be started again."""

    name: str
    place: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None
    due: float | None = None
    starts: int = 0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None


class Parts:
    """All processes of a run. Their logs and homes lie in `folder`."""

    def __init__(self, folder: Path, fabric: Fabric, rng: random.Random, port: int, plant: str) -> None:
        self.folder, self.fabric, self.port = folder, fabric, port
        self.home = folder / "home"
        self._rng = rng
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._held: set[str] = set()
        """Names of parts that are not to be started at the moment."""
        self.all: dict[str, Part] = {}
        self._plant = plant
        (folder / "logs").mkdir()
        self.home.mkdir(mode=0o700)
        self._database_programs = INITDB[-1].parent
        self._data = folder / "postgresql"

    # What there is

    @property
    def database_url(self) -> str:
        return f"postgres://clusterweb@{self.fabric.address(DATABASE)}:{self.port + 1}/clusterweb"

    @property
    def broker_url(self) -> str:
        return f"redis://:{PASSWORD}@{self.fabric.address(BROKER)}:{self.port + 2}/0"

    def web_port(self, number: int) -> int:
        """Both listen on one port where they have an address each."""
        return self.port + (0 if self.fabric.can_cut else 3 * (number - 1))

    def web_url(self, number: int) -> str:
        return f"http://{self.fabric.address((FRONT, SECOND)[number - 1])}:{self.web_port(number)}"

    def server_env(self, number: int) -> dict[str, str]:
        """The environment of the cluster service and the dashboard, of which there are two each."""
        return {
            **_clean(os.environ),
            "CLUSTERWEB_HOME": str(self.home),
            "CLUSTERWEB_PORT": str(self.web_port(number)),
            "CLUSTERWEB_ALLOWED_HOSTS": "*",
            "CLUSTERWEB_REDIS_URL": self.broker_url,
            "DATABASE_URL": self.database_url,
            "MALLOC_ARENA_MAX": "2",
        }

    def _agent_env(self, node: str, second_path: int) -> dict[str, str]:
        env = {
            **_clean(os.environ),
            "CLUSTERWEB_NODE": node,
            "CLUSTERWEB_NODE_HOME": str(self.node_home(node)),
            "CLUSTERWEB_NODE_KEY_FILE": str(self.node_home(node) / "key"),
            "CLUSTERWEB_REDIS_URL": self.broker_url,
            "CLUSTERWEB_SERVICE_URL": self.web_url(second_path),
            "CLUSTERWEB_NAMES": str(self.home / "names"),
            "MALLOC_ARENA_MAX": "2",
        }
        if self._plant:
            plant = Path(__file__).parent / "plants" / self._plant
            env["PYTHONPATH"] = f"{plant}:{BASE_DIR}"
        return env

    def node_home(self, node: str) -> Path:
        return self.home / "nodes" / node

    # Life

    def start_stores(self) -> None:
        """A fresh PostgreSQL and an empty Valkey."""
        self._data.mkdir(mode=0o700)
        user = "postgres" if os.geteuid() == 0 else None
        if user is not None:
            self.folder.chmod(0o755)
            shutil.chown(self._data, user, user)
        initdb = [self._database_programs / "initdb", "--pgdata", self._data, "--auth", "trust", "--no-sync"]
        self._run_as(user, [*map(str, initdb), "--username", "clusterweb"])
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.77.0.0/16 trust\n")
        port, address = str(self.port + 1), self.fabric.address(DATABASE)
        postgres = [str(self._database_programs / "postgres"), "-D", str(self._data), "-p", port]
        self.add(
            Part(DATABASE, DATABASE, [*postgres, "-k", "", "-c", f"listen_addresses={address}"], user=user)
        )
        listen = ["--bind", self.fabric.address(BROKER), "--port", str(self.port + 2)]
        valkey = [find_server(), *listen, "--requirepass", PASSWORD, "--save", "", "--appendonly", "no"]
        self.add(Part(BROKER, BROKER, valkey))

    def start_servers(self) -> None:
        """Two workers of the cluster service and two dashboards, one of each in each of two places."""
        worker = ["-m", "celery", "--app", "clusterweb", "worker", "--pool", "solo", "--queues", "cluster"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
        for number, place in enumerate((FRONT, SECOND), start=1):
            env = self.server_env(number)
            argv = [sys.executable, *worker, *quiet, "--hostname", f"service{number}@%h"]
            self.add(Part(SERVICES[number - 1], place, argv, env))
            bind = ["--bind", self.fabric.address(place), "--port", str(self.web_port(number))]
            web = [sys.executable, "-m", "clusterweb.web_server", *bind]
            self.add(Part(WEBS[number - 1], place, web, env))

    def start_agents(self) -> None:
        for number, node in enumerate(NODES):
            env = self._agent_env(node, second_path=1 + number % 2)
            self.add(Part(node, node, [sys.executable, "-m", "monitoring.node"], env))

    def add(self, part: Part) -> None:
        with self._lock:
            self.all[part.name] = part
            self._start(part)

    def _start(self, part: Part) -> None:
        part.due = None
        part.starts += 1
        with (self.folder / "logs" / f"{part.name}.log").open("ab") as log:
            part.process = subprocess.Popen(
                self.fabric.command(part.place, [*_as_user(part.user), *part.argv]),
                cwd=BASE_DIR,
                env=dict(part.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _run_as(self, user: str | None, argv: list[str]) -> None:
        subprocess.run([*_as_user(user), *argv], check=True, capture_output=True, cwd=self._data)

    def watch(self) -> None:
        """Start what has died, after a while; runs on a thread of its own."""
        while not self._stop.wait(LOOK_EVERY):
            with self._lock:
                for part in self.all.values():
                    self._look_after(part)

    def _look_after(self, part: Part) -> None:
        if part.pid is not None or part.name in self._held or self._stop.is_set():
            return
        if part.due is None:
            part.due = time.monotonic() + self._rng.uniform(*RESTART_AFTER)
        elif time.monotonic() >= part.due:
            self._start(part)

    def missing(self) -> list[str]:
        return [part.name for part in self.all.values() if part.pid is None]

    # What is done to them

    def send(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a part; False where it does not run."""
        with self._lock:
            pid = self.all[name].pid
            return pid is not None and _kill(pid, number)

    def guard(self, node: str) -> int | None:
        """Process id of the node's guard."""
        with suppress(OSError, ValueError):
            pid = int((self.node_home(node) / "guard.lock").read_text())
            if b"monitoring.node.guard" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def helpers(self, node: str) -> list[int]:
        """The agent's own children: the parent of services."""
        found = marks.scan(str(self.node_home(node)))
        return sorted(each.pid for each in found if each.resource == marks.NO_RESOURCE)

    def services_of(self, node: str) -> list[int]:
        """What runs for the groups on the node."""
        found = marks.scan(str(self.node_home(node)))
        return sorted(each.pid for each in found if each.resource != marks.NO_RESOURCE)

    def stop(self) -> None:
        """End everything: agents in order, the rest at once."""
        self._stop.set()
        with self._lock:
            everything = list(self.all.values())
        agents = [part for part in everything if part.name in NODES]
        rest = [part for part in everything if part.name not in NODES]
        for node in NODES:
            wake((guard,) if (guard := self.guard(node)) else ())
        for part in everything:
            if part.pid is not None:
                _kill(part.pid, signal.SIGCONT)
        _end(agents, signal.SIGTERM, 30.0)
        _end(rest, signal.SIGINT if os.geteuid() else signal.SIGKILL, 15.0)


def wake(pids: Iterable[int]) -> None:
    for pid in pids:
        _kill(pid, signal.SIGCONT)


def _end(parts: list[Part], number: signal.Signals, seconds: float) -> None:
    for part in parts:
        if part.pid is not None:
            _kill(part.pid, number)
    for part in parts:
        if part.process is None:
            continue
        try:
            part.process.wait(seconds)
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()


def _kill(pid: int, number: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _as_user(user: str | None) -> list[str]:
    """The PostgreSQL server does not run as root."""
    return [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    hidden = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")
    return {k: v for k, v in environ.items() if not k.startswith("CLUSTERWEB_") and k not in hidden}
