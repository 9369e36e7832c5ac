"""`python -m clusterweb.web_server`: daphne, with limits on what a client may send, and how slowly.

Daphne reads a whole request before anybody sees it: of any size, into a temporary file, for as
long as a byte comes now and then. Here a request that is too large is refused as soon as
that is known, and one that has not come within a time is cut off. Pages have nothing to say on
their WebSockets, so that a message there is short. All options are daphne's.
"""

from __future__ import annotations

import sys
from typing import Any

import daphne.server  # installs the asyncio reactor: before anything else of Twisted
from daphne import http_protocol, ws_protocol
from daphne.cli import CommandLineInterface
from twisted.internet import error, reactor

_reactor: Any = reactor
MAX_BODY = 2_621_440
"""Bytes of a request's body; Django's own limit for a form is the same."""
READ_WITHIN = 30.0
"""Seconds from the first line of a request to its end, and from a connection to its first request."""
MAX_MESSAGE = 4096
"""Bytes that a client may say on a WebSocket."""


class LimitedRequest(http_protocol.WebRequest):
    """A request that may be only so large and come only so slowly."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body = 0
        self._refused = False
        self.channel.has_asked = True
        self._deadline: Any = _reactor.callLater(READ_WITHIN, self._refuse, b"408 Request Timeout")

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        super().gotLength(length)
        if length is not None and length > MAX_BODY:
            self._refuse(b"413 Content Too Large")

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self._body += len(data)
        if self._body > MAX_BODY:
            self._refuse(b"413 Content Too Large")
        if not self._refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        self._arrived()
        return None if self._refused else super().process()

    def connectionLost(self, reason: Any) -> None:
        self._arrived()
        super().connectionLost(reason)

    def _arrived(self) -> None:
        try:
            self._deadline.cancel()
        except (error.AlreadyCalled, error.AlreadyCancelled):
            pass

    def _refuse(self, status: bytes) -> None:
        if self._refused:
            return
        self._refused = True
        self.channel.transport.write(
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.channel.loseConnection()


class LimitedFactory(http_protocol.HTTPFactory):
    """Gives each connection a time in which it has to ask for something."""

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = LimitedRequest
        _reactor.callLater(READ_WITHIN, _end_silent, protocol)
        return protocol


def _end_silent(protocol: Any) -> None:
    channel = getattr(protocol, "_channel", protocol)
    if not getattr(channel, "has_asked", False) and channel.transport is not None:
        channel.transport.abortConnection()


class QuietSocket(ws_protocol.WebSocketProtocol):
    """A WebSocket on which a client may say MAX_MESSAGE bytes in all, in however many frames.

    The limit of autobahn's own is also one for what the server sends, and a long list is long.
    """

    _heard = 0

    def onMessageFrameBegin(self, length: int) -> None:  # noqa: N802
        self._heard += length + 1
        if self._heard > MAX_MESSAGE:
            self.transport.abortConnection()
        else:
            super().onMessageFrameBegin(length)


def main() -> None:
    daphne.server.HTTPFactory = LimitedFactory
    ws_protocol.WebSocketFactory.protocol = QuietSocket
    limits = ["--websocket-max-message-size", "0", "--websocket-max-frame-size", str(MAX_MESSAGE)]
    CommandLineInterface().run([*limits, "--verbosity", "0", "--no-server-name", *sys.argv[1:], APPLICATION])


APPLICATION = "clusterweb.asgi:application"

if __name__ == "__main__":
    main()
