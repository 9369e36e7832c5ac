"""Who uses the cluster meanwhile: senders of mail, and an operator. They remember what was acknowledged."""

from __future__ import annotations

import contextlib
import random
import smtplib
import threading
import time
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import Any

from tests.chaos.fabric import NODES
from tests.chaos.rest import Rest

PATIENCE = 4.0
SMTP_PORT = 2525
MAILBOX = "alice"


class Sender(threading.Thread):
    """Sends mail to a virtual server, one after the other, at times for another virtual server too."""

    def __init__(self, server: str, address: str, others: Sequence[str], rng: random.Random) -> None:
        super().__init__(name=f"mail to {server}", daemon=True)
        self._server, self._address, self._others, self._rng = server, address, others, rng
        self._stop_asked = threading.Event()
        self.acknowledged: dict[str, str] = {}
        """Mail: the virtual server that has to have it."""
        self.failed = 0

    def run(self) -> None:
        number = 0
        while not self._stop_asked.wait(self._rng.uniform(0.05, 0.3)):
            number += 1
            elsewhere = self._rng.choice(self._others) if self._rng.random() < 0.25 else self._server
            mail = f"{self._server}-{number}"
            try:
                self._send(mail, elsewhere)
            except (OSError, smtplib.SMTPException):
                self.failed += 1  # it was not acknowledged: nobody relies on it
            else:
                self.acknowledged[mail] = elsewhere

    def _send(self, mail: str, receiver: str) -> None:
        message = EmailMessage()
        message["From"] = f"{MAILBOX}@{self._server.lower()}"
        message["To"] = f"{MAILBOX}@{receiver.lower()}"
        message["Subject"] = mail
        message.set_content("Are you there?")
        with smtplib.SMTP(timeout=PATIENCE) as server:
            server.connect(self._address, SMTP_PORT)
            server.ehlo()
            refused = server.send_message(message)
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)
            # From here on it is acknowledged, whatever becomes of the connection.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.quit()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(10 * PATIENCE)


class Operator(threading.Thread):
    """Moves groups, restarts and fails resources, drains and resumes nodes, on either dashboard."""

    def __init__(
        self, rest: Rest, groups: Sequence[str], rng: random.Random, say: Callable[[str], None]
    ) -> None:
        super().__init__(name="operator", daemon=True)
        self._rest, self._groups, self._rng, self._say = rest, groups, rng, say
        self._stop_asked = threading.Event()
        self.accepted: dict[int, str] = {}
        """Operation: what was asked for."""
        self.refused = 0
        self.unanswered = 0
        self._drained: str | None = None

    def run(self) -> None:
        while not self._stop_asked.wait(self._rng.uniform(0.5, 5.0)):
            path, body = self._wish()
            self._ask(path, body)

    def _wish(self) -> tuple[str, dict[str, Any]]:
        group, node = self._rng.choice(self._groups), self._rng.choice(NODES)
        dice = self._rng.random()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            return f"nodes/{drained}/resume", {"failback": self._rng.choice(("none", "immediate", "policy"))}
        if dice < 0.65:
            return f"groups/{group}/move", {"node": node, "reason": "chaos"}
        if dice < 0.75:
            return f"groups/{group}/restart", {}
        if dice < 0.9:
            return f"resources/{group} Beat/{self._rng.choice(('restart', 'fail'))}".replace(" ", "%20"), {}
        self._drained = node
        return f"nodes/{node}/drain", {}

    def _ask(self, path: str, body: dict[str, Any]) -> None:
        try:
            answer = self._rest.post(self._rng.randrange(2), path, body)
        except OSError as error:
            self._say(f"operator: {path}: {error}")
            if ": 409 " in str(error):
                self.refused += 1
            else:
                self.unanswered += 1
        else:
            self._say(f"operator: {path} accepted as {answer['operation']['id']}")
            self.accepted[answer["operation"]["id"]] = path

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(60)

    def resume_all(self) -> None:
        """No node stays paused; asked again until a dashboard answers."""
        for node in NODES:
            for _ in range(20):
                try:
                    if self._rest.get(f"nodes/{node}")["state"] != "Paused":
                        break
                except OSError:
                    pass
                self._ask(f"nodes/{node}/resume", {})
                time.sleep(0.5)
