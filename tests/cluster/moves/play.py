"""The play: a virtual server is moved, a host is cut off, an agent dies, while a client sends and reads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from clusterweb.run.config import BASE_DIR
from monitoring.node import marks
from tests.chaos.fabric import FRONT
from tests.chaos.parts import Part, Parts
from tests.chaos.rest import Rest
from tests.cluster.installation import wait_until
from tests.cluster.moves.client import mailbox
from tests.cluster.moves.hosts import CLIENT, HOSTS, Hosts
from tests.resource_dlls.mail_daemons import Certificate, make_certificate

START_WITHIN = 90.0
MOVE_WITHIN = 30.0
DELIVER_WITHIN = 60.0
ADDRESS = "10.77.1.1"
PORTS = (25, 465, 587, 143, 993, 110, 995, 80, 443)
LONGER_THAN_A_LEASE = 4.5
IMAGE_SIZE = "256M"
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]


class MailParts(Parts):
    """The processes of the cluster: one of each, and an agent on each host."""

    def start_servers(self) -> None:
        env = self.server_env(1)
        worker = ["-m", "celery", "--app", "clusterweb", "worker", "--pool", "solo", "--queues", "cluster"]
        self.add(Part("service1", FRONT, [sys.executable, *worker, *QUIET, "--hostname", "service1@%h"], env))
        bind = ["--bind", self.fabric.address(FRONT), "--port", str(self.web_port(1))]
        self.add(Part("web1", FRONT, [sys.executable, "-m", "clusterweb.web_server", *bind], env))

    def start_agents(self) -> None:
        for host in HOSTS:
            env = self._agent_env(host, second_path=1)
            self.add(Part(host, host, [sys.executable, "-m", "monitoring.node"], env))

    def restart(self, name: str) -> None:
        """It is killed, and started anew."""
        part = self.all[name]
        assert part.process is not None
        part.process.kill()
        part.process.wait()
        self._start(part)

    def revive(self, name: str) -> None:
        """It is started anew where it has ended, as init does: a guard kills an agent that is too slow."""
        if self.all[name].pid is None:
            self._start(self.all[name])


class Play:
    """Everything lies in `folder`, which every user may enter."""

    def __init__(self, folder: Path, port: int, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._hosts = Hosts()
        self._parts = MailParts(folder, self._hosts, Random(1), port, "")
        self._disk = folder / "disk"
        self._certificate = self._make_disk()
        self._journal = folder / "client.jsonl"

    def _make_disk(self) -> Certificate:
        """An image with a file system, and the certificate on it."""
        content = self._folder / "content"
        (content / "tls").mkdir(parents=True)
        made = make_certificate(content / "tls", ADDRESS)
        image = str(self._folder / "disk.img")
        make = ["mkfs.ext4", "-q", "-d", str(content), image, IMAGE_SIZE]
        subprocess.run(make, check=True, capture_output=True, timeout=30)
        self._disk.mkdir()
        return made

    def run(self) -> list[str]:
        """Play; returns what was not as promised."""
        try:
            self._start()
            return self._play()
        finally:
            self._hosts.heal()
            self._parts.stop()
            self._hosts.end()

    # Start

    def _start(self) -> None:
        self._parts.start_stores()
        wait_until(self._made_database, START_WITHIN, "PostgreSQL takes connections")
        prepared = subprocess.run(
            [sys.executable, "-m", "tests.cluster.moves.prepare", json.dumps(self._plan())],
            cwd=BASE_DIR,
            env=self._parts.server_env(1),
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
        )
        if prepared.returncode:
            raise RuntimeError(f"the cluster was not made: {prepared.stderr}")
        self._parts.start_servers()
        self._parts.start_agents()
        self._rest = Rest([self._parts.web_url(1)], "admin", json.loads(prepared.stdout)["admin"])
        wait_until(lambda: self._is_online(HOSTS[0]), START_WITHIN, "EVS1 is Online on NODE1", every=0.2)

    def _made_database(self) -> bool:
        with suppress(psycopg.OperationalError):
            address = self._parts.database_url.rpartition("/")[0] + "/postgres"
            with psycopg.connect(address, autocommit=True, connect_timeout=2) as connection:
                connection.execute("CREATE DATABASE clusterweb")
            return True
        return False

    def _plan(self) -> dict[str, Any]:
        tls = self._disk / "tls"
        return {
            "nodes": HOSTS,
            "address": {"Address": ADDRESS, "SubnetMask": self._hosts.mask, "Network": "eth0"},
            "disk": {"Device": str(self._folder / "disk.img"), "Path": str(self._disk)},
            "certificate": {"CertificateFile": str(tls / "mail.crt"), "KeyFile": str(tls / "mail.key")},
        }

    def _is_online(self, host: str) -> bool:
        with suppress(OSError):
            group = self._rest.get("groups/EVS1")["group"]
            self._last = f"{group['state']} on {group['owner']}"
            return bool(group["state"] == "Online" and group["owner"] == host)
        return False

    def _is_up(self, host: str) -> bool:
        with suppress(OSError):
            return bool(self._rest.get(f"nodes/{host}")["state"] == "Up")
        return False

    # The play

    def _play(self) -> list[str]:
        first, second = HOSTS
        client = [sys.executable, "-m", "tests.cluster.moves.client", ADDRESS]
        where = [str(self._certificate.certificate), str(self._journal)]
        self._parts.add(Part(CLIENT, CLIENT, [*client, *where]))
        self._wait_for_more("acknowledged")
        move = {"node": second, "reason": "the play"}
        problems = self._moved("moved", first, second, lambda: self._rest.post(0, "groups/EVS1/move", move))
        problems += self._agent_restarts_on(second)
        problems += self._moved("cut off", second, first, lambda: self._hosts.unplug(second))
        self._hosts.plug(second)
        self._parts.revive(second)
        wait_until(lambda: self._is_up(second), START_WITHIN, f"{second} is Up again")
        problems += self._moved(
            "without an agent", first, second, lambda: self._parts.send(first, signal.SIGKILL)
        )
        process = self._parts.all[CLIENT].process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        return problems + self._judge()

    def _agent_restarts_on(self, host: str) -> list[str]:
        """It dies and comes back: longer than a lease afterwards the same servers serve."""
        before = self._servers_on(host)
        began = time.monotonic()
        self._parts.restart(host)
        self._wait_for_more("acknowledged")
        time.sleep(max(0.0, began + LONGER_THAN_A_LEASE - time.monotonic()))
        wait_until(lambda: self._is_online(host), MOVE_WITHIN, f"EVS1 is Online on {host} still")
        self._tell_gaps(f"agent restarted on {host}", began)
        return [] if before and self._servers_on(host) == before else [f"{host} started servers anew"]

    def _servers_on(self, host: str) -> set[int]:
        """The processes that the host's agent watches for the servers."""
        pids = self._parts.services_of(host)
        return {pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"unshare\0")}

    def _moved(self, how: str, old: str, new: str, begin: Callable[[], object]) -> list[str]:
        """Begin it, wait until clients are served by `new`, and look at what is left on `old`."""
        began = time.monotonic()
        begin()
        wait_until(lambda: self._is_online(new), MOVE_WITHIN, f"EVS1 is Online on {new}")
        self._say(f"{old} {how}: Online on {new} after {time.monotonic() - began:.1f} s")
        self._tell_gaps(f"{old} {how}", began)
        return self._missing_on(new) + self._left_on(old)

    def _tell_gaps(self, when: str, began: float) -> None:
        """How long clients had to wait at the worst, from a moment up to now."""
        for what in ("acknowledged", "read"):
            self._wait_for_more(what)
            moments = [line["at"] for line in self._lines() if line["what"] == what]
            gap = max(b - a for a, b in pairwise(moments) if b > began)
            self._say(f"{when}: longest time without a mail {what}: {gap:.1f} s")

    def _missing_on(self, host: str) -> list[str]:
        """What the owner lacks; also shows that what `_left_on` asks can be answered with yes."""
        listens = self._hosts.listens(host)
        wanted = {
            "the address": self._hosts.has_address(host, ADDRESS),
            "the disk": self._hosts.mounts(host, self._disk),
            "a process": any(each.resource for each in marks.scan(str(self._parts.node_home(host)))),
            **{f"port {port}": f"{ADDRESS}:{port}" in listens for port in PORTS},
        }
        return [f"{host} serves without {what}" for what, there in wanted.items() if not there]

    def _left_on(self, host: str) -> list[str]:
        """What the host still has of the group, that another has by now."""
        problems = []
        if self._hosts.has_address(host, ADDRESS):
            problems.append(f"{host} has the address still")
        if open_ports := [where for where in self._hosts.listens(host) if where.startswith(ADDRESS)]:
            problems.append(f"{host} listens on {open_ports}")
        if self._hosts.mounts(host, self._disk):
            problems.append(f"{host} has the disk mounted still")
        home = str(self._parts.node_home(host))
        if left := [each.pid for each in marks.scan(home) if each.resource != marks.NO_RESOURCE]:
            words = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in left]
            problems.append(f"{host} still runs {words}")
        return problems

    def _lines(self) -> list[dict[str, Any]]:
        with suppress(FileNotFoundError):
            whole = self._journal.read_text().rpartition("\n")[0]
            return [json.loads(line) for line in whole.splitlines()]
        return []

    def _wait_for_more(self, what: str, number: int = 5) -> None:
        def count() -> int:
            return sum(line["what"] == what for line in self._lines())

        before = count()
        wait_until(lambda: count() >= before + number, MOVE_WITHIN, f"{number} more mails {what}")

    def _judge(self) -> list[str]:
        """Every mail that was acknowledged is in the mailbox; those in the queue have a while to arrive."""
        lines = self._lines()
        acknowledged = [line["mail"] for line in lines if line["what"] == "acknowledged"]
        deadline = time.monotonic() + DELIVER_WITHIN
        while True:
            found = mailbox(ADDRESS, str(self._certificate.certificate))
            missing = sorted(set(acknowledged) - set(found))
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        failed = sum(line["what"] == "not sent" for line in lines)
        self._say(f"mails acknowledged: {len(acknowledged)}, not acknowledged: {failed}")
        self._say(f"mails in the mailbox: {len(found)}, of these twice: {len(found) - len(set(found))}")
        return [f"acknowledged and missing: {', '.join(missing)}"] if missing else []
