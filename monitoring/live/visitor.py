"""Who watches: a signed-in user, the session, the role and the reading that the page was drawn for."""

from __future__ import annotations

import functools
import zoneinfo
from dataclasses import dataclass

from django.conf import settings

from monitoring.models.roles import Role


@dataclass(frozen=True, slots=True)
class Reading:
    """How a page is written: its language, and the time zone of all its times."""

    language: str
    zone: str

    @classmethod
    def of(cls, language: str, zone: str) -> Reading:
        """Of what a browser says; what there is not is replaced by what the cluster has."""
        return cls(
            language if language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE,
            zone if zone in zones() else settings.TIME_ZONE,
        )


@functools.cache
def zones() -> frozenset[str]:
    """Names of all time zones that this machine or the package tzdata knows."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """`proof` is the session's hash of the password: it changes when the password does."""

    user: int
    session: str
    proof: str
    role: Role
