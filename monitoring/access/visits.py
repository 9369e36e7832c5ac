"""The sessions of a user: where they began, which are open, and the end of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from monitoring.access import caller
from monitoring.models import Visit
from monitoring.service import clock

BROWSERS = (
    ("Edge", r"\bEdgA?/"),
    ("Opera", r"\bOPR/"),
    ("Firefox", r"\b(Firefox|FxiOS)/"),
    ("Chrome", r"\b(Chrome|CriOS)/"),
    ("Safari", r"\bSafari/"),
    ("curl", r"^curl/"),
)
SYSTEMS = (
    ("Android", r"Android"),
    ("iOS", r"iPhone|iPad"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux|X11"),
)
"""The first that fits: browsers name those that they are descended from as well."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as a page shows it; `here` is the one that asks."""

    id: int
    browser: str
    address: str
    began_at: float
    seen_at: float
    here: bool


def note(request: HttpRequest, *, began_at: float | None = None) -> None:
    """Write down that the user of `request` is signed in with this session, and was seen now."""
    user, now = request.user, clock.now()
    if not isinstance(user, User):
        return
    if not request.session.session_key:
        request.session.create()
    seen = {
        "user": user,
        "seen_at": now,
        "address": caller.address(request),
        "browser": _printable(request.headers.get("User-Agent", "")),
    }
    try:
        with transaction.atomic():
            Visit.objects.update_or_create(
                session_id=request.session.session_key,
                defaults=seen,
                create_defaults={**seen, "began_at": now if began_at is None else min(began_at, now)},
            )
    except IntegrityError:  # the session was ended meanwhile, or another request of it was quicker
        pass


def listed(user: User, here: str | None = None) -> list[Listed]:
    """The open sessions of a user, the one that was used last first. One query."""
    rows = Visit.objects.filter(user=user, session__expire_date__gt=timezone.now())
    return [
        Listed(
            row.pk,
            browser_name(row.browser),
            row.address or "an unknown address",
            row.began_at,
            row.seen_at,
            row.session_id == here,
        )
        for row in rows
    ]


def end(user: User, visit: int) -> bool:
    """End one session of this user; False where there is none of this number."""
    return bool(Session.objects.filter(visit__pk=visit, visit__user=user).delete()[0])


def end_all(user: User, *, but: str | None = None) -> int:
    """End the sessions of a user, but the one with this key; how many there were."""
    rows = Session.objects.filter(visit__user=user)
    if but is not None:
        rows = rows.exclude(pk=but)
    count = rows.count()
    rows.delete()
    return count


def browser_name(agent: str) -> str:
    """ "Firefox on Linux", from what a browser says of itself."""
    browser = next((name for name, pattern in BROWSERS if re.search(pattern, agent)), "")
    system = next((name for name, pattern in SYSTEMS if re.search(pattern, agent)), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or agent[:40] or "Unknown browser"


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:200]
