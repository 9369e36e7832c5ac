"""Which pages may open a WebSocket: those of this very site.

A browser sends its cookies with a WebSocket that any page opens, and no CSRF token guards it.
Its Origin says which page it is: it must be the host and port that the request is for. Another
port of the same machine is another site.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host


class SameOrigin:
    """Refuses the handshake of a page of another site, or of a client that names none."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        application = self._application if is_own(scope["headers"]) else WebsocketDenier()
        return await application(scope, receive, send)


def is_own(headers: list[tuple[bytes, bytes]]) -> bool:
    """True where Origin and Host are there once each and name the same, allowed site."""
    origins, hosts = ([v.decode("latin1") for n, v in headers if n == name] for name in (b"origin", b"host"))
    if len(origins) != 1 or len(hosts) != 1:
        return False
    origin, host = origins[0].lower(), hosts[0].lower()
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    schemes = ("https",) if settings.SESSION_COOKIE_SECURE else ("http", "https")
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in schemes and origin == f"{parts.scheme}://{host}"
