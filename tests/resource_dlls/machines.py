"""Machines for tests of resource DLLs: network namespaces that hang on one wire, and a process in each.

    with wire(tmp_path) as (first, second):
        address = first.make("IP Address", Address="10.99.0.50", ...)
        address("online")

Everything that is made ends with the block.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import ResourceError

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "cw0"
_numbers = itertools.count(1)


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


class Machine:
    """A network namespace, and a process in it that plays the agent (`machine_process`)."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name, self.number, self.folder = name, number, folder
        self.address = f"10.99.0.{number}"
        self._process: subprocess.Popen[str] | None = None
        self._resources = itertools.count(1)
        ip("netns", "add", name)

    def ip(self, *words: str) -> str:
        return ip("-n", self.name, *words)

    def run(self, *argv: str) -> str:
        argv = ("ip", "netns", "exec", self.name, *argv)
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout

    def hurry(self) -> None:
        """Have the kernel look for duplicates, and believe news of its neighbours, in less than a second."""
        settings = {
            f"ipv6/neigh/{DEVICE}/retrans_time_ms": 100,
            f"ipv6/conf/{DEVICE}/router_solicitation_delay": 0,
            f"ipv4/neigh/{DEVICE}/locktime": 0,
        }
        self.run("sh", "-c", ";".join(f"echo {v} >/proc/sys/net/{k}" for k, v in settings.items()))

    def hardware(self) -> str:
        (link,) = json.loads(self.ip("-json", "link", "show", "dev", DEVICE))
        return str(link["address"])

    def addresses(self) -> list[str]:
        """The addresses of its interface, with their prefixes, those of the link itself left out."""
        (link,) = json.loads(self.ip("-json", "address", "show", "dev", DEVICE))
        return [
            f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["scope"] != "link"
        ]

    def neighbour(self, address: str) -> str:
        """The hardware address to which it sends what is for `address`; empty where it does not know."""
        found = json.loads(self.ip("-json", "neigh", "show", "to", address, "dev", DEVICE) or "[]")
        return str(found[0].get("lladdr", "")) if found else ""

    # The process that plays the agent

    def make(
        self, type_name: str, context: dict[str, Any] | None = None, again: str = "", **properties: Any
    ) -> Resource:
        """A resource, opened. `again`: one not opened, in the state folder of another, for Adopt."""
        key = again or f"{self.number}-{next(self._resources)}"
        described = {"node": f"NODE{self.number}", **(context or {}), "state_dir": str(self.folder / key)}
        self.ask("find" if again else "make", key, type_name, described, properties)
        return Resource(self, key)

    def ask(self, *words: Any) -> Any:
        if self._process is None:
            there = ["ip", "netns", "exec", self.name]
            argv = [*there, sys.executable, "-m", "tests.resource_dlls.machine_process"]
            self._process = subprocess.Popen(
                argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process in {self.name} has ended: {words}"
        answer = json.loads(line)
        if "error" in answer:
            raise ResourceError(answer["error"], answer["code"])
        return answer["value"]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The agent does not run within the block."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """The agent dies without a word; the next question starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def end(self) -> None:
        self.kill()
        ip("netns", "delete", self.name)


class Resource:
    """A resource of a machine: call it with the name of an entry point."""

    def __init__(self, machine: Machine, key: str) -> None:
        self.machine, self.key = machine, key

    def __call__(self, entry_point: str) -> Any:
        return self.machine.ask("call", self.key, entry_point)

    @property
    def failures(self) -> list[str]:
        found: list[str] = self.machine.ask("failures", self.key)
        return found

    def wait_failed(self, seconds: float = 5.0) -> tuple[str, float]:
        """The first failure that it signals by itself, and when, in the seconds of the monotonic clock."""
        reason, when = self.machine.ask("wait_failed", self.key, seconds)
        return str(reason), float(when)

    def facts(self) -> dict[str, str]:
        found: dict[str, str] = self.machine.ask("facts", self.key)
        return found

    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.machine.ask("properties", self.key)
        return found


def need_namespaces() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make network namespaces")


@contextmanager
def wire(folder: Path, count: int = 2) -> Iterator[Sequence[Machine]]:
    """Machines on one wire (of two) or bridge: 10.99.0.N/24 and fd99::N/64 on the interface cw0 of each."""
    need_namespaces()
    mark = f"cw{os.getpid()}n{next(_numbers)}"
    with ExitStack() as stack:
        machines = []
        for number in range(1, count + 1):
            machine = Machine(f"{mark}m{number}", number, folder)
            stack.callback(machine.end)
            machines.append(machine)
        if count == 2:
            peer = ("peer", "name", DEVICE, "netns", machines[1].name)
            machines[0].ip("link", "add", DEVICE, "type", "veth", *peer)
        else:
            _bridge(mark, machines, stack)
        for machine in machines:
            machine.ip("link", "set", "lo", "up")
            machine.ip("address", "add", f"{machine.address}/24", "dev", DEVICE)
            machine.ip("address", "add", f"fd99::{machine.number}/64", "dev", DEVICE, "nodad")
            machine.hurry()
            machine.ip("link", "set", DEVICE, "up")
        yield machines


def _bridge(mark: str, machines: Sequence[Machine], stack: ExitStack) -> None:
    switch = f"{mark}switch"
    ip("netns", "add", switch)
    stack.callback(ip, "netns", "delete", switch)
    ip("-n", switch, "link", "add", "lan", "type", "bridge")
    ip("-n", switch, "link", "set", "lan", "up")
    for machine in machines:
        port = f"to{machine.number}"
        machine.ip("link", "add", DEVICE, "type", "veth", "peer", "name", port, "netns", switch)
        ip("-n", switch, "link", "set", port, "master", "lan", "up")
