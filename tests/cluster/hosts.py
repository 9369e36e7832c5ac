"""A cluster whose nodes are hosts: each with a network, a mount table and processes of its own.

The hosts are namespaces on one wire, as is the front, where the broker, the cluster service and the
clients are. Needs root. A host is switched off by the end of its first process: all that ran there is
gone in the same moment, and so are its mounts; then its cable is pulled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clusterweb.run import processes
from clusterweb.run.broker import find_server
from clusterweb.run.config import BASE_DIR
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until
from tests.resource_dlls.machines import DEVICE, Machine, wire

PASSWORD = "word"
FIRST_PROCESS = """
mount -t tmpfs tmpfs /run
while [ $# -gt 0 ]; do mount --bind "$1" "$2"; shift 2; done
while :; do "$PYTHON" -m monitoring.node; sleep 0.5; done
"""
"""What loses its parent is its child from then on, and is reaped; an agent that ended is started again."""
GET = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=2).read().decode(), end="")
"""


class Host:
    """A node's machine."""

    def __init__(self, name: str, machine: Machine) -> None:
        self.name, self.machine = name, machine
        self._process: subprocess.Popen[bytes] | None = None

    def switch_on(self, env: Mapping[str, str], log: Path, binds: Mapping[Path, Path]) -> None:
        """Start the node's agent. `binds`: what lies over a folder of the real machine, by that folder."""
        places = [str(path) for there, here in binds.items() for path in (here, there)]
        alone = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        argv = [*_in(self.machine), *alone, "/bin/sh", "-c", FIRST_PROCESS, "host", *places]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv, cwd=BASE_DIR, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def switch_off(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.machine.ip("link", "set", DEVICE, "down")
            self._process = None

    def read_all(self, folder: Path) -> list[str]:
        """The files of a folder, as the host's own processes see it."""
        there = self._first / "root" / folder.relative_to("/")
        return [path.read_text(errors="replace") for path in there.glob("*") if path.is_file()]

    def processes(self, name: str) -> list[int]:
        """Its processes of that name, by their ids on the real machine."""
        space = (self._first / "ns" / "pid").readlink()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_here = (process / "ns" / "pid").readlink() == space
                if is_here and (process / "comm").read_text().strip() == name:
                    found.append(int(process.name))
        return found

    @property
    def _first(self) -> Path:
        """The host's first process."""
        assert self._process is not None
        pid = self._process.pid
        return Path("/proc") / Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]

    def has(self, address: str) -> bool:
        return any(each.startswith(f"{address}/") for each in self.machine.addresses())


class HostsCluster(LiveCluster):
    """The cluster service in front, and hosts NODE1, NODE2, … behind."""

    def __init__(self, folder: Path, machines: Sequence[Machine], settings: Mapping[str, str]) -> None:
        self.front, *others = machines
        self.folder = folder
        self.broker = f"redis://:{PASSWORD}@{self.front.address}:6379/0"
        super().__init__(folder / "home", {"CLUSTERWEB_REDIS_URL": self.broker, **settings})
        self.home.mkdir(mode=0o700)
        self.hosts = {f"NODE{n}": Host(f"NODE{n}", each) for n, each in enumerate(others, 1)}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_cluster(self, groups: Sequence[Mapping[str, Any]], binds: Mapping[Path, Path]) -> None:
        """Broker, database with the groups, cluster service, agents. Groups begin to come online."""
        quiet = ["--save", "", "--requirepass", PASSWORD]
        self._start("broker", [find_server(), "--bind", self.front.address, *quiet])
        plan = json.dumps({"nodes": list(self.hosts), "groups": groups})
        self._run([sys.executable, "-m", "tests.cluster.prepare_hosts", plan])
        self._start("service", processes.service())
        for name, host in self.hosts.items():
            env = {
                **{key: value for key, value in self.env.items() if key not in ("DATABASE_URL",)},
                "PYTHON": sys.executable,
                "CLUSTERWEB_NODE": name,
                "CLUSTERWEB_NODE_HOME": str(self.home / "nodes" / name),
                "CLUSTERWEB_NODE_KEY_FILE": str(self.home / "nodes" / name / "key"),
                "CLUSTERWEB_NAMES": str(self.home / "names"),
            }
            host.switch_on(env, self.folder / f"{name}.log", binds)
        self._open_database()

    def _start(self, name: str, argv: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            argv = [*_in(self.front), *argv]
            self._processes.append(subprocess.Popen(argv, cwd=BASE_DIR, env=self.env, stdout=log, stderr=log))

    def _run(self, argv: Sequence[str]) -> None:
        done = subprocess.run(
            [*_in(self.front), *argv], cwd=BASE_DIR, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr

    def stop_cluster(self) -> None:
        for host in self.hosts.values():
            host.switch_off()
        for process in self._processes:
            process.kill()
            process.wait()

    def command_line(self, *words: str) -> list[str]:
        return [*_in(self.front), *super().command_line(*words)]

    def story(self, after: int = 0) -> str:
        """The history, and what the processes said last."""
        said = [
            f"{path.name}: {path.read_text(errors='replace')[-800:]}" for path in self.folder.glob("*.log")
        ]
        return "\n".join([super().story(after), *said])

    # Clients, in front

    def ask(self, *argv: str) -> str:
        """What a client program prints; "" where it fails."""
        done = subprocess.run([*_in(self.front), *argv], capture_output=True, text=True, timeout=10)
        if done.returncode:
            print(f"{argv[0]} in front: {done.stderr[-200:].strip()}")  # noqa: T201 - for a report
            return ""
        return done.stdout.strip()

    def get(self, url: str) -> str:
        return self.ask(sys.executable, "-S", "-c", GET, url)

    def holders(self, address: str) -> list[str]:
        """The hosts that have an address on their interface."""
        return [name for name, host in self.hosts.items() if host.has(address)]

    def wait_serving(self, what: str, condition: Any, seconds: float = 20.0) -> None:
        try:
            wait_until(condition, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(self.last_event() - 40)}") from None


def _in(machine: Machine) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{machine.name}", "--"]


@contextmanager
def hosts(folder: Path, count: int, settings: Mapping[str, str]) -> Iterator[HostsCluster]:
    with wire(folder / "machines", count + 1) as machines:
        cluster = HostsCluster(folder, machines, {"PATH": f"{os.environ['PATH']}:/usr/sbin", **settings})
        try:
            yield cluster
        finally:
            cluster.stop_cluster()
