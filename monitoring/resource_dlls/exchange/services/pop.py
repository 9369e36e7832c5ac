"""The POP3 virtual server: the messages of a mailbox as they are at login, fetched one by one."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import inlineCallbacks
from twisted.mail import pop3
from zope.interface import implementer

from monitoring.resource_dlls.exchange.services.calls import Service
from monitoring.resource_dlls.exchange.services.gate import StoreFactory, StoreGate
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.mailstore import Entry
from monitoring.resource_dlls.exchange.services.place import Place, run


def serve(place: Mapping[str, Any], port: int, ready: str) -> None:
    def start(here: Place) -> None:
        reactor.listenTCP(port, StoreFactory(StorePOP3, here), interface=here.address)

    run(place, ready, start)


class StorePOP3(StoreGate, pop3.POP3):
    """The server, once the store has answered."""

    unavailable = "-ERR {name} the store is not available, try again later\r\n"
    factory: Any
    """A StoreFactory."""
    timeOut = 10 * 60  # noqa: N815 - the least that RFC 1939 allows (section 3)

    def connectionMade(self) -> None:
        self.magic = b"%s POP3 ClusterWeb" % self.factory.place.name.encode()
        super().connectionMade()

    @inlineCallbacks
    def authenticateUserPASS(self, user: bytes, password: bytes) -> Any:  # noqa: N802
        name = user.decode("utf-8", "replace").lower()
        known = yield self.factory.store.call("login", name, password.decode("utf-8", "replace"))
        if not known:
            raise UnauthorizedLogin
        entries = yield self.factory.store.call("entries", name)
        self.factory.place.journal("serve", what="login", mailbox=name)
        inbox = Inbox(self.factory.store, name, [Entry(*entry) for entry in entries])
        return pop3.IMailbox, inbox, lambda: None

    def authenticateUserAPOP(self, user: bytes, digest: bytes) -> Any:  # noqa: N802
        raise UnauthorizedLogin  # the greeting offers no challenge

    @inlineCallbacks
    def do_QUIT(self) -> Any:
        """Say OK only once the store has deleted what the client marked (RFC 1939, section 6)."""
        if self.mbox:
            try:
                yield self.mbox.delete_marked()
            except Exception as error:
                self.failResponse(f"nothing was deleted: {error}")
                self.transport.loseConnection()
                return
        super().do_QUIT()


@implementer(pop3.IMailbox)
class Inbox:
    """What one client sees; deletions wait for QUIT."""

    def __init__(self, store: Service, mailbox: str, entries: list[Entry]) -> None:
        self._store = store
        self._mailbox = mailbox
        self._entries = entries
        self._marked: set[int] = set()

    def listMessages(self, index: int | None = None) -> Any:  # noqa: N802
        sizes = [0 if e.uid in self._marked else e.size for e in self._entries]
        return sizes if index is None else sizes[self._checked(index)]

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self._entries):
            raise ValueError("no such message")
        return index

    @inlineCallbacks
    def getMessage(self, index: int) -> Any:  # noqa: N802
        data = yield self._store.call("data", self._mailbox, self._entries[self._checked(index)].uid)
        if data is None:
            raise ValueError("the message was deleted by another client")
        return BytesIO(data.data.replace(b"\r\n", b"\n"))  # Twisted puts the \r back

    def getUidl(self, index: int) -> bytes:  # noqa: N802
        return b"%d" % self._entries[self._checked(index)].uid

    def deleteMessage(self, index: int) -> None:  # noqa: N802
        self._marked.add(self._entries[self._checked(index)].uid)

    def undeleteMessages(self) -> None:  # noqa: N802
        self._marked.clear()

    def delete_marked(self) -> Any:
        return self._store.call("delete", self._mailbox, sorted(self._marked))

    def sync(self) -> None:
        """Called by Twisted on QUIT, when `delete_marked` is done."""
