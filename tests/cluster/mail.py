"""Mail as a client sends and reads it: by the virtual server's name, over real SMTP, IMAP4 and POP3."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
import uuid
from dataclasses import dataclass
from email.message import EmailMessage

from tests.cluster.harness import LiveCluster

PATIENCE = 10.0
MAILBOX = "alice"
SMTP, IMAP4, POP3 = (f"Exchange {protocol} Virtual Server" for protocol in ("SMTP", "IMAP4", "POP3"))
STORE = "Exchange Information Store"


@dataclass(frozen=True)
class Letter:
    """A mail that was delivered, by its subject."""

    cluster: LiveCluster
    group: str
    subject: str

    def check_readable(self) -> None:
        """Its virtual server hands it out, by IMAP and by POP3."""
        assert self.subject in subjects_by_imap(self.cluster, self.group)
        assert self.subject in subjects_by_pop3(self.cluster, self.group)


def address_of(cluster: LiveCluster, name: str) -> str:
    """Where the cluster's clients find a network name, as the registry of names has it."""
    lines = (cluster.home / "names" / "hosts").read_text().splitlines()
    return next(address for address, found in (line.split() for line in lines) if found == name)


def _port(cluster: LiveCluster, group: str, type_name: str) -> int:
    return int(cluster.resource(group, type_name).properties["Port"])


def _password(cluster: LiveCluster, group: str) -> str:
    return str(cluster.resource(group, STORE).properties["MailboxPassword"])


def send(cluster: LiveCluster, group: str) -> Letter:
    """Deliver a mail to the virtual server; it has said that it took it."""
    message = EmailMessage()
    message["From"] = "operator@example.com"
    message["To"] = f"{MAILBOX}@{group.lower()}"
    message["Subject"] = f"letter {uuid.uuid4()}"
    message.set_content("Are you there?")
    host, port = address_of(cluster, group), _port(cluster, group, SMTP)
    with smtplib.SMTP(host, port, timeout=PATIENCE) as server:
        server.send_message(message)
    return Letter(cluster, group, message["Subject"])


def subjects_by_imap(cluster: LiveCluster, group: str) -> list[str]:
    host, port = address_of(cluster, group), _port(cluster, group, IMAP4)
    with imaplib.IMAP4(host, port, timeout=PATIENCE) as server:
        server.login(MAILBOX, _password(cluster, group))
        server.select("INBOX", readonly=True)
        _, found = server.search(None, "ALL")
        subjects = []
        for number in found[0].split():
            _, parts = server.fetch(number, "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            subjects += [_subject(part[1]) for part in parts if isinstance(part, tuple)]
    return subjects


def subjects_by_pop3(cluster: LiveCluster, group: str) -> list[str]:
    server = poplib.POP3(address_of(cluster, group), _port(cluster, group, POP3), timeout=PATIENCE)
    try:
        server.user(MAILBOX)
        server.pass_(_password(cluster, group))
        count, _ = server.stat()
        return [_subject(b"\n".join(server.top(number, 0)[1])) for number in range(1, count + 1)]
    finally:
        server.quit()


def _subject(head: bytes) -> str:
    lines = head.decode().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.lower().startswith("subject:"))
