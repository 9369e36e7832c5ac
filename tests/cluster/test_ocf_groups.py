"""Groups of OCF agents on two hosts, without Pacemaker: started, probed, restarted, moved, failed over.

Beside them runs one of ClusterWeb's own types, and its probes watch what the agents run.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from monitoring.core.states import ResourceState
from tests.cluster import ocf_disks
from tests.cluster.hosts import HostsCluster, hosts
from tests.cluster.installation import wait_until
from tests.resource_dlls.databases import make_database
from tests.resource_dlls.machines import DEVICE

pytestmark = pytest.mark.cluster

AGENTS = ("Dummy", "Filesystem", "IPaddr2", "anything", "nginx", "pgsql", "postfix", "redis")
PACKAGE = Path("/usr/lib/ocf")
WEB, DATA, MAIL, OWN = "10.99.0.11", "10.99.0.12", "10.99.0.13", "10.99.0.14"
PASSWORD = "correct horse"
OFTEN = {"looks_alive_ms": 1000, "is_alive_ms": 3000}
KILLED = ("nginx", "HTTP Endpoint")
"""What is killed, or watches that, is looked at often; for the others their own intervals will do."""
SEND = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=5) as server:
    server.sendmail("me@example.com", ["box@example.com"], f"Subject: {sys.argv[2]}\\r\\n\\r\\nhello\\r\\n")
print("sent")
"""


def resource(name: str, needs: tuple[str, ...] = (), **given: Any) -> Any:
    """A resource in a group of the plan, named as its type or its agent."""
    return {
        "type": f"ocf:heartbeat:{name}" if name in AGENTS else name,
        "name": name,
        "properties": {name: str(value) for name, value in given.items()},
        "requires": list(needs),
        "settings": {"restart_threshold": 1, "restart_period_ms": 60_000} | (OFTEN if name in KILLED else {}),
    }


def group(name: str, on: list[str], address: str, image: Path, mount: Path, *more: Any) -> dict[str, Any]:
    """A group with an address and a file system, and what runs on them."""
    first = [
        resource("IPaddr2", ip=address, cidr_netmask=24, nic=DEVICE),
        resource("Filesystem", device=image, directory=mount, fstype="ext4", options="loop"),
    ]
    return {"name": name, "on": on, "resources": [*first, *more]}


BOTH = ("IPaddr2", "Filesystem")


def plan(folder: Path, etc: Path) -> list[dict[str, Any]]:
    """The groups, with their disks made: three of OCF agents, and one of ClusterWeb's own types."""
    mounts = {name: folder / "mnt" / name for name in ("web", "data", "mail")}
    for mount in mounts.values():
        mount.mkdir(parents=True)
    ocf_disks.web(folder / "make-web", mounts["web"], WEB)
    ocf_disks.data(folder / "make-data", mounts["data"], DATA)
    ocf_disks.mail(folder / "make-mail", mounts["mail"], MAIL, etc)
    sizes = {"web": "16M", "data": "192M", "mail": "16M"}
    images = {name: ocf_disks.image(folder / f"make-{name}", name, size) for name, size in sizes.items()}
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    home = mounts["data"] / "redis"
    return [
        group(
            *("WEB", ["NODE1", "NODE2"], WEB, images["web"], mounts["web"]),
            resource(
                "nginx",
                BOTH,
                httpd="/usr/sbin/nginx",
                configfile=mounts["web"] / "nginx.conf",
                status10url=f"http://{WEB}/",
            ),
            resource("Dummy", ("nginx",)),
            resource("HTTP Endpoint", ("nginx",), URL=f"http://{WEB}/", Contains="the site"),
        ),
        group(
            *("DATA", ["NODE1", "NODE2"], DATA, images["data"], mounts["data"]),
            resource(
                *("pgsql", BOTH),
                pgctl=programs / "pg_ctl",
                psql=programs / "psql",
                pgdata=mounts["data"] / "postgresql",
                pghost=DATA,
            ),
            resource(
                *("redis", BOTH),
                bin="/usr/bin/redis-server",
                client_bin="/usr/bin/redis-cli",
                config=home / "redis.conf",
                rundir="/run/redis-data",
            ),
        ),
        group(
            *("MAIL", ["NODE2", "NODE1"], MAIL, images["mail"], mounts["mail"]),
            resource("postfix", BOTH),
            resource("TCP Port", ("postfix",), Address=MAIL, Port=25, Expect="220 mail.example.com"),
            resource(
                *("anything", BOTH),
                binfile="/bin/sleep",
                cmdline_options=1000,
                user="postgres",
                workdir="/",
                pidfile="/run/anything/anything.pid",
            ),
        ),
        own_types(folder / "shared"),
    ]


