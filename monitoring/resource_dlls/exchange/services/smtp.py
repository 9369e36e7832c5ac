"""The SMTP virtual server: takes mail for the mailboxes here, and for other virtual servers.

250 after DATA means that the store has the mail on disk. Where the store is away the client
hears 421 or 451, keeps the mail and comes again (RFC 5321, 4.2.5). Only the cluster's own
names are accepted: it relays for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any
from xmlrpc.client import Binary

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.mail import smtp
from zope.interface import implementer

from monitoring.resource_dlls.exchange.services.calls import Service
from monitoring.resource_dlls.exchange.services.gate import StoreFactory, StoreGate
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.place import Place, run
from monitoring.resource_dlls.network_name.names import NameRegistry

LARGEST_MAIL = 25 * 1024 * 1024
MOST_HOPS = 25
"""A mail with more Received lines runs in a circle (RFC 5321, 6.3)."""


def serve(place: Mapping[str, Any], port: int, ready: str) -> None:
    def start(here: Place) -> None:
        reactor.listenTCP(port, StoreFactory(StoreSMTP, here), interface=here.address)

    run(place, ready, start)


class TemporarySMTP(smtp.ESMTP):
    """ESMTP that says with each failure whether the client should come again.

    Twisted answers every mail that could not be handled with 550, for good.
    """

    host: bytes

    def greeting(self) -> bytes:
        return b"%s ESMTP ClusterWeb" % self.host

    def _messageHandled(self, results: list[tuple[bool, Any]]) -> None:  # noqa: N802
        for succeeded, result in results:
            if not succeeded:
                code = getattr(result.value, "code", 451)
                self.sendCode(code, str(getattr(result.value, "resp", result.value)).encode())
                return
        self.sendCode(250, b"the mail is on disk")


class StoreSMTP(StoreGate, TemporarySMTP):
    """The server, once the store has answered."""

    unavailable = "421 {name} the store is not available, try again later\r\n"
    factory: StoreFactory

    def connectionMade(self) -> None:
        self.host = self.factory.place.name.encode()
        self.delivery = Delivery(self.factory)
        super().connectionMade()


@implementer(smtp.IMessageDelivery)
class Delivery:
    """What one client sends: decides on its recipients, and makes the mail of each transaction."""

    def __init__(self, factory: StoreFactory) -> None:
        self._place = factory.place
        self._store = factory.store
        self._names = NameRegistry(factory.place.names) if factory.place.names else None
        self._mail: Mail | None = None

    def receivedHeader(self, helo: tuple[bytes, bytes], origin: Any, recipients: Any) -> bytes:  # noqa: N802
        said, peer = ((word or b"?").decode("ascii", "replace") for word in helo)
        line = f"Received: from {said} ([{peer}]) by {self._place.name} with ESMTP; {formatdate()}"
        return line.encode()

    def validateFrom(self, helo: Any, origin: smtp.Address) -> smtp.Address:  # noqa: N802
        if not str(origin).isprintable():
            raise smtp.SMTPBadSender(origin)
        self._mail = Mail(self._place, self._store, str(origin))
        return origin

    @inlineCallbacks
    def validateTo(self, user: smtp.User) -> Any:  # noqa: N802
        """How to make the message for a recipient, or the reason why not."""
        mailbox = user.dest.local.decode("ascii", "replace").lower()
        host = user.dest.domain.decode("ascii", "replace").partition(".")[0].upper()
        mail = self._mail
        assert mail is not None
        if not str(user.dest).isprintable():
            raise smtp.SMTPBadRcpt(user)
        if host in ("", self._place.name):
            try:
                exists = yield self._store.call("has", mailbox)
            except Exception as error:
                raise smtp.SMTPServerError(451, f"the store is not available: {error}") from error
            if not exists:
                raise smtp.SMTPBadRcpt(user)
            return lambda: mail.copy_for(mail.local, mailbox)
        if self._names is None or self._names.read(host) is None:
            raise smtp.SMTPServerError(550, f"{host} is no virtual server of this cluster")
        return lambda: mail.copy_for(mail.remote, str(user.dest))


class Mail:
    """One mail, whatever the number of its recipients: stored in one call, for all or none."""

    def __init__(self, place: Place, store: Service, sender: str) -> None:
        self._place = place
        self._store = store
        self._sender = sender
        self._lines: list[bytes] = []
        self._size = 0
        self.local: list[str] = []
        self.remote: list[str] = []

    def copy_for(self, recipients: list[str], recipient: str) -> Copy:
        first = not (self.local or self.remote)
        if recipient not in recipients:
            recipients.append(recipient)
        return Copy(self if first else None)

    def add(self, line: bytes) -> None:
        self._size += len(line) + 2
        if self._size > LARGEST_MAIL:
            raise smtp.SMTPServerError(552, f"a mail may have at most {LARGEST_MAIL} bytes")
        self._lines.append(line)

    def store(self) -> Deferred[Any]:
        hops = sum(line[:9].lower() == b"received:" for line in self._lines)
        if hops > MOST_HOPS:
            raise smtp.SMTPServerError(554, "the mail runs in a circle")
        data = Binary(b"\r\n".join([*self._lines, b""]))
        stored: Deferred[Any] = self._store.call("deliver", self._sender, self.local, self.remote, data)
        stored.addCallbacks(self._journal, self._try_again)
        return stored

    def _journal(self, _: Any) -> None:
        self._place.journal("serve", what="mail", recipients=[*self.local, *self.remote])

    def _try_again(self, failure: Any) -> None:
        raise smtp.SMTPServerError(451, f"the mail was not stored: {failure.getErrorMessage()}")


@implementer(smtp.IMessage)
class Copy:
    """Twisted hands every line to one object a recipient: the first carries the mail for all."""

    def __init__(self, mail: Mail | None) -> None:
        self._mail = mail

    def lineReceived(self, line: bytes) -> None:
        if self._mail:
            self._mail.add(line)

    def eomReceived(self) -> Deferred[Any]:
        return self._mail.store() if self._mail else succeed(None)

    def connectionLost(self) -> None:
        self._mail = None
