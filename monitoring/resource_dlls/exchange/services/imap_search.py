"""SEARCH of IMAP4 (RFC 3501, 6.4.4): whether a message fits a query.

A query is a list of terms as Twisted parses it: bytes, and lists for what stands in parentheses.
Twisted's own search compares text with bytes, and leaves out an answer that is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from twisted.mail import imap4

from monitoring.resource_dlls.exchange.services.mailstore import Entry
from monitoring.resource_dlls.exchange.services.web import header, parse, text_of

FLAG_KEYS = ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")
HEADER_KEYS = ("BCC", "CC", "FROM", "SUBJECT", "TO")
TEXT_KEYS = frozenset({*HEADER_KEYS, "BODY", "HEADER", "SENTBEFORE", "SENTON", "SENTSINCE", "TEXT"})


@dataclass
class Candidate:
    """A message that may fit. `data` may be empty where the query looks at no text (`looks_at_text`)."""

    number: int
    entry: Entry
    data: bytes
    last_number: int
    last_uid: int

    @cached_property
    def message(self) -> EmailMessage:
        return parse(self.data)

    @cached_property
    def flags(self) -> list[str]:
        return [flag.lower() for flag in self.entry.flags.split()]

    @property
    def received(self) -> date:
        return datetime.fromtimestamp(self.entry.received, UTC).date()

    @property
    def sent(self) -> date | None:
        """As the Date header has it, without regard to its time zone; None where that is no date."""
        try:
            return parsedate_to_datetime(header(self.message, "Date")).date()
        except ValueError:
            return None

    def has(self, name: str, text: str) -> bool:
        """Whether one of the headers of that name contains the text; any does where that is empty."""
        return name in self.message and text in header(self.message, name).lower()

    def body_has(self, text: str) -> bool:
        return text in text_of(self.message).lower()


def looks_at_text(query: Sequence[Any]) -> bool:
    """Whether the text of messages is needed, or perhaps needed, to decide."""
    return any(looks_at_text(t) if isinstance(t, list) else _text(t).upper() in TEXT_KEYS for t in query)


def fits(query: Sequence[Any], candidate: Candidate) -> bool:
    """Whether all terms are true of the message. IllegalQueryError or ValueError where they make no sense."""
    terms = list(query)
    results = []
    while terms:
        results.append(_term(terms, candidate))
    return all(results)


def _term(terms: list[Any], candidate: Candidate) -> bool:
    """Take one search key with its arguments off the terms; whether it is true."""
    first = terms.pop(0)
    if isinstance(first, list):
        return fits(first, candidate)
    key = _text(first).upper()
    if key[:1].isdigit() or key.startswith("*"):
        return candidate.number in imap4.parseIdList(first, candidate.last_number)
    if key == "NOT":
        return not _term(terms, candidate)
    if key == "OR":
        either = [_term(terms, candidate), _term(terms, candidate)]
        return any(either)
    if key not in KEYS:
        raise imap4.IllegalQueryError(f"there is no search key {key}")
    count, is_true = KEYS[key]
    if len(terms) < count:
        raise imap4.IllegalQueryError(f"{key} needs {count} arguments")
    arguments = [_text(terms.pop(0)) for _ in range(count)]
    return is_true(candidate, *arguments)


def _text(term: bytes) -> str:
    return term.decode("utf-8", "replace")


def _date(text: str) -> date:
    return datetime.strptime(text, "%d-%b-%Y").date()


def _flag_keys(name: str) -> dict[str, tuple[int, Callable[..., bool]]]:
    flag = f"\\{name.lower()}"
    return {name: (0, lambda c: flag in c.flags), f"UN{name}": (0, lambda c: flag not in c.flags)}


def _header_key(name: str) -> tuple[int, Callable[..., bool]]:
    return 1, lambda c, text: c.has(name, text.lower())


KEYS: dict[str, tuple[int, Callable[..., bool]]] = {
    "ALL": (0, lambda c: True),
    "RECENT": (0, lambda c: False),  # the store keeps no \Recent, which RFC 3501 allows
    "NEW": (0, lambda c: False),
    "OLD": (0, lambda c: True),
    "KEYWORD": (1, lambda c, flag: flag.lower() in c.flags),
    "UNKEYWORD": (1, lambda c, flag: flag.lower() not in c.flags),
    "LARGER": (1, lambda c, size: c.entry.size > int(size)),
    "SMALLER": (1, lambda c, size: c.entry.size < int(size)),
    "BEFORE": (1, lambda c, day: c.received < _date(day)),
    "ON": (1, lambda c, day: c.received == _date(day)),
    "SINCE": (1, lambda c, day: c.received >= _date(day)),
    "SENTBEFORE": (1, lambda c, day: c.sent is not None and c.sent < _date(day)),
    "SENTON": (1, lambda c, day: c.sent == _date(day)),
    "SENTSINCE": (1, lambda c, day: c.sent is not None and c.sent >= _date(day)),
    "UID": (1, lambda c, uids: c.entry.uid in imap4.parseIdList(uids.encode(), c.last_uid)),
    "HEADER": (2, lambda c, name, text: c.has(name, text.lower())),
    "BODY": (1, lambda c, text: c.body_has(text.lower())),
    "TEXT": (1, lambda c, text: c.body_has(text.lower()) or any(c.has(n, text.lower()) for n in c.message)),
    **{name: _header_key(name) for name in HEADER_KEYS},
    **{key: rule for name in FLAG_KEYS for key, rule in _flag_keys(name).items()},
}
"""Each search key: how many arguments it has, and whether it is true of a candidate."""
