"""A virtual server by Postfix, Dovecot and nginx for tests, on an address and a disk of the test's own."""

from __future__ import annotations

import ipaddress
import os
import shutil
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Provider, ResourceDLL
from monitoring.resource_dlls.exchange.daemons import place
from tests.resource_dlls.context import LocalContext, call, wait_until

PASSWORD = "correct-horse"
ATTENDANT = "Exchange System Attendant"
STORE = "Exchange Information Store (Dovecot)"
SMTP = "Exchange SMTP Virtual Server (Postfix)"
IMAP4 = "Exchange IMAP4 Virtual Server (Dovecot)"
POP3 = "Exchange POP3 Virtual Server (Dovecot)"
HTTP = "Exchange HTTP Virtual Server (nginx)"
TYPES = (STORE, SMTP, IMAP4, POP3, HTTP)
NEEDS = "needs root that may make process namespaces, and Postfix, Dovecot and nginx: make packages"


def can_run() -> bool:
    programs = ("postfix", "dovecot", "nginx")
    if os.geteuid() != 0 or not all(shutil.which(name, path=place.SBIN) for name in programs):
        return False
    return (
        subprocess.run(place.contained(["true"]), capture_output=True, timeout=20, check=False).returncode
        == 0
    )


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's are not; the servers' users work in it."""
    with tempfile.TemporaryDirectory(prefix="clusterweb-mail-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate and its key, and the context of a client that trusts it."""

    certificate: Path
    key: Path

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def properties(self, **more: Any) -> dict[str, Any]:
        return {"CertificateFile": str(self.certificate), "KeyFile": str(self.key), **more}


def make_certificate(folder: Path, *addresses: str, days: float = 365, name: str = "mail") -> Certificate:
    """A certificate for these addresses that signs itself; `days` may lie in the past."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.org")])
    until = datetime.now(UTC) + timedelta(days=days)
    names = [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=400))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("evs1"), *names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    found.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    found.key.chmod(0o600)
    return found


class SessionContext(LocalContext):
    """Ends processes as a node does: returns once none of theirs is left either."""

    def kill_all(self, grace: float = 0.0) -> None:
        sessions = {process.pid for process in self._processes}
        super().kill_all(grace)
        wait_until(lambda: not sessions & _sessions())


def _sessions() -> set[int]:
    """The sessions of all processes that have not ended (proc(5))."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found.add(int(fields[3]))
    return found


class Daemons:
    """The resources of one virtual server on one node."""

    def __init__(self, folder: Path, address: str, *, node: str = "NODE1") -> None:
        self.address = address
        self.disk = folder / "disk"
        self.disk.mkdir(exist_ok=True)
        self.contexts: dict[str, SessionContext] = {}
        self.resources: dict[str, ResourceDLL] = {}
        self._state = folder / f"state-{node}"
        self._node = node
        self._providers = [
            Provider("address", "IP Address", {"Address": address}),
            Provider("name", "Network Name", {"Name": "EVS1"}),
            Provider("disk", "Physical Disk", {"Path": str(self.disk)}),
        ]

    def make(self, type_name: str, given: Mapping[str, Any] | None = None) -> ResourceDLL:
        """The resource of the type; one that was made before is taken the place of."""
        dll = registry.get(type_name)
        first = {"Mailboxes": "alice, bob", "MailboxPassword": PASSWORD} if type_name == STORE else {}
        properties = dll.clean({**first, **(given or {})})
        context = self.contexts.get(type_name)
        if context is None:
            context = SessionContext(
                self._state / type_name.split()[1], providers=list(self._providers), node=self._node
            )
            self.contexts[type_name] = context
            self._providers.append(Provider(type_name, type_name, properties))
        self.resources[type_name] = dll(context, properties)
        return self.resources[type_name]

    def online(self, *types: str, **given: Any) -> None:
        for type_name in types:
            properties = {} if type_name == STORE else given
            call(self.make(type_name, properties).online)

    def terminate(self) -> None:
        for resource in reversed(self.resources.values()):
            call(resource.terminate)

    def send(self, subject: str, to: str = "alice@evs1", port: int = 25) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "bob@evs1", to, subject
        mail.set_content("Hello\n")
        with smtplib.SMTP(self.address, port, timeout=10) as client:
            client.send_message(mail)


def left_running(folder: Path, node: str = "NODE1") -> list[str]:
    """Whatever runs or works for the virtual server in the folder, whatever it calls itself."""
    sockets = place.run_folder(LocalContext(folder / f"state-{node}" / "any"), "any").parent.name
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(
            each in f"{words} {where}" for each in (str(folder), sockets)
        ):
            left.append(words)
    return left
