"""Hosts of one machine: each a network namespace on a bridge, and a mount namespace of its own.

What a host mounts is mounted there only, as on a machine of its own. Needs what chaos.fabric needs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from clusterweb.run.config import BASE_DIR
from tests.chaos.fabric import BROKER, DATABASE, Namespaces

CLIENT = "client"
HOSTS = ("NODE1", "NODE2")


class Hosts(Namespaces):
    """Two hosts, a database, a broker and a client; the cluster service is at FRONT."""

    def __init__(self) -> None:
        super().__init__((DATABASE, BROKER, *HOSTS, CLIENT))
        self._holders = {host: self._hold(host) for host in HOSTS}

    def _hold(self, host: str) -> subprocess.Popen[str]:
        """A process that keeps the host's mount namespace, in which agents come and go."""
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; exec sleep infinity"]
        holder = subprocess.Popen(super().command(host, inside), stdout=subprocess.PIPE, text=True)
        assert holder.stdout is not None
        holder.stdout.readline()
        return holder

    def command(self, place: str, argv: Sequence[str]) -> list[str]:
        if place not in HOSTS:
            return super().command(place, argv)
        enter = ["nsenter", f"--target={self._holders[place].pid}", "--mount", "--net", f"--wdns={BASE_DIR}"]
        return [*enter, "--", *argv]

    def end(self) -> None:
        for holder in self._holders.values():
            holder.kill()
            holder.wait()

    # What is to be seen on a host

    def has_address(self, host: str, address: str) -> bool:
        return f"inet {address}/" in self._run(host, "ip", "-4", "address", "show")

    def listens(self, host: str) -> list[str]:
        """Where something takes connections there."""
        lines = self._run(host, "ss", "--no-header", "--listening", "--tcp", "--numeric").splitlines()
        return [line.split()[3] for line in lines]

    def mounts(self, host: str, path: Path) -> bool:
        mounts = Path(f"/proc/{self._holders[host].pid}/mountinfo").read_text().splitlines()
        return any(line.split()[4] == str(path) for line in mounts)

    def _run(self, host: str, *argv: str) -> str:
        return subprocess.run(
            self.command(host, argv), capture_output=True, text=True, timeout=10, check=True
        ).stdout
