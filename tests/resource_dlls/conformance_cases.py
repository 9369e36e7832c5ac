"""What the conformance suite is given for each built-in type, and for agents of the package resource-agents.

A case is made in a folder of its own that servers' accounts may enter, with what it needs beside it:
servers that probes ask, a systemd. That is taken away when the test ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from clusterweb.run.broker import find_server
from monitoring.resource_dlls.generic_service import unit as units
from tests.resource_dlls import endpoints, mail_daemons
from tests.resource_dlls.context import free_address, wait_until
from tests.resource_dlls.databases import make_database
from tests.resource_dlls.servers import ATTENDANT, HTTP, IMAP4, MTA, POP3, ROUTING, SEARCH, SMTP, STORE
from tests.resource_dlls.systemd import Systemd, missing

Values = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Case:
    """What a type is given, and what it depends on."""

    properties: Values = field(default_factory=dict)
    providers: Sequence[tuple[str, Values]] = ()
    shares_nursery: bool = True
    """False: it changes the environment of agents."""
    mounted: Mapping[Path, str] = field(default_factory=dict)
    """Folders that it needs in other places."""


class Place:
    """Where a case is made."""

    def __init__(self, folder: Path, beside: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.address = free_address()
        self._beside = beside
        self.monkeypatch = monkeypatch

    def with_(self, what: AbstractContextManager[_T]) -> _T:
        """Enter a context that is left when the test ends."""
        return self._beside.enter_context(what)

    def after(self, end: Callable[[], object]) -> None:
        self._beside.callback(end)

    def ip_address(self) -> tuple[str, Values]:
        return "IP Address", {"Address": self.address, "SubnetMask": "255.0.0.0"}

    def disk(self) -> tuple[str, Values]:
        return "Physical Disk", {"Path": str(self.folder / "disk")}

    def port(self) -> int:
        with socket.socket() as found:
            found.bind((self.address, 0))
            return int(found.getsockname()[1])


def answers(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def virtual_server(place: Place, *before: tuple[str, Values], **properties: Any) -> Case:
    """A resource of an Exchange Virtual Server, on what each of them stands on."""
    name = ("Network Name", {"Name": "EVS1", "RegistryPath": str(place.folder / "names")})
    return Case(properties, (place.ip_address(), name, place.disk(), *before))


def store(place: Place) -> Case:
    return virtual_server(place, (ATTENDANT, {}), MailboxPassword="correct horse")


def service(place: Place) -> Case:
    return virtual_server(place, (ATTENDANT, {}), (STORE, {"MailboxPassword": "correct horse"}))


def daemon(*before: str, **properties: Any) -> Callable[[Place], Case]:
    """A resource of a virtual server by Postfix, Dovecot and nginx; `before`: those that it needs."""

    def make(place: Place) -> Case:
        if not mail_daemons.can_run():
            pytest.skip(mail_daemons.NEEDS)
        secret = {"MailboxPassword": "correct-horse"}
        return virtual_server(place, (ATTENDANT, {}), *((each, secret) for each in before), **properties)

    return make


def script(place: Place) -> Case:
    """A script that holds a folder."""
    path = place.folder / "script"
    path.write_text(
        f"#!/bin/sh\nS={place.folder}/held\ncase $1 in Online) mkdir -p $S;; Offline|Terminate) rm -rf $S;;"
        " IsAlive|LooksAlive) [ -d $S ];; *) exit 3;; esac\n"
    )
    path.chmod(0o755)
    return Case({"ScriptFilePath": str(path)})


def unit(place: Place) -> Case:
    """A unit of a systemd of the test's own."""
    if said := missing():
        pytest.skip(said)
    systemd = Systemd(place.folder / "systemd")
    place.after(systemd.stop)
    place.monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", systemd.bus)
    place.monkeypatch.setattr(units, "RUNTIME", systemd.folder / "run" / "systemd" / "system")
    place.monkeypatch.setattr(units, "JOURNAL", ("journalctl", f"--directory={systemd.journal}"))
    name = systemd.unit("greeter.service", "[Service]\nExecStart=/bin/sleep 600\n")
    return Case({"ServiceName": name}, shares_nursery=False)


def web(place: Place) -> Case:
    site = place.with_(endpoints.web_server(place.address))
    return Case({"URL": f"http://{place.address}:{site.port}/", "Authorization": "Bearer of-good-news"})


def tcp(place: Place) -> Case:
    port = place.with_(endpoints.scripted(place.address, [(b"PING", b"PONG")]))
    return Case({"Address": place.address, "Port": port, "Send": "PING", "Expect": "PONG"})


