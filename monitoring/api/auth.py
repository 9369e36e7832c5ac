"""Who calls the API: the user of a browser session, or of HTTP Basic authentication.

A browser sends its session by itself, to whatever site made it do so: requests of a session
that change something carry the CSRF token. A client that sends a password needs none.
"""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from monitoring.api.problems import ProblemError

SAFE_METHODS = frozenset({"GET", "HEAD"})


def user_of(request: HttpRequest) -> User:
    """The user that the request comes from; ProblemError 401 or 403 where that is nobody."""
    header = request.headers.get("Authorization", "")
    if header:
        return _basic(request, header)
    if not isinstance(request.user, User):
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "Log in, or send a name and a password.")
    if request.method not in SAFE_METHODS:
        _check_csrf(request)
    return request.user


def _basic(request: HttpRequest, header: str) -> User:
    scheme, _, encoded = header.partition(" ")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = password = ""
    user = authenticate(request, username=name, password=password) if scheme.lower() == "basic" else None
    if not isinstance(user, User):
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "The name or the password is wrong.")
    return user


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, giving the reason in place of a page."""

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _check_csrf(request: HttpRequest) -> None:
    check = _CsrfCheck(lambda _: HttpResponse())
    check.process_request(request)
    reason = check.process_view(request, lambda: HttpResponse(), (), {})
    if reason:
        raise ProblemError(HTTPStatus.FORBIDDEN, f"{reason} Send the token in the header X-CSRFToken.")
