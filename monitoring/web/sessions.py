"""How long somebody stays signed in: not for ever, and not where nobody has looked for long.

The end of a session is always its `expire_date` in the database: requests, the WebSockets of
its pages (live.feed) and the cookie all go by it.
"""

from __future__ import annotations

import time

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from monitoring.access import visits

SINCE, SEEN = "signed_in", "seen"
TOUCHES = 24
"""A session in use is written once in this part of its idle time, not at every request."""


class SessionAgeMiddleware(MiddlewareMixin):
    """Moves the end of the session of whoever asks, and ends it when it has grown too old."""

    def process_request(self, request: HttpRequest) -> None:
        if not request.user.is_authenticated:
            return
        session, now = request.session, time.time()
        since, seen = session.get(SINCE, now), session.get(SEEN, 0)
        left = since + settings.SESSION_LONGEST - now
        if left <= 0:
            logout(request)
        elif SINCE not in session or not 0 <= now - seen < settings.SESSION_IDLE / TOUCHES:
            session[SINCE], session[SEEN] = since, now
            session.set_expiry(int(min(settings.SESSION_IDLE, left)) + 1)
            visits.note(request, began_at=since)


def begin(request: HttpRequest) -> None:
    """A fresh session has been made by signing in; those that ended are cleared away."""
    for name in (SINCE, SEEN):
        request.session.pop(name, None)
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    visits.note(request)