def certificate(place: Place) -> Case:
    return Case({"File": str(endpoints.make_certificate(place.folder, place.address, 100.0))})


def dns(place: Place) -> Case:
    """A record of a server that knows one."""
    program = shutil.which("knotd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("needs the package knot (make packages)")
    port, folder = place.port(), place.folder
    (folder / "example.com.zone").write_text(
        "$ORIGIN example.com.\n@ 60 SOA ns admin 1 60 60 60 60\n@ 60 NS ns\nns 60 A 127.0.0.1\n"
    )
    (folder / "knot.conf").write_text(
        f"server:\n  listen: {place.address}@{port}\n  rundir: {folder}\n  udp-workers: 1\n  tcp-workers: 1\n"
        f"  background-workers: 1\ndatabase:\n  storage: {folder}\nzone:\n  - domain: example.com\n"
        f"    storage: {folder}\n    file: example.com.zone\n"
    )
    server = subprocess.Popen(
        [program, "--config", folder / "knot.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    place.after(server.wait)
    place.after(server.terminate)
    wait_until(lambda: answers(place.address, port))
    asked = {"Name": "ns.example.com", "Expected": "127.0.0.1", "Address": place.address, "Port": port}
    return Case(asked)


def redis(place: Place) -> Case:
    program = shutil.which("redis-server") or find_server()
    return Case(
        {"Port": place.port(), "Password": "correct horse", "Program": program},
        [place.ip_address(), place.disk()],
    )


def postgresql(place: Place) -> Case:
    """A database that its own account may reach, on the disk of the group."""
    data = place.folder / "disk" / "postgresql"
    data.parent.mkdir()
    make_database(data)
    properties = {"Port": place.port(), "ProbePassword": "correct horse", "Options": "-c fsync=off"}
    return Case(properties, [place.ip_address(), place.disk()])


def file_share(place: Place) -> Case:
    if os.geteuid() != 0 or not shutil.which("smbd", path="/usr/sbin:/usr/bin"):
        pytest.skip("needs root, and the packages samba and smbclient (make packages)")
    share = {"ShareName": "data", "Path": str(place.folder / "disk" / "data"), "Port": place.port()}
    accounts = {"Accounts": "root:correct-horse", "ForceUser": "root"}
    return Case(share | accounts, [place.ip_address(), place.disk()])


BUILT_IN: Mapping[str, Callable[[Place], Case]] = {
    "Generic Application": lambda place: Case({"CommandLine": "sleep 1000", "CurrentDirectory": "/"}),
    "Generic Script": script,
    "Generic Service": unit,
    "IP Address": lambda place: Case(place.ip_address()[1]),
    "Network Name": lambda place: Case(
        {"Name": "NAME1", "RegistryPath": str(place.folder / "names")}, [place.ip_address()]
    ),
    "Physical Disk": lambda place: Case(place.disk()[1]),
    "File Share": file_share,
    "Certificate": certificate,
    "HTTP Endpoint": web,
    "DNS Record": dns,
    "TCP Port": tcp,
    "PostgreSQL Server": postgresql,
    "Redis Server": redis,
    ATTENDANT: virtual_server,
    STORE: store,
    HTTP: service,
    IMAP4: service,
    MTA: service,
    POP3: service,
    ROUTING: service,
    SEARCH: service,
    SMTP: service,
    mail_daemons.STORE: daemon(MailboxPassword="correct-horse"),
    mail_daemons.SMTP: daemon(mail_daemons.STORE),
    mail_daemons.IMAP4: daemon(mail_daemons.STORE),
    mail_daemons.POP3: daemon(mail_daemons.STORE),
    mail_daemons.HTTP: daemon(),
}
"""Every built-in type, but for those of OCF agents and those below."""
ELSEWHERE = frozenset({"NFS Export"})
"""Tested in a mount namespace: test_nfs_export."""


def ocf_dummy(place: Place) -> Case:
    return Case({"fake": "dummy"})


def ocf_anything(place: Place) -> Case:
    """Under an account whose login shell does nothing: what a profile begins is interrupted here as well."""
    values = {"binfile": "/bin/sleep", "cmdline_options": "1000", "pidfile": f"{place.folder}/run/pid"}
    (place.folder / "run").mkdir()
    if os.geteuid() == 0:
        shutil.chown(place.folder / "run", "postgres")
        values["user"] = "postgres"
    return Case(values)


def ocf_address(place: Place) -> Case:
    return Case({"ip": place.address, "cidr_netmask": "32", "nic": "lo"})


def ocf_file_system(place: Place) -> Case:
    device, directory = place.folder / "device", place.folder / "mounted"
    device.mkdir()
    directory.mkdir()
    return Case({"device": str(device), "directory": str(directory), "fstype": "none", "options": "bind"})


def ocf_symlink(place: Place) -> Case:
    (place.folder / "target").mkdir()
    return Case({"link": f"{place.folder}/link", "target": f"{place.folder}/target"})


def ocf_nginx(place: Place) -> Case:
    port = place.port()
    configuration = place.folder / "nginx.conf"
    configuration.write_text(
        f"pid {place.folder}/nginx.pid; error_log {place.folder}/error.log; events {{}}\n"
        "http { access_log off; server {"
        f" listen {place.address}:{port}; location / {{ return 200; }} }} }}\n"
    )
    url = f"http://{place.address}:{port}/"
    return Case({"configfile": str(configuration), "httpd": "/usr/sbin/nginx", "status10url": url})


def ocf_postgresql(place: Place) -> Case:
    data = place.folder / "data"
    programs = make_database(data)
    return Case(
        {
            "pgctl": str(programs / "pg_ctl"),
            "psql": str(programs / "psql"),
            "pgdata": str(data),
            "pgport": place.port(),
            "pghost": "127.0.0.1",
            "socketdir": str(data),
            "start_opt": "-c fsync=off",
        }
    )


def ocf_redis(place: Place) -> Case:
    port = place.port()
    home = place.folder / "redis"
    home.mkdir()
    shutil.chown(home, "redis", "redis")
    configuration = home / "redis.conf"
    configuration.write_text(
        f"bind {place.address}\nport {port}\ndaemonize yes\npidfile {home}/redis.pid\ndir {home}\nsave ''\n"
        f"unixsocket {home}/redis.sock\nlogfile {home}/redis.log\n"
    )
    shutil.chown(configuration, "redis", "redis")
    return Case(
        {
            "bin": "/usr/bin/redis-server",
            "client_bin": "/usr/bin/redis-cli",
            "config": str(configuration),
            "rundir": str(home),
            "pidfile_name": "redis.pid",
            "socket_name": "redis.sock",
            "port": str(port),
        }
    )


POSTFIX = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
"""
POSTFIX_SERVICES = (
    "pickup unix n - n 60 1 pickup\nqmgr unix n - n 300 1 qmgr\n"
    "anvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\nrewrite unix - - n - - trivial-rewrite\n"
    "cleanup unix n - n - 0 cleanup\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n"
    "trace unix - - n - 0 bounce\nflush unix n - n 1000? 0 flush\nshowq unix n - n - - showq\n"
    "error unix - - n - - error\nretry unix - - n - - error\nlocal unix - n n - - local\n"
    "smtp unix - - n - - smtp\nproxymap unix - - n - - proxymap\n"
)


def ocf_postfix(place: Place) -> Case:
    if os.geteuid() != 0 or not Path("/usr/sbin/postfix").exists():
        pytest.skip("needs root, and the package postfix (make packages)")
    folder = place.folder
    (folder / "queue").mkdir()
    (folder / "data").mkdir(mode=0o700)
    shutil.chown(folder / "data", "postfix")
    configuration = folder / "postfix"
    configuration.mkdir()
    for kept in ("postfix-files", "dynamicmaps.cf"):  # of the package: `postfix check` reads them
        shutil.copy(f"/etc/postfix/{kept}", configuration)
    (configuration / "main.cf").write_text(POSTFIX.format(folder=folder))
    (configuration / "master.cf").write_text(
        f"{place.address}:{place.port()} inet n - n - - smtpd\n{POSTFIX_SERVICES}"
    )
    return Case(mounted={configuration: "/etc/postfix"})


OCF: Mapping[str, Callable[[Place], Case]] = {
    "Dummy": ocf_dummy,
    "IPaddr2": ocf_address,
    "Filesystem": ocf_file_system,
    "symlink": ocf_symlink,
    "Delay": lambda place: Case({"startdelay": "0", "stopdelay": "0", "mondelay": "0"}),
}
"""Agents of the provider heartbeat."""
PATIENT_OCF: Mapping[str, Callable[[Place], Case]] = {
    "anything": ocf_anything,
    "nginx": ocf_nginx,
    "pgsql": ocf_postgresql,
    "postfix": ocf_postfix,
    "redis": ocf_redis,
}
"""Those that sleep for seconds in each start and stop."""
