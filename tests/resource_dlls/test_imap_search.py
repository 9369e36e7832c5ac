"""SEARCH of IMAP4: each kind of search key, and how they are put together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from twisted.mail.imap4 import IllegalQueryError

from monitoring.resource_dlls.exchange.services.imap_search import Candidate, fits, looks_at_text
from monitoring.resource_dlls.exchange.services.mailstore import Entry

MAIL = (
    b"From: Bob <bob@evs1>\r\nTo: alice@evs1\r\nDate: Mon, 23 Nov 2026 23:30:00 +0100\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Spam: no\r\n\r\nThe password is swordfish.\r\n"
)
RECEIVED = datetime(2026, 11, 24, 9, 0, tzinfo=UTC).timestamp()


def found(*query: Any) -> bool:
    terms = [term if isinstance(term, list) else term.encode() for term in query]
    entry = Entry(7, len(MAIL), "\\Seen \\Flagged", RECEIVED)
    return fits(terms, Candidate(3, entry, MAIL, last_number=4, last_uid=9))


@pytest.mark.parametrize(
    "query",
    [
        ("ALL",),
        ("seen", "FLAGGED", "UNDELETED", "OLD"),
        ("3:*",),
        ("1,3",),
        ("UID", "5:7"),
        ("NOT", "4"),
        ("OR", "DELETED", "SEEN"),
        ("OR", "SEEN", "DELETED", "FLAGGED"),
        ([b"SEEN", [b"NOT", b"DRAFT"]], "UNANSWERED"),
        ("LARGER", "10", "SMALLER", "1000"),
        ("ON", "24-Nov-2026", "SINCE", "24-Nov-2026", "BEFORE", "25-Nov-2026"),
        ("SENTON", "23-Nov-2026", "SENTSINCE", "23-Nov-2026", "SENTBEFORE", "24-Nov-2026"),
        ("FROM", "BOB", "TO", "alice"),
        ("SUBJECT", "grüße"),
        ("HEADER", "X-Spam", ""),
        ("BODY", "Swordfish"),
        ("TEXT", "swordfish", "TEXT", "grüße"),
        ("UNKEYWORD", "$Junk"),
    ],
)
def test_a_message_is_found(query: tuple[Any, ...]) -> None:
    assert found(*query)


@pytest.mark.parametrize(
    "query",
    [
        ("UNSEEN",),
        ("NEW",),
        ("4:*",),
        ("UID", "8:*"),
        ("SEEN", "NOT", "FLAGGED"),
        ("BEFORE", "24-Nov-2026"),
        ("SENTSINCE", "24-Nov-2026"),
        ("CC", ""),
        ("BODY", "grüße"),
        ("HEADER", "X-Spam", "yes"),
        ("KEYWORD", "$Junk"),
    ],
)
def test_a_message_is_not_found(query: tuple[Any, ...]) -> None:
    assert not found(*query)


@pytest.mark.parametrize("query", [("BLUE",), ("SUBJECT",), ("LARGER", "big"), ("ON", "yesterday")])
def test_a_query_that_makes_no_sense_is_refused(query: tuple[Any, ...]) -> None:
    with pytest.raises((IllegalQueryError, ValueError)):
        found(*query)


def test_the_text_is_read_only_where_a_query_looks_at_it() -> None:
    assert looks_at_text([b"SEEN", [b"OR", b"subject", b"x", b"ALL"]])
    assert not looks_at_text([b"UNSEEN", b"UID", b"1:*", b"SINCE", b"24-Nov-2026"])