def own_types(shared: Path) -> dict[str, Any]:
    """A database and a key-value store whose disk is a folder that both hosts share."""
    shared.mkdir()
    make_database(shared / "postgresql")
    on_both = ("IP Address", "Physical Disk")
    resources = [
        resource("IP Address", Address=OWN, SubnetMask="255.255.255.0", Network=DEVICE),
        resource("Physical Disk", Path=shared),
        resource("PostgreSQL Server", on_both, Options="-c fsync=off -c shared_buffers=16MB"),
        resource("Redis Server", on_both, Password=PASSWORD, AppendFsync="always"),
    ]
    return {"name": "OWN", "on": ["NODE2", "NODE1"], "resources": resources}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the accounts of the servers may go."""
    made = Path(tempfile.mkdtemp(prefix="clusterweb-hosts-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def cluster(folder: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[HostsCluster]:
    if os.geteuid() != 0 or not (PACKAGE / "resource.d" / "heartbeat" / "IPaddr2").exists():
        pytest.skip("needs root, and the package resource-agents (make packages)")
    root = folder / "ocf"
    (root / "resource.d" / "heartbeat").mkdir(parents=True)
    (root / "lib").symlink_to(PACKAGE / "lib")
    for name in AGENTS:  # these alone: nobody waits for the other 130 to say what they are
        (root / "resource.d" / "heartbeat" / name).symlink_to(PACKAGE / "resource.d" / "heartbeat" / name)
    settings = {"CLUSTERWEB_OCF_ROOT": str(root), "CLUSTERWEB_OCF_CACHE": str(folder)}
    with hosts(folder, 2, settings) as made, django_db_blocker.unblock():
        made.start_cluster(
            plan(folder, folder / "etc-postfix"), {Path("/etc/postfix"): folder / "etc-postfix"}
        )
        yield made


class Clients:
    """Those who use what the groups offer."""

    def __init__(self, cluster: HostsCluster) -> None:
        self._cluster = cluster

    def page(self) -> str:
        return self._cluster.get(f"http://{WEB}/")

    def sql(self, text: str, at: str = DATA) -> str:
        where = ["-h", at, "-U", "postgres", "-d", "postgres", "-w"]
        return self._cluster.ask("psql", *where, "-qtA", "-c", text)

    def redis(self, *words: str, at: str = DATA) -> str:
        login = ["--no-auth-warning", "-a", PASSWORD] if at == OWN else []
        return self._cluster.ask("redis-cli", "-h", at, *login, *words)

    def send(self, subject: str) -> bool:
        return self._cluster.ask(sys.executable, "-S", "-c", SEND, MAIL, subject) == "sent"


def test_groups_of_ocf_agents_are_restarted_moved_and_failed_over(cluster: HostsCluster) -> None:
    clients = Clients(cluster)
    for name, owner in (("WEB", "NODE1"), ("DATA", "NODE1"), ("MAIL", "NODE2"), ("OWN", "NODE2")):
        cluster.wait_online(name, owner, timeout=40)

    # Each is served from the host that owns it
    assert clients.page() == "the site"
    assert clients.sql("CREATE TABLE kept AS SELECT 42 AS answer; SELECT answer FROM kept") == "42"
    assert clients.redis("SET", "kept", "forty-two") == "OK"
    assert clients.send("first")
    assert clients.sql("CREATE TABLE kept AS SELECT 43 AS answer; SELECT answer FROM kept", OWN) == "43"
    assert clients.redis("SET", "kept", "forty-three", at=OWN) == "OK"
    assert [cluster.holders(a) for a in (WEB, DATA, MAIL, OWN)] == [
        ["NODE1"],
        ["NODE1"],
        ["NODE2"],
        ["NODE2"],
    ]

    # A service that is killed comes back where it is; the next time, its group goes elsewhere
    records = cluster.last_record("WEB")
    kill(cluster, "NODE1", "nginx")
    wait_until(
        lambda: cluster.resource("WEB", "ocf:heartbeat:nginx").state != ResourceState.ONLINE, 10, "seen"
    )
    cluster.wait_serving("the site is back", lambda: clients.page() == "the site")
    cluster.wait_online("WEB", "NODE1")
    kill(cluster, "NODE1", "nginx")
    cluster.wait_online("WEB", "NODE2")
    assert clients.page() == "the site"
    assert cluster.holders(WEB) == ["NODE2"]
    assert len(cluster.records("WEB", records)) == 1

    # A move takes the data along
    cluster.cli("move", "DATA", "NODE2")
    cluster.wait_online("DATA", "NODE2")
    assert cluster.holders(DATA) == ["NODE2"]
    assert clients.sql("SELECT answer FROM kept") == "42"
    assert clients.redis("GET", "kept") == "forty-two"

    # A host that is gone leaves everything to the other one
    assert clients.redis("SET", "last", "words") == "OK"
    assert clients.send("second")
    cluster.hosts["NODE2"].switch_off()
    for name in ("WEB", "DATA", "MAIL", "OWN"):
        cluster.wait_online(name, "NODE1", timeout=40)
    assert clients.page() == "the site"
    assert clients.sql("SELECT answer FROM kept") == "42"
    assert clients.redis("MGET", "kept", "last") == "forty-two\nwords"
    assert clients.sql("SELECT answer FROM kept", OWN) == "43"
    assert clients.redis("GET", "kept", at=OWN) == "forty-three"
    assert clients.send("third")
    mailbox = cluster.folder / "mnt" / "mail" / "mailboxes" / "box" / "new"

    def has_all_mail() -> bool:
        mails = cluster.hosts["NODE1"].read_all(mailbox)
        return all(any(f"Subject: {s}\n" in mail for mail in mails) for s in ("first", "second", "third"))

    cluster.wait_serving("all mail that was taken is there", has_all_mail)


def kill(cluster: HostsCluster, host: str, program: str) -> None:
    pids = cluster.hosts[host].processes(program)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
