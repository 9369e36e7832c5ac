"""From where a request comes: its address, and whether the browser is one that is known.

A browser that has signed somebody in keeps a signed cookie that says so. With it, attempts to
sign in as that user are counted by themselves: nobody elsewhere can use them up.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase

SALT = "clusterweb.browser"
REMEMBERED = 180 * 86_400
"""Seconds that a browser is known after the last time that somebody signed in with it."""
USERS = 8
"""Users of one browser that are remembered, the latest first."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A known browser, and the users who have signed in with it."""

    id: str
    users: tuple[int, ...] = ()


def address(request: HttpRequest) -> str:
    """The client's address, an IPv6 one as its /64 network; "" where the server does not know it.

    X-Forwarded-For is read from its end, and only as far as trusted proxies have written it.
    """
    found = _parsed(request.META.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while found is not None and hops and _trusted(found):
        found = _parsed(hops.pop()) or found
    if found is None:
        return ""
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _trusted(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(found in network for network in settings.TRUSTED_PROXIES)


def browser(request: HttpRequest) -> Browser | None:
    """The known browser of a request, None where it brings no cookie of ours."""
    try:
        kept = signing.loads(
            request.COOKIES.get(settings.DEVICE_COOKIE_NAME, ""), salt=SALT, max_age=REMEMBERED
        )
        return Browser(str(kept["id"]), tuple(int(user) for user in kept["users"]))
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None


def remember(request: HttpRequest, response: HttpResponseBase, user: int) -> None:
    """Let the browser say the next time that `user` has signed in with it."""
    known = browser(request) or Browser(secrets.token_hex(16))
    users = [user, *(other for other in known.users if other != user)][:USERS]
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        signing.dumps({"id": known.id, "users": users}, salt=SALT),
        max_age=REMEMBERED,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
