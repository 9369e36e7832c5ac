"""The HTTP virtual server: shows a mailbox to a browser, and searches it.

One page for the list, one a message; the mailbox's name and password by HTTP authentication.
"""

from __future__ import annotations

import email
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import default as modern
from html import escape
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.web import resource, server

from monitoring.resource_dlls.exchange.services.calls import QuietSite, Service
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.place import Place, run

NEWEST = 50
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ border-bottom: 1px solid #8884; padding: .4rem; text-align: left }}
pre {{ white-space: pre-wrap }} form {{ margin: 1rem 0 }}
</style></head><body><h1>{title}</h1>{body}</body></html>"""
SEARCH_FORM = (
    '<form action="/"><input name="q" aria-label="Search" value="{0}"> <button>Search</button></form>'
)


def serve(place: Mapping[str, Any], port: int, ready: str) -> None:
    def start(here: Place) -> None:
        root: Any = Webmail(here)  # Twisted declares its interfaces at run time
        root.putChild(b"", root)
        health: Any = Health(here)
        root.putChild(b"health", health)
        reactor.listenTCP(port, QuietSite(root), interface=here.address)

    run(place, ready, start)


class Health(resource.Resource):
    """200 while the store can be reached, else 503."""

    isLeaf = True  # noqa: N815

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._store = Service(place, "store")

    def render_GET(self, request: Any) -> int:  # noqa: N802
        self._store.call("check").addCallbacks(
            lambda _: _answer(request, 200, f"{self._place.name} ok\n"),
            lambda failure: _answer(request, 503, f"{failure.getErrorMessage()}\n"),
        )
        return int(server.NOT_DONE_YET)


class Webmail(resource.Resource):
    """The list at /, found messages at /?q=WORDS, a message at /UID."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place
        self._store = Service(place, "store")
        self._search = Service(place, "search")

    def getChild(self, path: bytes, request: Any) -> Webmail:  # noqa: N802
        return self

    def render_GET(self, request: Any) -> int:  # noqa: N802
        self._page(request).addErrback(
            lambda failure: _answer(request, 503, f"{self._place.name}: {failure.getErrorMessage()}\n")
        )
        return int(server.NOT_DONE_YET)

    @inlineCallbacks
    def _page(self, request: Any) -> Any:
        mailbox = request.getUser().decode("utf-8", "replace").lower()
        password = request.getPassword().decode("utf-8", "replace")
        known = yield self._store.call("login", mailbox, password)
        if not known:
            request.setHeader(b"www-authenticate", f'Basic realm="{self._place.name}"'.encode())
            _answer(request, 401, "log in with the name and password of a mailbox\n")
            return
        self._place.journal("serve", what="page", mailbox=mailbox)
        wanted = request.path.strip(b"/").decode("ascii", "replace")
        if wanted.isdigit():
            page = yield self._message(mailbox, int(wanted))
        elif wanted:
            page = None
        else:
            query = request.args.get(b"q", [b""])[0].decode("utf-8", "replace").strip()
            page = yield self._list(mailbox, query)
        if page is None:
            _answer(request, 404, "there is no such message\n")
        else:
            title = f"{mailbox} on {self._place.name}"
            _answer(request, 200, PAGE.format(title=escape(title), body=page), "text/html")

    @inlineCallbacks
    def _list(self, mailbox: str, query: str) -> Any:
        """The newest messages, or the newest that have the words of `query`."""
        if query:
            uids = yield self._search.call("search", mailbox, printable(query), NEWEST)
        else:
            entries = yield self._store.call("entries", mailbox)
            uids = [uid for uid, *_ in reversed(entries[-NEWEST:])]
        rows = []
        for uid in uids:
            data = yield self._store.call("data", mailbox, uid)
            if data is not None:
                rows.append(_row(uid, parse(data.data)))
        table = "<table><tr><th>From<th>Subject<th>Date</tr>" + "".join(rows) + "</table>"
        return SEARCH_FORM.format(escape(query)) + (table if rows else "<p>No messages.</p>")

    @inlineCallbacks
    def _message(self, mailbox: str, uid: int) -> Any:
        data = yield self._store.call("data", mailbox, uid)
        if data is None:
            return None
        message = parse(data.data)
        lines = "".join(
            f"<tr><th>{name}<td>{escape(header(message, name))}</tr>"
            for name in ("From", "To", "Subject", "Date")
        )
        return f'<p><a href="/">Inbox</a></p><table>{lines}</table><pre>{escape(text_of(message))}</pre>'


def _row(uid: int, message: EmailMessage) -> str:
    subject = header(message, "Subject") or "(no subject)"
    return (
        f'<tr><td>{escape(header(message, "From"))}<td><a href="/{uid}">{escape(subject)}</a>'
        f"<td>{escape(header(message, 'Date'))}</tr>"
    )


def _answer(request: Any, status: int, text: str, kind: str = "text/plain") -> None:
    """Send the answer, unless the client has left meanwhile."""
    if request.channel is None:
        return
    request.setResponseCode(status)
    request.setHeader(b"content-type", f"{kind}; charset=utf-8".encode())
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(
        b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
    )
    request.write(text.encode("utf-8", "replace"))
    request.finish()


def parse(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=modern)
    assert isinstance(message, EmailMessage)
    return message


def header(message: EmailMessage, name: str) -> str:
    """A header as text; mail from anywhere may have ones that cannot be decoded."""
    try:
        return printable(str(message.get(name, "")))
    except (ValueError, LookupError, AttributeError, IndexError):
        return "(unreadable)"


def text_of(message: EmailMessage) -> str:
    """The plain text of a message."""
    try:
        body = message.get_body(("plain",)) or message
        return printable(str(body.get_content())) if body.get_content_maintype() == "text" else ""
    except (ValueError, LookupError, AttributeError):
        return ""


def printable(text: str) -> str:
    """Without the control characters that XML, and so a call, cannot carry."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
