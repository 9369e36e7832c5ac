"""SMTP by Postfix, with an instance of its own whose queue lies on the group's disk.

What Postfix has acknowledged is in its queue, written through, and goes with the disk to
wherever the group is next. It delivers to the group's Information Store by LMTP.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError
from monitoring.resource_dlls.exchange.base import ATTENDANT
from monitoring.resource_dlls.exchange.daemons import accounts, certificate, place, probes
from monitoring.resource_dlls.exchange.daemons.base import EncryptedDaemon, port
from monitoring.resource_dlls.exchange.daemons.dovecot import AUTH, LMTP, STORE
from monitoring.resource_dlls.exchange.daemons.probes import NONE, STARTTLS, Door, Login

DAEMONS = "/usr/lib/postfix/sbin:/usr/libexec/postfix:/usr/lib/postfix"
QUEUES = [
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
]
WAITING = ("incoming", "active", "deferred", "hold")
COUNTED_MAILS = 100_000
TOOL_WITHIN_S = 5.0
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_RELAY = re.compile(r"(\[[A-Za-z0-9.:-]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_MAIN = """\
# Written at each start of {name} by ClusterWeb; changes are lost.
compatibility_level = 3.6
maillog_file = /dev/stdout
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME {marked}
meta_directory = {folder}
queue_directory = {queue}
data_directory = {run}/data
myhostname = {host}
myorigin = $myhostname
inet_interfaces = {interfaces}
inet_protocols = all
mynetworks =
mydestination =
local_transport = error:there are no local mailboxes
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = texthash:{folder}/mailboxes
virtual_transport = lmtp:unix:{store}/{lmtp}
recipient_delimiter = +
relayhost = {relay}
message_size_limit = {limit}
mailbox_size_limit = 0
smtputf8_enable = no
smtpd_banner = $myhostname ESMTP
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {store}/{auth}
disable_vrfy_command = yes
biff = no
transport_retry_time = 5s
queue_run_delay = 30s
minimal_backoff_time = 30s
smtp_tls_security_level = may
smtp_tls_CApath = /etc/ssl/certs
{tls}
"""
_TLS = """\
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}"""
_MASTER = """\
{address}:{port} inet n - n - - smtpd
{address}:{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_tls_security_level={level}
{encrypted}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_ENCRYPTED = """\
{address}:{tls_port} inet n - n - - smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes"""


class PostfixSMTP(EncryptedDaemon):
    type_name = "Exchange SMTP Virtual Server (Postfix)"
    description = "Takes mail by Postfix; its queue moves with the group's disk."
    icon = "send"
    notice = "Needs postfix on each node (its own service disabled), and an agent that runs as root."
    required_dependencies: ClassVar[tuple[str, ...]] = (ATTENDANT, STORE)
    part = "smtp"
    program, package = "postfix", "postfix"
    properties: ClassVar[tuple[Property, ...]] = (
        port("Port", 25, "SMTP, with STARTTLS where there is a certificate"),
        port("SubmissionPort", 587, "for users, who have to log in"),
        port("TlsPort", 465, "SMTP encrypted from the start"),
        Property(
            "HostName",
            placeholder="the network name",
            help="how the server calls itself; the name in its certificate",
        ),
        Property(
            "Domains",
            placeholder="the network name and HostName",
            help="domains whose mail is for the mailboxes, separated by commas",
        ),
        Property(
            "RelayHost",
            placeholder="none",
            help="server that takes mail for all other domains, such as [relay.example.org]:587",
        ),
        Property(
            "MessageSizeLimit",
            kind="int",
            default=50,
            minimum=1,
            maximum=2047,
            unit="MiB",
            help="the largest mail that is taken",
        ),
        Property(
            "QueueWarning",
            kind="int",
            default=500,
            minimum=1,
            unit="mails",
            help="a warning is shown while so many wait to be delivered",
        ),
        *certificate.PROPERTIES,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        super().check(values)
        for name, hosts in (("HostName", [values["HostName"]]), ("Domains", _listed(values["Domains"]))):
            for host in hosts:
                if host and not _HOST.fullmatch(host):
                    raise PropertyError(name, f"{host!r} is no name of a host or domain")
        if values["RelayHost"] and not _RELAY.fullmatch(values["RelayHost"]):
            raise PropertyError(
                "RelayHost", f"{values['RelayHost']!r} is neither NAME, NAME:PORT nor [ADDRESS]:PORT"
            )
        ports = [values["Port"], values["SubmissionPort"], values["TlsPort"]]
        if len(set(ports)) != len(ports):
            raise PropertyError("SubmissionPort", "Port, SubmissionPort and TlsPort have to differ")

    @property
    def folder(self) -> Path:
        return self.context.state_dir / "postfix"

    @property
    def store_run(self) -> Path:
        return place.run_folder(self.context, "store")

    def doors(self) -> list[Door]:
        encryption = STARTTLS if self.pair else NONE
        return [*super().doors(), Door(self.address, self["SubmissionPort"], encryption)]

    def prepare(self, executable: str) -> list[str]:
        uid, gid = place.user("postfix")
        queue = self.disk / "postfix"
        _prepare_queue(queue, uid, gid, place.group("postdrop"))
        (self.run / "data").mkdir()
        place.give(self.run / "data", uid, gid, 0o700)
        place.write(self.folder / "main.cf", self._main(queue))
        place.write(self.folder / "master.cf", self._master())
        names = [*accounts.mailboxes(self.provider(STORE).properties), accounts.PROBE]
        lines = [f"{name}@{domain} {name}\n" for domain in self.domains() for name in names]
        place.write(self.folder / "mailboxes", "".join(lines))
        master = place.program("master", "postfix", DAEMONS)
        return [master, "-c", str(self.folder), "-i"]

    def domains(self) -> list[str]:
        own = [self.network_name, self["HostName"] or ""]
        return list(dict.fromkeys(name.lower() for name in _listed(self["Domains"]) or own if name))

    def _main(self, queue: Path) -> str:
        pair = self.pair
        tls = (
            _TLS.format(certificate=pair.certificate, key=pair.key)
            if pair
            else "smtpd_tls_security_level = none"
        )
        loopback = ipaddress.ip_address(
            self.address
        ).is_loopback  # the kernel has all of 127/8, and lists one
        return _MAIN.format(
            name=self.context.name,
            marked=" ".join(place.MARKS),
            queue=queue,
            run=self.run,
            host=self["HostName"] or self.network_name,
            interfaces="loopback-only" if loopback else self.address,
            domains=", ".join(self.domains()),
            folder=self.folder,
            store=self.store_run,
            lmtp=LMTP,
            auth=AUTH,
            relay=self["RelayHost"] or "",
            limit=self["MessageSizeLimit"] << 20,
            tls=tls,
        )

    def _master(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        encrypted = _ENCRYPTED.format(address=address, tls_port=self["TlsPort"]) if self.pair else ""
        return _MASTER.format(
            address=address,
            port=self["Port"],
            submission=self["SubmissionPort"],
            level="encrypt" if self.pair else "none",
            encrypted=encrypted,
        )

    def started(self) -> None:
        """What waited for a server that was away is delivered now."""
        self._tool("postqueue", "-f")

    def explain(self) -> str:
        """The master speaks to a system log where its configuration is wrong; its tools don't."""
        return self._tool("postsuper", "-s")

    def _tool(self, name: str, *words: str) -> str:
        """Run a tool of Postfix on this instance; the last line of what it complains about."""
        argv = [place.program(name, self.package), "-c", str(self.folder), *words]
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=TOOL_WITHIN_S, check=False)
            return done.stderr.strip().rpartition("\n")[2]
        return ""

    def looks_alive(self) -> bool:
        waiting = _count(self.disk / "postfix")
        level = int(waiting >= self["QueueWarning"])
        text = f"{waiting} mail{'s wait' if waiting > 1 else ' waits'}" if waiting else "empty"
        self.context.show("Queue", text, level=level)
        return super().looks_alive()

    async def converse(self, door: Door) -> bytes:
        login = Login(accounts.PROBE, accounts.probe_password(self.store_run))
        presented, refusal = await probes.smtp(door, login)
        self.context.show("Mail", f"is refused: {refusal}" if refusal else "", level=1)
        return presented


def _prepare_queue(queue: Path, uid: int, gid: int, drop: int) -> None:
    """The folders of a queue, of this node's users; sockets and locks of an earlier master go."""
    queue.mkdir(parents=True, exist_ok=True)
    for name in QUEUES:
        place.give(queue / name, uid, gid, 0o700)
    place.give(queue / "public", uid, drop, 0o2710)
    place.give(queue / "maildrop", uid, drop, 0o1730)
    place.give(queue / "pid", 0, 0, 0o755)
    for folder in ("pid", "public", "private"):
        for left in (queue / folder).iterdir():
            left.unlink()


def _count(queue: Path) -> int:
    """Mails that are not delivered yet, COUNTED_MAILS at most, in whatever folders they are spread over."""
    found = 0
    for name in WAITING:
        for _, _, files in os.walk(queue / name):
            found += len(files)
            if found >= COUNTED_MAILS:
                return COUNTED_MAILS
    return found


def _listed(text: str | None) -> list[str]:
    return [each for each in re.split(r"[,\s]+", text or "") if each]
