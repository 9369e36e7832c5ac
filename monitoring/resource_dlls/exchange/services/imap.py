"""The IMAP4 virtual server: the inbox of each mailbox, read from the store as it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import connectionDone
from twisted.mail import imap4
from zope.interface import implementer

from monitoring.resource_dlls.exchange.services import imap_inbox
from monitoring.resource_dlls.exchange.services.calls import ANSWER_LIMIT_S, Service, ServiceUnavailableError
from monitoring.resource_dlls.exchange.services.gate import StoreFactory, StoreGate
from monitoring.resource_dlls.exchange.services.imap_inbox import Inbox
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.pauses import pause
from monitoring.resource_dlls.exchange.services.place import Place, run

INBOX = "INBOX"
LONG_POLL_S = 60.0
RETRY_S = 2.0


def serve(place: Mapping[str, Any], port: int, ready: str) -> None:
    def start(here: Place) -> None:
        reactor.listenTCP(port, StoreFactory(StoreIMAP, here), interface=here.address)

    run(place, ready, start)


class StoreIMAP(StoreGate, imap4.IMAP4Server):
    """The server, once the store has answered."""

    unavailable = "* BYE {name} the store is not available, try again later\r\n"
    factory: StoreFactory
    mbox: Inbox | None
    timeOut = 30 * 60  # noqa: N815 - the least that RFC 3501 allows (5.4)
    _watching: Deferred[Any] | None = None

    def connectionMade(self) -> None:
        self.IDENT = b"%s IMAP4 ClusterWeb" % self.factory.place.name.encode()
        super().connectionMade()

    @inlineCallbacks
    def authenticateLogin(self, user: bytes, passwd: bytes) -> Any:  # noqa: N802
        name = user.decode("utf-8", "replace").lower()
        known = yield self.factory.store.call("login", name, passwd.decode("utf-8", "replace"))
        if not known:
            raise UnauthorizedLogin
        self.factory.place.journal("serve", what="login", mailbox=name)
        return imap4.IAccount, Account(self.factory.store, name), lambda: None

    def do_FETCH(self, tag: bytes, messages: Any, query: list[Any], uid: int = 0) -> None:
        assert self.mbox is not None
        self.mbox.reads_text = imap_inbox.reads_text(query)
        self.mbox.marks_seen = imap_inbox.marks_seen(query)
        super().do_FETCH(tag, messages, query, uid)

    select_FETCH: Any = (  # noqa: N815
        do_FETCH,
        imap4.IMAP4Server.arg_seqset,
        imap4.IMAP4Server.arg_fetchatt,
    )

    def do_NOOP(self, tag: bytes) -> None:
        """Clients ask with it for new mail (RFC 3501, 6.1.2)."""
        self._tell_new_mail().addBoth(lambda _: super(StoreIMAP, self).do_NOOP(tag))

    select_NOOP: Any = (do_NOOP,)  # noqa: N815

    def do_IDLE(self, tag: bytes) -> None:
        super().do_IDLE(tag)
        if self.mbox is not None:
            self._watching = self._watch(self.mbox)

    select_IDLE: Any = (do_IDLE,)  # noqa: N815

    def parse_idle(self, *line: Any) -> None:
        self._stop_watching()
        super().parse_idle(*line)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self._stop_watching()
        super().connectionLost(reason)

    def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()

    @inlineCallbacks
    def _watch(self, inbox: Inbox) -> Any:
        """Tell an idling client of new mail as it arrives (RFC 2177), until cancelled."""
        while True:
            try:
                yield inbox.wait(LONG_POLL_S, LONG_POLL_S + ANSWER_LIMIT_S)
                yield self._tell_new_mail()
            except ServiceUnavailableError:
                if self._watching is None:
                    return
                yield pause(RETRY_S)

    @inlineCallbacks
    def _tell_new_mail(self) -> Any:
        if self.mbox is not None and (yield self.mbox.take_new()):
            self.newMessages(self.mbox.getMessageCount(), None)

    def _cbAppendGotMailbox(self, mbox: Any, tag: Any, flags: Any, date: Any, message: Any) -> None:  # noqa: N802
        """APPEND without flags, which RFC 3501 allows (6.3.11) and Twisted stumbles over."""
        super()._cbAppendGotMailbox(mbox, tag, flags or (), date, message)


@implementer(imap4.IAccount, imap4.INamespacePresenter)
class Account:
    """One mailbox with one folder, the inbox."""

    def __init__(self, store: Service, mailbox: str) -> None:
        self._store = store
        self._mailbox = mailbox

    @inlineCallbacks
    def select(self, name: str, rw: bool = True) -> Any:
        if name.upper() != INBOX:
            return None
        inbox = Inbox(self._store, self._mailbox, bool(rw))
        yield inbox.refresh()
        return inbox

    def listMailboxes(self, ref: str, wildcard: str) -> list[tuple[str, Any]]:  # noqa: N802
        pattern = imap4.wildcardToRegexp(wildcard, "/")
        return [(INBOX, ListedInbox())] if pattern.match(INBOX) else []

    def isSubscribed(self, name: str) -> bool:  # noqa: N802
        return name.upper() == INBOX

    def subscribe(self, name: str) -> None:
        if name.upper() != INBOX:
            self._refuse(name)

    def _refuse(self, *_: Any) -> Any:
        raise imap4.MailboxException("a mailbox has one folder here, INBOX")

    addMailbox = create = delete = rename = unsubscribe = _refuse  # noqa: N815

    def getPersonalNamespaces(self) -> list[list[str]]:  # noqa: N802
        return [["", "/"]]

    def getSharedNamespaces(self) -> None:  # noqa: N802
        return None

    getOtherNamespaces = getUserNamespaces = getSharedNamespaces  # noqa: N815


class ListedInbox:
    """The inbox as LIST shows it, where flags are not those of messages: it has no folders below it."""

    def getFlags(self) -> list[str]:  # noqa: N802
        return ["\\Noinferiors"]

    def getHierarchicalDelimiter(self) -> str:  # noqa: N802
        return "/"
