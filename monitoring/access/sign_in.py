"""A name and a password become a user, unless too many did not.

The answer to a wrong password, an unknown name and a user who was shut out is the same, and
takes the same time: the password is hashed for nothing where there is no user.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from threading import Lock

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest

from monitoring.access import caller, throttle

LONGEST_NAME, LONGEST_PASSWORD = 150, 4096
KEPT = 60.0
"""Seconds that a program's password, once it was right, need not be hashed again."""
MOST = 256
_key = secrets.token_bytes(32)
_right: dict[bytes, tuple[float, int, str]] = {}
_lock = Lock()


def by_password(request: HttpRequest, name: str, password: str) -> User | None:
    """The user with this name and password, else None; TooManyError where it is not looked at."""
    if "\0" in name or len(name) > LONGEST_NAME or len(password) > LONGEST_PASSWORD:
        return None
    rows = throttle.reserve(throttle.buckets(name, caller.address(request), caller.browser(request)))
    user = authenticate(request, username=name, password=password)
    if isinstance(user, User):
        throttle.succeeded(rows)
        return user
    throttle.failed(rows)
    return None


def again(request: HttpRequest, name: str, password: str) -> User | None:
    """As `by_password`, for a program that sends both with every request: hashed once a minute.

    What is kept lies in this process's memory only, as a keyed digest, and counts for nothing
    once the user has another password or was shut out.
    """
    digest = hmac.digest(_key, f"{len(name)} {name} {password}".encode(), hashlib.sha256)
    now = time.monotonic()
    with _lock:
        until, pk, proof = _right.get(digest, (0.0, 0, ""))
    if until > now:
        user = User.objects.filter(pk=pk, is_active=True, password=proof).first()
        if user is not None:
            return user
    user = by_password(request, name, password)
    if user is not None:
        with _lock:
            for old in [key for key, (end, _, _) in _right.items() if end <= now]:
                del _right[old]
            if len(_right) < MOST:
                _right[digest] = (now + KEPT, user.pk, user.password)
    return user
