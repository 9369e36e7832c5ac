"""Attempts to sign in that failed, and how long the next one has to wait.

Attempts are counted in the database, so that all web processes count together, and each is
counted before its password is looked at, so that a hundred at once are no more than a hundred
in a row. One that has to wait is not counted and its password is not looked at. Which
attempts count together, and after how many the waiting begins:

    both      one account from one address: 10, then 2 s, 4 s, 8 s ... 15 min
    address   any account from one address: 30, then as above
    account   one account from anywhere: 100, then as above, at most 1 min
    browser   one account from a browser that it has signed in with before: 10, then ... 15 min

A known browser is counted by itself alone. So whoever guesses from elsewhere cannot keep the
operator of that browser out; who sits at a new one waits a minute at most for the account's
sake, and `manage.py access unblock` ends all waiting. Counts are forgotten 6 h after
the last failure.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from monitoring.access.caller import Browser
from monitoring.core.states import Severity
from monitoring.models import Attempts, Cluster, Event
from monitoring.service import clock, journal
from monitoring.service.lock import cluster_lock
from monitoring.service.queries.history import FAILED_SIGN_INS

log = logging.getLogger(__name__)
FIRST = 2.0
FORGOTTEN = 6 * 3600.0
EVENTS_PER_HOUR = 30
"""Lines of the history about failed sign-ins; more are in the web process's log only."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`free` failures without a wait, then one that doubles up to `longest` seconds."""

    free: int
    longest: float

    def delay(self, failures: int) -> float:
        over = failures - self.free
        return 0.0 if over < 0 else min(self.longest, FIRST * 2.0 ** min(over, 30))


POLICIES = {
    "account": Policy(100, 60.0),
    "address": Policy(30, 900.0),
    "both": Policy(10, 900.0),
    "browser": Policy(10, 900.0),
    "password": Policy(10, 900.0),
}


class TooManyError(Exception):
    """The attempt was not looked at: `seconds` have to pass first."""

    def __init__(self, wait: float) -> None:
        self.seconds = int(wait) + 1
        minutes, seconds = divmod(self.seconds, 60)
        text = (
            f"{seconds} s" if not minutes else f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
        )
        super().__init__(f"Too many sign-ins failed. Try again in {text}.")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Attempts that count together."""

    kind: str
    key: str
    user: int | None
    address: str

    @classmethod
    def of(cls, kind: str, what: str, user: int | None, address: str = "") -> Bucket:
        digest = salted_hmac(f"clusterweb.attempts.{kind}", what, algorithm="sha256").hexdigest()
        return cls(kind, digest, user, address)


def buckets(name: str, address: str, browser: Browser | None) -> list[Bucket]:
    """What an attempt to sign in as `name` counts towards. One query."""
    name = unicodedata.normalize("NFKC", name).casefold()[:200]
    user = User.objects.filter(username__iexact=name).values_list("pk", flat=True).first()
    if browser is not None and user in browser.users:
        return [Bucket.of("browser", f"{browser.id} {user}", user, address)]
    return [
        Bucket.of("both", f"{address} {name}", user, address),
        Bucket.of("address", address, None, address),
        Bucket.of("account", name, user),
    ]


def reserve(found: Sequence[Bucket]) -> list[Attempts]:
    """Count an attempt as failed until it is known to be none; TooManyError where it has to wait."""
    try:
        return _reserve(found)
    except IntegrityError:  # made by another process, and forgotten, between two looks
        return _reserve(found)


def _reserve(found: Sequence[Bucket]) -> list[Attempts]:
    now = clock.now()
    with transaction.atomic():
        rows = [_row(bucket, now) for bucket in sorted(found, key=lambda bucket: bucket.key)]
        wait = max(row.wait(now, POLICIES[row.kind].longest) for row in rows)
        if not wait:
            for row in rows:
                row.before = row.blocked_until
                row.failures += 1
                delay = POLICIES[row.kind].delay(row.failures)
                # No moment of its own: others began a little earlier, and would wait for it
                row.last_at, row.blocked_until = now, now + delay if delay else 0.0
                row.save()
    if wait:
        raise TooManyError(wait)
    if any(row.failures == 1 for row in rows):
        Attempts.objects.filter(last_at__lt=now - FORGOTTEN).delete()
    return rows


def _row(bucket: Bucket, now: float) -> Attempts:
    """The row of a bucket, locked, without what is forgotten by now."""
    fresh = {"kind": bucket.kind, "user_id": bucket.user, "address": bucket.address, "last_at": now}
    row, _ = Attempts.objects.select_for_update().get_or_create(key=bucket.key, defaults=fresh)
    if row.last_at < now - FORGOTTEN:
        row.failures = 0
    return row


def succeeded(rows: Sequence[Attempts]) -> None:
    """The attempt was none: what failed for this user from here before is forgiven.

    What an address or an account is up to is not: else who has an account could guess at others'.
    """
    for row in rows:
        same = Attempts.objects.filter(pk=row.pk)
        if row.kind in ("both", "browser", "password"):
            same.update(failures=0, blocked_until=0.0)
        else:
            same.update(failures=F("failures") - 1, blocked_until=row.before)


def failed(rows: Sequence[Attempts]) -> None:
    """The attempt failed. Where waiting begins with it, the history says so."""
    user = next((row.user for row in rows if row.user), None)
    who = user.get_username() if user else "a name that nobody has"
    address = next((row.address for row in rows if row.address), "an unknown address")
    log.warning("a sign-in as %s from %s failed", who, address)
    for row in rows:
        if row.failures == POLICIES[row.kind].free:
            _tell(row, who)


def _tell(row: Attempts, who: str) -> None:
    count, place = row.failures, row.address or "an unknown address"
    texts = {
        "account": f"{count} sign-ins as {who} failed, from several addresses.",
        "address": f"{count} sign-ins from {place} failed, with several names.",
        "both": f"{count} sign-ins as {who} from {place} failed.",
        "browser": f"{count} sign-ins as {who} failed from a browser that {who} has used, at {place}.",
        "password": f"{who}, signed in from {place}, gave a wrong password {count} times to change it.",
    }
    if not Cluster.objects.exists():
        return
    with cluster_lock() as held:
        lately = Event.objects.filter(code=FAILED_SIGN_INS, at__gt=held.now - 3600).count()
        if lately < EVENTS_PER_HOUR:
            text = f"{texts[row.kind]} Further ones have to wait."
            journal.add(held, text, code=FAILED_SIGN_INS, severity=Severity.WARNING)


def forget(user: User | None = None, address: str = "") -> int:
    """End the waiting of a user, of an address, or all of it; how much there was."""
    rows = Attempts.objects.all()
    if user is not None:
        rows = rows.filter(user=user)
    if address:
        rows = rows.filter(address=address)
    return rows.delete()[0]
