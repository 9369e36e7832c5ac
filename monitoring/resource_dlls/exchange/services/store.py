"""The Information Store: owns the mail, and answers the calls of the other services.

It never serves a disk that has passed to another owner: the first sign of that ends it.
"""

from __future__ import annotations

import functools
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
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


_Call = TypeVar("_Call", bound=Callable[..., Any])


def call(method: _Call) -> _Call:
    """A call of the store: made only while the disk is its own, else the process ends at once."""

    @functools.wraps(method)
    def made_by_owner(self: InformationStore, *arguments: Any) -> Any:
        try:
            self.mail.check_owner()
            return method(self, *arguments)
        except FencedError as error:
            self.place.journal("fenced", reason=str(error))
            os._exit(FENCED_EXIT)

    return calls.callable_by_others(cast(_Call, made_by_owner))


class InformationStore:
    """The calls. Mailboxes are named in lower case; mail travels as xmlrpc Binary."""

    def __init__(self, place: Place, mail: MailStore, password: str) -> None:
        self.place = place
        self.mail = mail
        self._password = password
        self._arrived = Bell()
        self._queued = Bell()

    @call
    def check(self) -> bool:
        """Raise where the store cannot serve."""
        self.mail.check()
        return True

    @call
    def login(self, user: str, password: str) -> bool:
        """Whether the mailbox may be opened with the password."""
        right = hmac.compare_digest(password.encode(), self._password.encode())
        if right and self._password and self.mail.has(user):
            self.place.journal("serve", what="login", mailbox=user)
            return True
        return False

    @call
    def has(self, mailbox: str) -> bool:
        return self.mail.has(mailbox)

    @call
    def deliver(self, sender: str, local: list[str], remote: list[str], data: Binary) -> bool:
        """Take a mail; the answer means that it is on disk."""
        self.mail.deliver(sender, local, remote, data.data)
        self.place.journal("serve", what="deliver", mailboxes=local, elsewhere=remote)
        if local:
            self._arrived.ring()
        if remote:
            self._queued.ring()
        return True

    @call
    def append(self, mailbox: str, data: Binary, flags: str, received: float) -> int:
        """Put a message into a mailbox; its uid."""
        uid = self.mail.append(mailbox, data.data, flags, received)
        self._arrived.ring()
        return uid

    @call
    def status(self, mailbox: str) -> tuple[int, int]:
        """(UIDVALIDITY, next uid)."""
        return self.mail.status(mailbox)

    @call
    def entries(self, mailbox: str) -> list[tuple[int, int, str, float]]:
        """The fields of each mailstore.Entry."""
        return [(e.uid, e.size, e.flags, e.received) for e in self.mail.entries(mailbox)]

    @call
    def data(self, mailbox: str, uid: int) -> Binary | None:
        data = self.mail.data(mailbox, uid)
        return None if data is None else Binary(data)

    @call
    def set_flags(self, mailbox: str, uid: int, flags: str) -> bool:
        self.mail.set_flags(mailbox, uid, flags)
        return True

    @call
    def delete(self, mailbox: str, uids: list[int]) -> bool:
        self.mail.delete(mailbox, uids)
        return True

    @call
    def await_arrival(self, after: int, seconds: float) -> Any:
        """(number, mailbox, uid) of the next mails after arrival `after`; waits where there is none."""

        def arrivals() -> list[tuple[int, str, int]]:
            return self.mail.arrivals(after, ARRIVALS_AT_ONCE)

        return arrivals() or self._arrived.wait(seconds, arrivals)

    @call
    def await_mail(self, mailbox: str, after: int, seconds: float) -> Any:
        """Whether the mailbox has got mail after uid `after`; waits for any mail where it has not."""

        def arrived() -> bool:
            return self.mail.status(mailbox)[1] > after + 1

        return arrived() or self._arrived.wait(seconds, arrived)

    @call
    def await_outbound(self, seconds: float) -> Any:
        """Numbers of the mails for elsewhere, oldest first; waits where there is none."""
        return self.mail.outbound.ids() or self._queued.wait(seconds, self.mail.outbound.ids)

    @call
    def outbound_get(self, number: int) -> tuple[str, str, Binary] | None:
        """(sender, recipient, mail) of a queued mail."""
        parcel = self.mail.outbound.get(number)
        return (parcel.sender, parcel.recipient, Binary(parcel.data)) if parcel else None

    @call
    def outbound_sent(self, number: int) -> bool:
        """The transfer agent has it on disk."""
        self.mail.outbound.remove(number)
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
