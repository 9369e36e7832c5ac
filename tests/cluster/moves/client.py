"""The mail client, in a place of its own: sends one mail after the other, and reads what is there.

    python -m tests.cluster.moves.client ADDRESS CERTIFICATE JOURNAL

Each line of the journal is an object: what was acknowledged or read, and when. Ends on SIGTERM.
"""

from __future__ import annotations

import imaplib
import json
import signal
import smtplib
import ssl
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

PATIENCE = 2.0
"""Seconds that the client waits for an answer before it begins anew."""
PAUSE = 0.05
SENDERS = "abc"
"""So many send at the same time, so that some mail is always on its way."""
USER, PASSWORD = "alice", "correct-horse"
PROBLEMS = (OSError, smtplib.SMTPException, imaplib.IMAP4.error)


class Client:
    def __init__(self, address: str, certificate: str, journal: Path) -> None:
        self._address = address
        self._tls = ssl.create_default_context(cafile=certificate)
        self._journal = journal.open("w", buffering=1)
        self._writing = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        tasks: list[Callable[[], None]] = [partial(self._send, letter) for letter in SENDERS]
        threads = [threading.Thread(target=task, daemon=True) for task in (*tasks, self._read)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # signals are heard between two waits
                thread.join(0.1)

    def _note(self, what: str, **details: Any) -> None:
        with self._writing:
            self._journal.write(json.dumps({"what": what, "at": time.monotonic(), **details}) + "\n")

    def _send(self, letter: str) -> None:
        number = 0
        while not self._ended.wait(PAUSE):
            number += 1
            mail = f"mail-{letter}{number}"
            try:
                self._send_one(mail)
            except PROBLEMS as error:
                self._note("not sent", mail=mail, error=repr(error)[:200])

    def _send_one(self, mail: str) -> None:
        text = f"From: {USER}@evs1\nTo: {USER}@evs1\nSubject: {mail}\nMessage-ID: <{mail}@client>\n\nHello\n"
        with smtplib.SMTP(self._address, 25, timeout=PATIENCE) as server:
            server.starttls(context=self._tls)
            server.sendmail(f"{USER}@evs1", [f"{USER}@evs1"], text)
            self._note("acknowledged", mail=mail)

    def _read(self) -> None:
        while not self._ended.wait(4 * PAUSE):
            try:
                with imaplib.IMAP4(self._address, 143, timeout=PATIENCE) as server:
                    server.starttls(self._tls)
                    server.login(USER, PASSWORD)
                    _, (count,) = server.select(readonly=True)
                    self._note("read", mails=int(count or b"0"))
            except PROBLEMS as error:
                self._note("not read", error=repr(error)[:200])


def mailbox(address: str, certificate: str) -> list[str]:
    """The subjects of all mails in the mailbox."""
    with imaplib.IMAP4_SSL(
        address, 993, ssl_context=ssl.create_default_context(cafile=certificate), timeout=20
    ) as server:
        server.login(USER, PASSWORD)
        server.select(readonly=True)
        _, parts = server.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        headers = [part[1].decode() for part in parts if isinstance(part, tuple)]
        return [header.partition(":")[2].strip() for header in headers]


if __name__ == "__main__":
    Client(sys.argv[1], sys.argv[2], Path(sys.argv[3])).run()
