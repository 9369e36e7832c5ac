"""The IMAP4 virtual server: the inbox of each mailbox, read from the store as it is asked for."""

from __future__ import annotations

import email
import email.message
import time
from collections.abc import Iterator, Mapping
from email.policy import compat32
from io import BytesIO
from typing import Any
from xmlrpc.client import Binary

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import inlineCallbacks
from twisted.mail import imap4
from zope.interface import implementer

from monitoring.resource_dlls.exchange.services.calls import Service
from monitoring.resource_dlls.exchange.services.gate import StoreFactory, StoreGate
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.mailstore import Entry
from monitoring.resource_dlls.exchange.services.place import Place, run

INBOX = "INBOX"
FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")


def serve(place: Mapping[str, Any], port: int, ready: str) -> None:
    def start(here: Place) -> None:
        reactor.listenTCP(port, StoreFactory(StoreIMAP, here), interface=here.address)

    run(place, ready, start)


class StoreIMAP(StoreGate, imap4.IMAP4Server):
    """The server, once the store has answered."""

    unavailable = "* BYE {name} the store is not available, try again later\r\n"
    factory: StoreFactory

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
        inbox = Inbox(self._store, self._mailbox, True)
        return [(INBOX, inbox)] if pattern.match(INBOX) else []

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


@implementer(imap4.IMailbox)
class Inbox:
    """The messages as they were when the folder was selected; their text is fetched when it is wanted."""

    def __init__(self, store: Service, mailbox: str, writable: bool) -> None:
        self._store = store
        self._mailbox = mailbox
        self._writable = writable
        self._entries: list[Entry] = []
        self._validity = self._next_uid = 0

    @inlineCallbacks
    def refresh(self) -> Any:
        self._validity, self._next_uid = yield self._store.call("status", self._mailbox)
        entries = yield self._store.call("entries", self._mailbox)
        self._entries = [Entry(*entry) for entry in entries]

    def getUIDValidity(self) -> int:  # noqa: N802
        return self._validity

    def getUIDNext(self) -> int:  # noqa: N802
        return self._next_uid

    def getUID(self, message: int) -> int:  # noqa: N802
        return self._entries[message - 1].uid

    def getMessageCount(self) -> int:  # noqa: N802
        return len(self._entries)

    def getRecentCount(self) -> int:  # noqa: N802
        return 0

    def getUnseenCount(self) -> int:  # noqa: N802
        return sum("\\Seen" not in entry.flags.split() for entry in self._entries)

    def isWriteable(self) -> bool:  # noqa: N802
        return self._writable

    def getFlags(self) -> list[str]:  # noqa: N802
        return list(FLAGS)

    def getHierarchicalDelimiter(self) -> str:  # noqa: N802
        return "/"

    def addListener(self, listener: Any) -> None:  # noqa: N802
        pass

    removeListener = addListener  # noqa: N815

    def destroy(self) -> None:
        raise imap4.MailboxException("INBOX cannot be deleted")

    def requestStatus(self, names: list[str]) -> Any:  # noqa: N802
        return imap4.statusRequestHelper(self, names)

    @inlineCallbacks
    def addMessage(self, message: Any, flags: Any = (), date: Any = None) -> Any:  # noqa: N802
        data = Binary(message.read())
        yield self._store.call("append", self._mailbox, data, " ".join(flags), time.time())
        yield self.refresh()

    @inlineCallbacks
    def fetch(self, messages: imap4.MessageSet, uid: bool) -> Any:
        found = []
        for number, entry in list(self._chosen(messages, uid)):
            data = yield self._store.call("data", self._mailbox, entry.uid)
            if data is not None:  # another client may have deleted it
                found.append((number, Message(entry, data.data)))
        return found

    @inlineCallbacks
    def store(self, messages: imap4.MessageSet, flags: Any, mode: int, uid: bool) -> Any:
        changed = {}
        for number, entry in list(self._chosen(messages, uid)):
            old = entry.flags.split()
            kept = [flag for flag in old if flag not in flags] if mode <= 0 else old
            new = (
                list(flags)
                if mode == 0
                else [*kept, *(f for f in flags if f not in kept)]
                if mode > 0
                else kept
            )
            yield self._store.call("set_flags", self._mailbox, entry.uid, " ".join(new))
            self._entries[number - 1] = Entry(entry.uid, entry.size, " ".join(new), entry.received)
            changed[number] = new
        return changed

    @inlineCallbacks
    def expunge(self) -> Any:
        """Delete what is marked; its numbers, each counted after the deletions before it."""
        gone = [e for e in self._entries if "\\Deleted" in e.flags.split()]
        yield self._store.call("delete", self._mailbox, [entry.uid for entry in gone])
        numbers = []
        for entry in gone:
            numbers.append(self._entries.index(entry) + 1)
            self._entries.remove(entry)
        return numbers

    def _chosen(self, messages: imap4.MessageSet, by_uid: bool) -> Iterator[tuple[int, Entry]]:
        """Number and entry of each message of a set that names them by number or by uid."""
        messages.last = (self._entries[-1].uid if self._entries else 0) if by_uid else len(self._entries)
        for number, entry in enumerate(self._entries, start=1):
            if (entry.uid if by_uid else number) in messages:
                yield number, entry


@implementer(imap4.IMessage, imap4.IMessageFile)
class Message:
    """A message, or a part of one, as Twisted asks for it; parsed only where its parts are wanted."""

    def __init__(self, entry: Entry, data: bytes) -> None:
        self._entry = entry
        self._data = data
        self._parsed: email.message.Message | None = None

    @property
    def _message(self) -> email.message.Message:
        if self._parsed is None:
            self._parsed = email.message_from_bytes(self._data, policy=compat32)
        return self._parsed

    def open(self) -> BytesIO:
        return BytesIO(self._data)

    def getUID(self) -> int:  # noqa: N802
        return self._entry.uid

    def getFlags(self) -> list[str]:  # noqa: N802
        return self._entry.flags.split()

    def getInternalDate(self) -> str:  # noqa: N802
        return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(self._entry.received))

    def getSize(self) -> int:  # noqa: N802
        return len(self._data)

    def getHeaders(self, negate: bool, *names: Any) -> dict[str, str]:  # noqa: N802
        wanted = {(n.decode() if isinstance(n, bytes) else n).lower() for n in names}
        return {
            name.lower(): str(value)
            for name, value in self._message.items()
            if (name.lower() in wanted) != bool(negate)
        }

    def getBodyFile(self) -> BytesIO:  # noqa: N802
        _, _, body = self._data.partition(b"\r\n\r\n")
        return BytesIO(body)

    def isMultipart(self) -> bool:  # noqa: N802
        return self._message.is_multipart()

    def getSubPart(self, part: int) -> Message:  # noqa: N802
        if not self.isMultipart():
            raise TypeError("not a message of several parts")
        parts: Any = self._message.get_payload()
        data: bytes = parts[part].as_bytes(policy=compat32.clone(linesep="\r\n"))
        return Message(self._entry, data)
