"""The Information Store, IMAP4 and POP3 by Dovecot 2.3: one store, three instances.

The store's instance knows the mailboxes and takes mail for them by LMTP; those of the protocols
read and change the same mailboxes, which Dovecot's own locks keep in order. Each has its own
auth process: the ids of processes, by which one tells its clients apart, differ between them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.exchange.base import ATTENDANT
from monitoring.resource_dlls.exchange.daemons import accounts, certificate, place, probes
from monitoring.resource_dlls.exchange.daemons.base import Daemon, EncryptedDaemon, port
from monitoring.resource_dlls.exchange.daemons.probes import Door, Login

STORE = "Exchange Information Store (Dovecot)"
VERSION = "2.3."
AUTH, LMTP = "auth-postfix", "lmtp"
"""Sockets of the store that Postfix uses."""
_MARKED = " ".join(place.MARKS)

_CONFIGURATION = """\
# Written at each start of {name} by ClusterWeb; changes are lost.
base_dir = {run}
state_dir = {run}/state
instance_name = {instance}
import_environment = TZ CORE_OUTOFMEM CORE_ERROR {marked}
log_path = /dev/stderr
protocols = {protocols}
listen = {listen}
{tls}
auth_mechanisms = plain login
auth_username_format = %Ln
passdb {{
  driver = passwd-file
  args = {run}/passwd
}}
userdb {{
  driver = passwd-file
  args = {run}/passwd
}}
first_valid_uid = {uid}
last_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:~/Maildir
mail_fsync = always
recipient_delimiter = +
namespace inbox {{
  inbox = yes
  mailbox Drafts {{
    auto = subscribe
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Junk {{
    auto = subscribe
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \\Trash
  }}
}}
{services}
"""
_STORE_SERVICES = """\
service lmtp {{
  unix_listener {lmtp} {{
    mode = 0600
    user = {client}
  }}
}}
service auth {{
  unix_listener {auth} {{
    mode = 0600
    user = {client}
  }}
}}
"""
_LOGIN_SERVICE = """\
service {protocol}-login {{
  inet_listener {protocol} {{
    port = {port}
  }}
  inet_listener {protocol}s {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""


class Dovecot(Daemon):
    """An instance of Dovecot over the mailboxes on the group's disk."""

    program, package = "dovecot", "dovecot-core"
    protocols: ClassVar[str]

    def store(self) -> Mapping[str, Any]:
        """The properties of the Information Store."""
        return self.provider(STORE).properties

    def listen(self) -> str:
        return self.address

    def tls(self) -> str:
        return "ssl = no\ndisable_plaintext_auth = no"

    def services(self) -> str:
        raise NotImplementedError

    def prepare(self, executable: str) -> list[str]:
        _check_version(executable)
        store = self.store()
        uid, gid = place.user(store["MailUser"])
        mail = self.disk / "mail"
        place.give(mail, uid, gid, 0o700)
        place.check_way(mail, store["MailUser"])
        probe_password = accounts.new_probe_password(self.run)
        passwd = accounts.passwd(store, probe_password, uid, gid, mail)
        place.write(self.run / "passwd", passwd, mode=0o640, gid=place.group("dovecot"))
        configuration = self.context.state_dir / "dovecot.conf"
        text = _CONFIGURATION.format(
            name=self.context.name,
            run=self.run,
            instance=f"clusterweb-{self.run.parent.name}-{self.part}",
            marked=_MARKED,
            protocols=self.protocols,
            listen=self.listen(),
            tls=self.tls(),
            uid=uid,
            gid=gid,
            services=self.services(),
        )
        place.write(configuration, text)
        return [executable, "-F", "-c", str(configuration)]

    def login(self) -> Login:
        try:
            return Login(accounts.PROBE, accounts.probe_password(self.run))
        except OSError as error:
            raise ResourceError(f"the account of the probes is not there: {error}") from error


def _check_version(executable: str) -> None:
    try:
        done = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ResourceError(f"{executable} does not run: {error}") from error
    if not done.stdout.startswith(VERSION):
        raise ResourceError(
            f"Dovecot {VERSION}x is needed; this node has {done.stdout.split()[0] or 'another'}"
        )


class DovecotStore(Dovecot):
    type_name = STORE
    description = "Mailboxes on the group's disk, by Dovecot; takes mail for them from Postfix."
    icon = "database"
    notice = "Needs dovecot-core and dovecot-lmtpd on each node, and an agent that runs as root."
    single_per_group = True
    part = "store"
    protocols = "lmtp"
    properties: ClassVar[tuple[Property, ...]] = (
        *accounts.PROPERTIES,
        Property("MailUser", default="mail", help="the user of the operating system who owns the mailboxes"),
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        accounts.check_values(values)
        if values["MailUser"] == "root" or not values["MailUser"].isidentifier():
            raise PropertyError("MailUser", f"{values['MailUser']!r} cannot own mailboxes")

    def store(self) -> Mapping[str, Any]:
        return self._values

    def services(self) -> str:
        client = "postfix" if place.has_user("postfix") else "root"
        return _STORE_SERVICES.format(lmtp=LMTP, auth=AUTH, client=client)

    async def check_health(self) -> None:
        await probes.lmtp(str(self.run / LMTP), accounts.PROBE)
        self.context.show("Mailboxes", str(len(accounts.mailboxes(self._values))))


class LoginServer(EncryptedDaemon, Dovecot):
    """A protocol by which users read their mail."""

    required_dependencies: ClassVar[tuple[str, ...]] = (ATTENDANT, STORE)

    def tls(self) -> str:
        if (pair := self.pair) is None:
            return super().tls()
        return f"ssl = required\nssl_cert = <{pair.certificate}\nssl_key = <{pair.key}"

    def services(self) -> str:
        tls_port = self["TlsPort"] if self.pair else 0
        return _LOGIN_SERVICE.format(protocol=self.protocols, port=self["Port"], tls_port=tls_port)


class DovecotIMAP4(LoginServer):
    type_name = "Exchange IMAP4 Virtual Server (Dovecot)"
    description = "Lets clients read their mail where it lies, by Dovecot."
    icon = "inbox"
    notice = "Needs dovecot-imapd on each node, and an agent that runs as root."
    part = protocols = "imap"
    properties: ClassVar[tuple[Property, ...]] = (
        port("Port", 143, "IMAP4, with STARTTLS where there is a certificate"),
        port("TlsPort", 993, "IMAP4 encrypted from the start"),
        *certificate.PROPERTIES,
    )

    async def converse(self, door: Door) -> bytes:
        return await probes.imap(door, self.login())


class DovecotPOP3(LoginServer):
    type_name = "Exchange POP3 Virtual Server (Dovecot)"
    description = "Lets clients fetch their mail, by Dovecot."
    icon = "mail-open"
    notice = "Needs dovecot-pop3d on each node, and an agent that runs as root."
    part = protocols = "pop3"
    properties: ClassVar[tuple[Property, ...]] = (
        port("Port", 110, "POP3, with STLS where there is a certificate"),
        port("TlsPort", 995, "POP3 encrypted from the start"),
        *certificate.PROPERTIES,
    )

    async def converse(self, door: Door) -> bytes:
        return await probes.pop3(door, self.login())
