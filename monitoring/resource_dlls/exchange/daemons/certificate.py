"""Certificates: whether the files fit together, and until when what a server presents is valid.

The date is read out of the certificate by hand (X.690, RFC 5280 4.1.2.5): a library for it would
cost every agent some ten megabytes.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.exchange.daemons import place

FILE, KEY, WARNING, FAILS = "CertificateFile", "KeyFile", "ExpiryWarning", "FailWhenExpired"
FILES = (
    Property(
        FILE,
        kind="path",
        help="certificate and chain (PEM), on the group's disk or on every node; without one nothing"
        " is encrypted",
    ),
    Property(KEY, kind="path", placeholder="the certificate's file", help="its private key (PEM)"),
)
PROPERTIES = (
    *FILES,
    Property(
        WARNING,
        kind="int",
        default=21,
        minimum=0,
        maximum=365,
        unit="days",
        help="how long before the certificate expires a warning is shown",
    ),
    Property(
        FAILS,
        kind="bool",
        default=False,
        help="an expired certificate fails the resource; else it stays a warning",
        details="A certificate on the group's disk is as expired on the next node. Set this where each"
        " node has one of its own.",
    ),
)
_UTC_TIME = 0x17


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: str
    key: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Pair | None:
        """None where no certificate is given."""
        if not values[FILE]:
            return None
        return cls(values[FILE], values[KEY] or values[FILE])

    def check(self) -> None:
        """Refuse files that are missing or don't belong together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for path in (self.certificate, self.key):
            if not Path(path).is_file():
                raise ResourceError(f"the file {path} is not there")
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ResourceError(
                    f"the key in {self.key} does not belong to the certificate in {self.certificate}"
                ) from None
            raise ResourceError(
                f"{self.certificate} with {self.key} cannot be used: {error.reason or error}"
            ) from None
        except OSError as error:
            raise ResourceError(
                f"{self.certificate} with {self.key} cannot be read: {error.strerror}"
            ) from error

    def state(self) -> str:
        """Changes whenever one of the files is replaced."""
        found = [Path(path).stat() for path in (self.certificate, self.key)]
        return " ".join(f"{each.st_ino}:{each.st_mtime_ns}:{each.st_size}" for each in found)


def check_values(values: Mapping[str, Any]) -> None:
    """Refuse what cannot stand in a configuration file, and a key without a certificate."""
    for name in (FILE, KEY):
        if values[name] and not place.is_plain(values[name]):
            raise PropertyError(name, f"{values[name]!r} may hold letters, digits and / . + @ = - _ only")
    if values[KEY] and not values[FILE]:
        raise PropertyError(FILE, "a key is given without a certificate")


def valid_until(certificate: bytes) -> datetime:
    """The end of a certificate's validity (DER)."""
    fields = _Reader(_Reader(_Reader(certificate).enter()).enter())
    if fields.peek() == 0xA0:  # the version, which the oldest ones lack
        fields.skip()
    for _ in range(3):  # serial number, signature, issuer
        fields.skip()
    validity = _Reader(fields.enter())
    validity.skip()
    tag, text = validity.take()
    moment = text.decode("ascii")
    if tag == _UTC_TIME:
        moment = ("20" if int(moment[:2]) < 50 else "19") + moment
    return datetime.strptime(moment, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


class _Reader:
    """Walks through the elements of a DER sequence."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def peek(self) -> int:
        return self._data[0]

    def take(self) -> tuple[int, bytes]:
        tag, length, start = self._data[0], self._data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(self._data[2:start], "big")
        value, self._data = self._data[start : start + length], self._data[start + length :]
        return tag, value

    def skip(self) -> None:
        self.take()

    def enter(self) -> bytes:
        return self.take()[1]


@dataclass(frozen=True, slots=True)
class Expiry:
    """What an operator has to know of a certificate's end."""

    text: str
    level: int
    is_over: bool


def expiry(until: datetime, now: datetime, warning_days: int) -> Expiry:
    """`until` and `now` in UTC."""
    day = f"{until:%Y-%m-%d}"
    if until <= now:
        return Expiry(f"expired on {day}", 1, True)
    days = (until - now).days
    if days < warning_days:
        when = "today or tomorrow" if days < 1 else f"in {days} day{'s' if days > 1 else ''}"
        return Expiry(f"expires on {day}, {when}", 1, False)
    return Expiry(f"valid until {day}", 0, False)
