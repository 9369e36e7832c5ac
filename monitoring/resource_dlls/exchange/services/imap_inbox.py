"""The inbox of an IMAP4 client: its messages by number, their text fetched when it is asked for."""

from __future__ import annotations

import email
import email.message
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.policy import compat32
from io import BytesIO
from typing import Any
from xmlrpc.client import Binary

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.mail import imap4
from zope.interface import implementer

from monitoring.resource_dlls.exchange.services.calls import Service
from monitoring.resource_dlls.exchange.services.imap_search import Candidate, fits, looks_at_text
from monitoring.resource_dlls.exchange.services.mailstore import Entry

FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")
FETCHED_WITHOUT_TEXT = frozenset({"flags", "internaldate", "rfc822size", "uid"})


def reads_text(query: Sequence[Any]) -> bool:
    """Whether what a FETCH asks for needs the text of the messages."""
    return any(item.type not in FETCHED_WITHOUT_TEXT for item in query)


def marks_seen(query: Sequence[Any]) -> bool:
    """Whether what a FETCH asks for counts as reading the messages (RFC 3501, 6.4.5)."""
    return any(
        item.type in ("rfc822", "rfc822text")
        or (item.type == "body" and not item.peek and (item.header or item.text or item.mime or item.empty))
        for item in query
    )


@implementer(imap4.IMailbox, imap4.ISearchableMailbox)
class Inbox:
    """The messages as they were when the client was last told of new ones.

    A message that another client deleted keeps its number, and has nothing to fetch any more.
    """

    def __init__(self, store: Service, mailbox: str, writable: bool) -> None:
        self._store = store
        self._mailbox = mailbox
        self._writable = writable
        self.reads_text = True
        self.marks_seen = False
        self._entries: list[Entry] = []
        self._validity = self._next_uid = 0

    @inlineCallbacks
    def refresh(self) -> Any:
        self._validity, self._next_uid = yield self._store.call("status", self._mailbox)
        entries = yield self._store.call("entries", self._mailbox)
        self._entries = [Entry(*entry) for entry in entries]

    @inlineCallbacks
    def take_new(self) -> Any:
        """Add what arrived since; how many messages that are."""
        entries = yield self._store.call("entries", self._mailbox)
        new = [Entry(*entry) for entry in entries if entry[0] > self._last_uid]
        self._entries += new
        return len(new)

    def wait(self, seconds: float, limit: float) -> Deferred[Any]:
        """Fires when there may be a new message, or after `seconds`."""
        return self._store.call("await_mail", self._mailbox, self._last_uid, seconds, limit=limit)

    @property
    def _last_uid(self) -> int:
        return self._entries[-1].uid if self._entries else 0

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

    @inlineCallbacks
    def fetch(self, messages: imap4.MessageSet, uid: bool) -> Any:
        chosen = list(self._chosen(messages, uid))
        if self.marks_seen and self._writable:
            for place, (number, entry) in enumerate(chosen):
                if "\\Seen" not in entry.flags.split():
                    chosen[place] = number, (yield self._set_flags(entry, [*entry.flags.split(), "\\Seen"]))
        found = yield self._read(chosen, self.reads_text)
        return [(number, Message(entry, entry.size, data)) for number, entry, data in found]

    @inlineCallbacks
    def search(self, query: list[Any], uid: bool) -> Any:
        """Numbers of the messages that fit; Twisted turns them into uids where those are wanted."""
        everything = list(enumerate(self._entries, start=1))
        last_number, last_uid = len(everything), self._last_uid
        found = yield self._read(everything, looks_at_text(query))
        return [
            number
            for number, entry, data in found
            if fits(query, Candidate(number, entry, data, last_number, last_uid))
        ]

    @inlineCallbacks
    def _read(self, chosen: Sequence[tuple[int, Entry]], with_text: bool) -> Any:
        """(number, entry, text) of each; without a message that another client has deleted."""
        found = []
        for number, entry in chosen:
            data = Binary(b"")
            if with_text:
                data = yield self._store.call("data", self._mailbox, entry.uid)
            if data is not None:
                found.append((number, entry, data.data))
        return found

    @inlineCallbacks
    def _set_flags(self, entry: Entry, flags: list[str]) -> Any:
        """The entry with its new flags."""
        yield self._store.call("set_flags", self._mailbox, entry.uid, " ".join(flags))
        changed = replace(entry, flags=" ".join(flags))
        if entry in self._entries:  # the client may have it expunged meanwhile
            self._entries[self._entries.index(entry)] = changed
        return changed

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
            yield self._set_flags(entry, new)
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
        messages.last = self._last_uid if by_uid else len(self._entries)
        for number, entry in enumerate(self._entries, start=1):
            if (entry.uid if by_uid else number) in messages:
                yield number, entry


@implementer(imap4.IMessage, imap4.IMessageFile)
class Message:
    """A message, or a part of one, as Twisted asks for it; parsed only where its parts are wanted."""

    def __init__(self, entry: Entry, size: int, data: bytes) -> None:
        self._entry = entry
        self._size = size
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
        return self._size

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
        return Message(self._entry, len(data), data)
