"""Sending a mail to a server of the cluster by SMTP, with failures told apart."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.mail import smtp

from monitoring.resource_dlls.exchange.services.late_reactor import reactor

LIMIT_S = 30.0


class TemporaryFailureError(Exception):
    """Nobody took the mail now; it may be taken later."""


class RefusedError(Exception):
    """The server will never take this mail; the text is its answer."""


@inlineCallbacks
def send(own_name: str, address: str, port: int, sender: str, recipient: str, data: bytes) -> Any:
    """Return once the server has said that it has the mail."""
    sending = smtp.sendmail(
        address.encode(),
        sender.encode(),
        [recipient.encode()],
        data.replace(b"\r\n", b"\n"),  # Twisted puts the \r back
        senderDomainName=own_name,
        port=port,
    )
    sending.addTimeout(LIMIT_S, reactor)
    try:
        yield sending
    except smtp.SMTPDeliveryError as error:
        if 500 <= error.code < 600:
            raise RefusedError(f"{error.code} {error.resp.decode('utf-8', 'replace')}") from error
        raise TemporaryFailureError(f"{error.code}") from error
    except Exception as error:
        raise TemporaryFailureError(f"{type(error).__name__}: {error}") from error
