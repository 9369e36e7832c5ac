"""Who calls the API: the user of a token, of a browser session, or of a name and a password.

A browser sends its session by itself, to whatever site made it do so: requests of a session
that change something carry the CSRF token. A client that sends a secret of its own needs none.
"""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from monitoring.access import sign_in, throttle, tokens
from monitoring.api.problems import ProblemError

SAFE_METHODS = frozenset({"GET", "HEAD"})


def user_of(request: HttpRequest) -> User:
    """The user that the request comes from; ProblemError 401, 403 or 429 where that is nobody."""
    header = request.headers.get("Authorization", "")
    if header:
        return _by_header(request, header)
    if not isinstance(request.user, User):
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "Send a token, or log in.")
    if request.method not in SAFE_METHODS:
        _check_csrf(request)
    return request.user


def name_of(user: User) -> str:
    """What the history calls the user; a token is named beside it."""
    return str(vars(user).get("acts_as") or user.get_username())


def _by_header(request: HttpRequest, header: str) -> User:
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "bearer":
        user = tokens.user_of(given.strip())
        if user is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "The token is wrong, revoked or too old.")
        return user
    name, password = _name_and_password(given) if scheme.lower() == "basic" else ("", "")
    if password.startswith(
        tokens.PREFIX
    ):  # of programs that know only names and passwords, such as calendars
        user = tokens.user_of(password)
        if user is None or user.get_username() != name:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "The name or the token is wrong, revoked or too old.")
        return user
    try:
        user = sign_in.again(request, name, password) if name else None
    except throttle.TooManyError as error:
        wait = {"Retry-After": str(error.seconds)}
        raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers=wait) from None
    if user is None:
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "The name or the password is wrong.")
    return user


def _name_and_password(encoded: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


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
