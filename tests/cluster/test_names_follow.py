"""A DNS name on a real name server leads clients to its group, wherever that is: moved, or its node gone.

The client does what clients do: it asks the name server, connects to the address that it is given, and
hears which node serves it.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import dns.exception
import pytest

from tests.cluster.harness import LiveCluster
from tests.cluster.installation import free_port, wait_until
from tests.resource_dlls.name_server import SECRET, ZONE, NameServer, name_server

pytestmark = pytest.mark.cluster

GROUP, HOST = "NAMED", f"named.{ZONE}"
SERVER = (
    "import os, socket; s = socket.create_server((os.environ['CLUSTERWEB_ADDRESS'], {port}))\n"
    "while True:\n"
    "    c, _ = s.accept(); c.sendall(os.environ['CLUSTERWEB_NODE'].encode()); c.close()\n"
)
PAUSE = 0.005


class Client(threading.Thread):
    """Looks the name up and connects, again and again."""

    def __init__(self, server: NameServer, port: int) -> None:
        super().__init__(daemon=True)
        self._server, self._port = server, port
        self._ended = threading.Event()
        self.served: list[tuple[float, str]] = []
        """When it was served, and by which node."""
        self.unnamed: list[float] = []
        """When the name led nowhere."""

    def run(self) -> None:
        while not self._ended.wait(PAUSE):
            with suppress(OSError, dns.exception.DNSException):
                found = self._server.ask(HOST)
                if not found:
                    self.unnamed.append(time.monotonic())
                    continue
                with socket.create_connection((found[0], self._port), timeout=0.2) as connection:
                    connection.settimeout(0.2)
                    if node := connection.recv(100).decode():
                        self.served.append((time.monotonic(), node))

    def end(self) -> None:
        self._ended.set()
        self.join(5)

    def node(self) -> str:
        """Who served it last, within the last half second."""
        when, node = self.served[-1] if self.served else (0.0, "")
        return node if time.monotonic() - when < 0.5 else ""

    def longest_gap(self, since: float) -> float:
        times = [since, *(when for when, _ in self.served if when > since)]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@pytest.fixture(scope="module")
def named(
    running: LiveCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NameServer, Client]]:
    """A group with an address, a name at a name server, and a program that says where it runs."""
    cluster, tmp_path = running, tmp_path_factory.mktemp("named")
    loopback = f"127.200.{os.getpid() % 250}"
    port = free_port()
    (tmp_path / "server.py").write_text(SERVER.format(port=port))
    (tmp_path / "secret").write_text(SECRET)
    with name_server(tmp_path / "knot", f"{loopback}.1") as server:
        known = server.properties()
        settings = [f"--set={name}={known[name]}" for name in ("DnsServers", "DnsZone", "DnsKeyName")]
        cluster.cli("add-group", GROUP, "--prefer", "NODE1")
        try:
            resource = ("add-resource", "--group", GROUP, "--type")
            address = ("--set", f"Address={loopback}.2", "--set", "SubnetMask=8")
            cluster.cli(*resource, "IP Address", f"{GROUP} Address", *address)
            secret = ("--set-from", f"DnsKeySecret={tmp_path / 'secret'}", "--set", "RequireDNS=yes")
            cluster.cli(
                *resource, "Network Name", f"{GROUP} Name", "--set", f"Name={GROUP}", *settings, *secret
            )
            command = f"CommandLine={sys.executable} -S -E {tmp_path / 'server.py'}"
            where = ("--set", command, "--set", f"CurrentDirectory={tmp_path}", "--needs", f"{GROUP} Name")
            cluster.cli(*resource, "Generic Application", f"{GROUP} Server", *where)
            cluster.cli("online", GROUP)
            client = Client(server, port)
            client.start()
            wait_until(client.node, 10, "a client is served")
            yield server, client
            client.end()
        finally:
            cluster.cli("offline", GROUP)
            assert server.ask(HOST) == [], "a name that is offline leads nowhere"
            cluster.cli("delete-group", GROUP, "--with-resources")


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{HOST}, {text}\n")


def owner(server: NameServer) -> str:
    (text,) = server.ask(f"_clusterweb.{HOST}", "TXT")
    return text.split('"node=')[1].split('"')[0]


def test_a_name_follows_its_group_to_another_node(
    named: tuple[NameServer, Client], cluster: LiveCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    server, client = named
    for target in ("NODE2", "NODE1"):
        began = time.monotonic()
        cluster.cli("move", GROUP, target)
        wait_until(lambda to=target: client.node() == to, 10, f"clients are served by {target}")  # type: ignore[misc]
        assert owner(server) == target
        gap, nowhere = client.longest_gap(began), [when for when in client.unnamed if when > began]
        unnamed = nowhere[-1] - nowhere[0] if nowhere else 0.0
        say(capsys, f"moved to {target}: not served for {gap:.3f} s, no address for {unnamed:.3f} s")
        assert gap < 5


def test_a_name_follows_its_group_when_its_node_is_gone(
    named: tuple[NameServer, Client], cluster: LiveCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    server, client = named
    began = time.monotonic()
    with cluster.kept_down("NODE1"):
        cluster.wait_online(GROUP, "NODE2")
        wait_until(lambda: client.node() == "NODE2", 10, "clients are served by NODE2")
        assert owner(server) == "NODE2"
        say(capsys, f"NODE1 killed: not served for {client.longest_gap(began):.3f} s")
        assert client.longest_gap(began) < 15
        first = next(when for when, node in client.served if when > began and node == "NODE2")
        assert {node for when, node in client.served if when >= first} == {"NODE2"}
    wait_until(cluster.all_nodes_up, 20, "all nodes Up")
