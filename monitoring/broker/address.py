"""Where the broker is, from one setting, in the words of the libraries that speak to it.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]        one server
    rediss://...                                    the same over TLS
    sentinel://[USER:PASSWORD@]HOST[:PORT];HOST[:PORT]/MASTER[/DB][?sentinel_password=...]
    sentinels://...                                 the same, Sentinels and servers over TLS

With Sentinels, USER and PASSWORD are for the servers that they watch, MASTER is the name by which
they know them; `sentinel_user` and `sentinel_password` are for the Sentinels themselves. What is
no letter or digit in a password is written as in any URL (%40 for @).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

SCHEMES = ("redis", "rediss", "sentinel", "sentinels")
DEFAULT = "redis://127.0.0.1:6379/0"
URL, CA, CERT, KEY = (
    "CLUSTERWEB_REDIS_URL",
    "CLUSTERWEB_REDIS_CA_FILE",
    "CLUSTERWEB_REDIS_CERT_FILE",
    "CLUSTERWEB_REDIS_KEY_FILE",
)
FAILOVER_PATIENCE = 1.0
"""Seconds that a Sentinel may take to answer before the next one is asked."""


class AddressError(ValueError):
    """A setting that cannot be used; the text names the variable, and never a password."""


@dataclass(frozen=True)
class Address:
    """A checked address. `hosts` are the Sentinels where there is a `master`, else the one server."""

    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    master: str = ""
    sentinel_user: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)
    tls: Mapping[str, Any] | None = None
    """Keyword arguments of redis-py, None without TLS."""

    @property
    def _login(self) -> dict[str, str]:
        pairs = (("username", self.user), ("password", self.password))
        return {name: value for name, value in pairs if value}

    @property
    def kombu_url(self) -> str:
        """For Celery: one URL, or one for each Sentinel."""
        scheme = "sentinel" if self.master else ("rediss" if self.tls is not None else "redis")
        login = f"{quote(self.user, '')}:{quote(self.password, '')}@" if self.user or self.password else ""
        return ";".join(f"{scheme}://{login}{_bracketed(h)}:{p}/{self.db}" for h, p in self.hosts)

    @property
    def celery(self) -> dict[str, Any]:
        """Celery's settings, transport options aside."""
        kind = "SentinelTransport" if self.master else "Transport"
        found: dict[str, Any] = {"broker_transport": f"monitoring.broker.transport:{kind}"}
        if self.tls is not None:
            found["broker_use_ssl"] = dict(self.tls)
        return found

    @property
    def transport_options(self) -> dict[str, Any]:
        """Kombu's options that belong to the address."""
        if not self.master:
            return {}
        return {"master_name": self.master, "sentinel_kwargs": self._sentinel_kwargs}

    @property
    def _sentinel_kwargs(self) -> dict[str, Any]:
        pairs = (("username", self.sentinel_user), ("password", self.sentinel_password))
        login = {name: value for name, value in pairs if value}
        tls = {"ssl": True, **self.tls} if self.tls is not None else {}
        patience = {"socket_timeout": FAILOVER_PATIENCE, "socket_connect_timeout": FAILOVER_PATIENCE}
        return {**login, **tls, **patience}

    @property
    def layer(self) -> dict[str, Any]:
        """A host of the channel layer (channels_redis)."""
        if self.master:
            tls = {"ssl": True, **self.tls} if self.tls is not None else {}
            found = {"master_name": self.master, "sentinels": list(self.hosts), "db": self.db}
            return {**found, "sentinel_kwargs": self._sentinel_kwargs, **self._login, **tls}
        return {"address": self.kombu_url, **(self.tls or {})}


def parse(environ: Mapping[str, str], url: str = "") -> Address:
    """Read the address from `url`, else from the environment; AddressError where it cannot be used."""
    text = url or environ.get(URL, "").strip() or DEFAULT
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES or not rest:
        raise AddressError(f"{URL}: this is no {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]} address")
    where, _, more = rest.partition("/")
    login, _, places = where.rpartition("@")
    try:
        parts = urlsplit(f"redis://{login}@host/{more}" if login else f"redis://host/{more}")
        hosts = tuple(
            _host(place, 26379 if scheme.startswith("sentinel") else 6379) for place in _split(places)
        )
    except ValueError as error:
        raise AddressError(f"{URL}: {error}") from None
    tls = _tls(environ) if scheme in ("rediss", "sentinels") else None
    if scheme.startswith("sentinel"):
        return _watched(parts, hosts, tls)
    if len(hosts) != 1:
        raise AddressError(f"{URL}: one server, or Sentinels (sentinel://) that know several")
    db = _db(parts.path.strip("/"))
    return Address(hosts, db, unquote(parts.username or ""), unquote(parts.password or ""), tls=tls)


def _watched(
    parts: SplitResult, hosts: tuple[tuple[str, int], ...], tls: Mapping[str, Any] | None
) -> Address:
    master, _, db = parts.path.strip("/").partition("/")
    if not master or master.isdigit():
        raise AddressError(f"{URL}: the name of the master is missing: sentinel://HOST;HOST/MASTER")
    asked = parse_qs(parts.query)
    if unknown := asked.keys() - {"sentinel_user", "sentinel_password"}:
        raise AddressError(f"{URL}: {sorted(unknown)[0]} is not known here")
    return Address(
        hosts,
        _db(db),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        unquote(master),
        asked.get("sentinel_user", [""])[0],
        asked.get("sentinel_password", [""])[0],
        tls,
    )


def _split(places: str) -> list[str]:
    found = [place.strip() for place in places.replace(",", ";").split(";") if place.strip()]
    if not found:
        raise ValueError("no host is named")
    return found


def _host(place: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"redis://{place}")
    if not parts.hostname:
        raise ValueError("no host is named")
    return parts.hostname, parts.port or default


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _db(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 6):
        raise AddressError(f"{URL}: {text} is no number of a database")
    return int(text or 0)


def _tls(environ: Mapping[str, str]) -> dict[str, Any]:
    """The server has to show a certificate for its name, by the system's authorities or those of a file."""
    found: dict[str, Any] = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    files = ((CA, "ssl_ca_certs"), (CERT, "ssl_certfile"), (KEY, "ssl_keyfile"))
    for variable, name in files:
        if path := environ.get(variable, "").strip():
            try:
                Path(path).open("rb").close()
            except OSError as error:
                raise AddressError(f"{variable}: {path} cannot be read: {error.strerror}") from None
            found[name] = path
    if "ssl_keyfile" in found and "ssl_certfile" not in found:
        raise AddressError(f"{CERT} is not set, and {KEY} is")
    return found
