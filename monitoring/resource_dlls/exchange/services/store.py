"""The Information Store: owns the mail, and answers the calls of the other services.

It never serves a disk that has passed to another owner: the first sign of that ends it.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary

from twisted.internet.defer import Deferred

from monitoring.resource_dlls.exchange.services import calls
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.mailstore import MailStore
from monitoring.resource_dlls.exchange.services.place import Place, run
from monitoring.resource_dlls.physical_disk.fence import FencedError

ARRIVALS_AT_ONCE = 100
FENCED_EXIT = 75


def serve(
    place: Mapping[str, Any],
    port: int,
    storage_groups: int,
    mailboxes: Sequence[str],
    password: str,
    ready: str,
) -> None:
    def start(here: Place) -> None:
        mail = MailStore(Path(here.disk), here.epoch, storage_groups, mailboxes)
        store = InformationStore(here, mail, password)
        calls.listen(here, port, store.check, store)

    run(place, ready, start)


class InformationStore:
    """The calls. Mailboxes are named in lower case; mail travels as xmlrpc Binary."""

    calls = frozenset(
        {
            "check", "login", "has", "deliver", "append", "status", "entries", "data", "set_flags", "delete",
            "arrivals", "await_arrival", "outbound", "outbound_get", "outbound_sent", "await_outbound",
        }
    )  # fmt: skip

    def __init__(self, place: Place, mail: MailStore, password: str) -> None:
        self._place = place
        self._mail = mail
        self._password = password
        self._arrived = Bell()
        self._queued = Bell()

    def check(self) -> bool:
        self._guarded(self._mail.check)
        return True

    def _guarded(self, act: Callable[[], Any]) -> Any:
        """Do it, or end at once where the disk belongs to another owner."""
        try:
            return act()
        except FencedError as error:
            self._place.journal("fenced", reason=str(error))
            os._exit(FENCED_EXIT)

    def login(self, user: str, password: str) -> bool:
        """Whether the mailbox may be opened with the password."""
        right = hmac.compare_digest(password.encode(), self._password.encode())
        if right and self._password and self._mail.has(user):
            self._place.journal("serve", what="login", mailbox=user)
            return True
        return False

    def has(self, mailbox: str) -> bool:
        return self._mail.has(mailbox)

    def deliver(self, sender: str, local: list[str], remote: list[str], data: Binary) -> bool:
        """Take a mail; the answer means that it is on disk."""
        self._guarded(lambda: self._mail.deliver(sender, local, remote, data.data))
        self._place.journal("serve", what="deliver", mailboxes=local, elsewhere=remote)
        if local:
            self._arrived.ring()
        if remote:
            self._queued.ring()
        return True

    def append(self, mailbox: str, data: Binary, flags: str, received: float) -> int:
        uid: int = self._guarded(lambda: self._mail.append(mailbox, data.data, flags, received))
        self._arrived.ring()
        return uid

    def status(self, mailbox: str) -> tuple[int, int]:
        return self._mail.status(mailbox)

    def entries(self, mailbox: str) -> list[tuple[int, int, str, float]]:
        return [(e.uid, e.size, e.flags, e.received) for e in self._mail.entries(mailbox)]

    def data(self, mailbox: str, uid: int) -> Binary | None:
        data = self._mail.data(mailbox, uid)
        return None if data is None else Binary(data)

    def set_flags(self, mailbox: str, uid: int, flags: str) -> bool:
        self._guarded(lambda: self._mail.set_flags(mailbox, uid, flags))
        return True

    def delete(self, mailbox: str, uids: list[int]) -> bool:
        self._guarded(lambda: self._mail.delete(mailbox, uids))
        return True

    def arrivals(self, after: int) -> list[tuple[int, str, int]]:
        """(number, mailbox, uid) of the next mails after arrival number `after`."""
        return self._mail.arrivals(after, ARRIVALS_AT_ONCE)

    def await_arrival(self, after: int, seconds: float) -> Any:
        """As `arrivals`, but waits for one where there is none."""
        return self.arrivals(after) or self._arrived.wait(seconds, lambda: self.arrivals(after))

    def outbound(self) -> list[int]:
        """Numbers of the mails for elsewhere, oldest first."""
        return self._mail.outbound.ids()

    def await_outbound(self, seconds: float) -> Any:
        return self.outbound() or self._queued.wait(seconds, self.outbound)

    def outbound_get(self, number: int) -> tuple[str, str, Binary] | None:
        """(sender, recipient, mail) of a queued mail."""
        parcel = self._mail.outbound.get(number)
        return (parcel.sender, parcel.recipient, Binary(parcel.data)) if parcel else None

    def outbound_sent(self, number: int) -> bool:
        """The transfer agent has it on disk."""
        self._guarded(lambda: self._mail.outbound.remove(number))
        return True


class Bell:
    """Callers that wait for something to happen are answered when it rings, or when their time is over."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, []
        for answer, ask in waiting:
            answer.callback(ask())

    def wait(self, seconds: float, ask: Callable[[], Any]) -> Deferred[Any]:
        """What `ask` says at the next ring, or after `seconds`."""
        answer: Deferred[Any] = Deferred()
        entry = (answer, ask)
        self._waiting.append(entry)

        def give_up() -> None:
            self._waiting.remove(entry)
            answer.callback(ask())

        timer = reactor.callLater(seconds, give_up)

        def stop_timer(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        return answer.addBoth(stop_timer)
