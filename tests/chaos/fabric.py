"""Where each part of the cluster runs: in network namespaces of one machine, or all on its loopback.

The namespaces hang on one bridge, like machines on a switch. Their names and devices are those of
the run's own network and mount namespace (__main__.py), so that everything vanishes with it. A cut
is silent, as in a real network: packets leave for a hardware address that nobody has.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

FRONT, SECOND, DATABASE, BROKER = "front", "second", "database", "broker"
NODES = ("NODE1", "NODE2", "NODE3")
OTHERS = (SECOND, DATABASE, BROKER, *NODES)
"""The places beside FRONT, which is where the run itself is: the bridge, the clients, half of the servers."""
NOBODY = "02:00:00:00:00:99"


class Fabric(Protocol):
    """Places, and the ways between them."""

    can_cut: bool
    mask: str

    def address(self, place: str) -> str:
        """Where the place's processes listen."""

    def group_address(self, number: int) -> tuple[str, str]:
        """(address, interface) of a group."""

    def command(self, place: str, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` there, in the very process that is started."""

    def unplug(self, place: str) -> None:
        """Nothing reaches the place, nothing leaves it."""

    def plug(self, place: str) -> None:
        """The end of `unplug`."""

    def silence(self, sender: str, receiver: str) -> None:
        """What one sends to the other does not arrive; the other way is open."""

    def hear(self, sender: str, receiver: str) -> None:
        """The end of `silence`."""

    def heal(self) -> None:
        """All ways are open."""


class Namespaces:
    """Network namespaces on a bridge. Needs root, in a network and a mount namespace of one's own."""

    can_cut = True
    mask = "255.255.0.0"

    def __init__(self, others: Sequence[str] = OTHERS) -> None:
        """`others`: the places beside FRONT."""
        self.places = (FRONT, *others)
        self._unplugged: set[str] = set()
        self._silenced: set[tuple[str, str]] = set()
        run = Path("/run/netns")
        run.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "none", str(run))
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "lan", "type", "bridge")
        _ip("addr", "add", f"{self.address(FRONT)}/16", "dev", "lan")
        _ip("link", "set", "lan", "up")
        for place in others:
            _ip("netns", "add", place)
            _ip("link", "add", f"to-{place}", "type", "veth", "peer", "name", "eth0", "netns", place)
            _ip("link", "set", f"to-{place}", "master", "lan", "up")
            _ip("-n", place, "link", "set", "lo", "up")
            _ip("-n", place, "addr", "add", f"{self.address(place)}/16", "dev", "eth0")
            _ip("-n", place, "link", "set", "eth0", "up")

    def address(self, place: str) -> str:
        return f"10.77.0.{1 + self.places.index(place)}"

    def group_address(self, number: int) -> tuple[str, str]:
        return f"10.77.1.{number}", "eth0"

    def command(self, place: str, argv: Sequence[str]) -> list[str]:
        return list(argv) if place == FRONT else ["nsenter", f"--net=/run/netns/{place}", "--", *argv]

    def unplug(self, place: str) -> None:
        self._unplugged.add(place)
        _ip("link", "set", f"to-{place}", "down")

    def silence(self, sender: str, receiver: str) -> None:
        self._silenced.add((sender, receiver))
        where, device = ((), "lan") if sender == FRONT else (("-n", sender), "eth0")
        neighbour = (self.address(receiver), "lladdr", NOBODY, "dev", device, "nud", "permanent")
        _ip(*where, "neigh", "replace", *neighbour)

    def plug(self, place: str) -> None:
        self._unplugged.discard(place)
        _ip("link", "set", f"to-{place}", "up")

    def hear(self, sender: str, receiver: str) -> None:
        self._silenced.discard((sender, receiver))
        where, device = ((), "lan") if sender == FRONT else (("-n", sender), "eth0")
        _ip(*where, "neigh", "flush", "to", self.address(receiver), "dev", device, "nud", "permanent")

    def heal(self) -> None:
        for place in list(self._unplugged):
            self.plug(place)
        for sender, receiver in list(self._silenced):
            self.hear(sender, receiver)


class Loopback:
    """Everything on 127.0.0.0/8, where nothing can be cut: for who is not root."""

    can_cut = False
    mask = "255.0.0.0"

    def address(self, place: str) -> str:
        return "127.0.0.1"

    def group_address(self, number: int) -> tuple[str, str]:
        return f"127.{os.getpid() >> 8 & 127}.{os.getpid() & 255}.{number}", ""

    def command(self, place: str, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def unplug(self, place: str) -> None:
        raise NotImplementedError

    def plug(self, place: str) -> None:
        raise NotImplementedError

    def silence(self, sender: str, receiver: str) -> None:
        raise NotImplementedError

    def hear(self, sender: str, receiver: str) -> None:
        raise NotImplementedError

    def heal(self) -> None:
        """There is nothing to heal."""


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
