"""The Message Transfer Agent: carries mail from one virtual server to another, for the whole cluster.

It takes mail by SMTP, has it on disk before it says so, and delivers it to the address that
the recipient's network name leads to at that moment, again and again while the name is
nowhere: a failover in between delays a mail, and loses none. A mail that nobody will take,
or that nobody has taken in two days, goes back to its sender (RFC 5321, 6.1).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.mail import smtp
from zope.interface import implementer

from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.mailstore import connect
from monitoring.resource_dlls.exchange.services.pauses import pause
from monitoring.resource_dlls.exchange.services.place import Place, run
from monitoring.resource_dlls.exchange.services.smtp import LARGEST_MAIL, TemporarySMTP
from monitoring.resource_dlls.exchange.services.spool import SCHEMA, Parcel, Spool
from monitoring.resource_dlls.exchange.services.transfer import RefusedError, TemporaryFailureError, send
from monitoring.resource_dlls.network_name.names import NameRegistry
from monitoring.resource_dlls.physical_disk import fence

RETRY_S = 2.0
LONGEST_RETRY_S = 60.0
GIVE_UP_S = 2 * 24 * 3600.0
logger = Logger()


def serve(place: Mapping[str, Any], port: int, smtp_port: int, ready: str) -> None:
    def start(here: Place) -> None:
        agent = TransferAgent(here, smtp_port)
        reactor.listenTCP(port, SpoolFactory(here, agent), interface=here.address)
        reactor.callWhenRunning(agent.work)

    run(place, ready, start)


class TransferAgent:
    """The queue on disk, and its delivery."""

    def __init__(self, place: Place, smtp_port: int) -> None:
        self._place = place
        self._smtp_port = smtp_port
        self._names = NameRegistry(place.names) if place.names else None
        self._wake: Deferred[Any] = Deferred()
        folder = Path(place.disk) / "mta"
        folder.mkdir(exist_ok=True)
        with fence.writing(place.disk, place.epoch):
            self._db = connect(folder / "spool.sqlite")
            self._db.executescript(SCHEMA)
        self._spool = Spool(self._db, self._writing)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with fence.writing(self._place.disk, self._place.epoch), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def accept(self, sender: str, recipients: list[str], data: bytes) -> None:
        """Take a mail; it is on disk when this returns."""
        self._spool.add(sender, recipients, data)
        wake, self._wake = self._wake, Deferred()
        wake.callback(None)

    @inlineCallbacks
    def work(self) -> Any:
        """Deliver what there is, then sleep until more comes, for as long as the process lives."""
        wait = RETRY_S
        while True:
            wake = self._wake
            try:
                left = yield self._deliver_all()
            except fence.FencedError as error:
                self._place.journal("fenced", reason=str(error))
                reactor.stop()
                return
            if left:
                yield pause(wait)
                wait = min(wait * 2, LONGEST_RETRY_S)
            else:
                wait = RETRY_S
                yield wake

    @inlineCallbacks
    def _deliver_all(self) -> Any:
        """Try every mail once; how many are still here."""
        left = 0
        for number in self._spool.ids():
            parcel = self._spool.get(number)
            if parcel is None:
                continue
            try:
                yield self._deliver(parcel)
            except RefusedError as error:
                self._return_to_sender(parcel, str(error))
            except TemporaryFailureError as error:
                if time.time() - parcel.since > GIVE_UP_S:
                    self._return_to_sender(parcel, f"not delivered in two days: {error}")
                else:
                    left += 1
                    continue
            self._spool.remove(number)
        return left

    @inlineCallbacks
    def _deliver(self, parcel: Parcel) -> Any:
        name = parcel.recipient.rpartition("@")[2].partition(".")[0]
        addresses = self._names.addresses(name) if self._names else ()
        if not addresses:
            raise TemporaryFailureError(f"{name} is online nowhere")
        yield send(
            self._place.name, addresses[0], self._smtp_port, parcel.sender, parcel.recipient, parcel.data
        )
        self._place.journal("serve", what="deliver", recipient=parcel.recipient, address=addresses[0])

    def _return_to_sender(self, parcel: Parcel, reason: str) -> None:
        """Queue a notice to the sender; a mail without one (a notice) is dropped, with a line in the log."""
        if not parcel.sender:
            logger.warn("a notice to {to} was dropped: {reason}", to=parcel.recipient, reason=reason)
            return
        notice = EmailMessage()
        notice["From"] = f"postmaster@{self._place.name}"
        notice["To"] = parcel.sender
        notice["Date"] = formatdate()
        notice["Subject"] = f"Your mail to {parcel.recipient} was not delivered"
        notice.set_content(f"{reason}\n\nIt began:\n\n{parcel.data[:2000].decode('utf-8', 'replace')}\n")
        self.accept("", [parcel.sender], notice.as_bytes().replace(b"\n", b"\r\n"))


class SpoolFactory(ServerFactory):
    """Takes mail by SMTP into the queue."""

    noisy = False

    def __init__(self, place: Place, agent: TransferAgent) -> None:
        self._place = place
        self._agent = agent

    def buildProtocol(self, addr: Any) -> TemporarySMTP:  # noqa: N802
        protocol = TemporarySMTP()
        protocol.factory = self
        protocol.host = self._place.name.encode()
        protocol.delivery = SpoolDelivery(self._place, self._agent)
        return protocol


@implementer(smtp.IMessageDelivery)
class SpoolDelivery:
    """Takes mail for the names of this cluster."""

    def __init__(self, place: Place, agent: TransferAgent) -> None:
        self._place = place
        self._agent = agent
        self._names = NameRegistry(place.names) if place.names else None
        self._sender = ""

    def receivedHeader(self, helo: tuple[bytes, bytes], origin: Any, recipients: Any) -> bytes:  # noqa: N802
        return f"Received: by {self._place.name} (transfer agent); {formatdate()}".encode()

    def validateFrom(self, helo: Any, origin: smtp.Address) -> smtp.Address:  # noqa: N802
        self._sender = str(origin)
        return origin

    def validateTo(self, user: smtp.User) -> Any:  # noqa: N802
        name = user.dest.domain.decode("ascii", "replace").partition(".")[0]
        if self._names is None or self._names.read(name) is None:
            raise smtp.SMTPServerError(550, f"{name} is no virtual server of this cluster")
        sender, recipient = self._sender, str(user.dest)
        return lambda: SpoolMessage(lambda data: self._agent.accept(sender, [recipient], data))


@implementer(smtp.IMessage)
class SpoolMessage:
    """A mail on its way into the queue."""

    def __init__(self, accept: Any) -> None:
        self._accept = accept
        self._lines: list[bytes] = []
        self._size = 0

    def lineReceived(self, line: bytes) -> None:
        self._size += len(line) + 2
        if self._size > LARGEST_MAIL:
            raise smtp.SMTPServerError(552, f"a mail may have at most {LARGEST_MAIL} bytes")
        self._lines.append(line)

    def eomReceived(self) -> Deferred[Any]:
        self._accept(b"\r\n".join([*self._lines, b""]))
        return succeed(None)

    def connectionLost(self) -> None:
        self._lines.clear()
