"""The agent's settings, all from the environment.

CLUSTERWEB_NODE           name of this node in the cluster
CLUSTERWEB_NODE_KEY       its signing key, or
CLUSTERWEB_NODE_KEY_FILE  a file that holds it
CLUSTERWEB_NODE_HOME      folder of the agent's state, on a local disk
CLUSTERWEB_REDIS_URL      the broker (default redis://127.0.0.1:6379/0); its forms, and what belongs to
                          TLS: monitoring.broker.address
CLUSTERWEB_SERVICE_URL    address of the dashboard: the second path to the cluster service
CLUSTERWEB_NODE_PRELOAD   modules for the warm parent, separated by commas (default: what the
                          installed resource DLLs ask for)
CLUSTERWEB_NODE_STOP_S    seconds that resources have to go offline when the agent stops (default 60)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from monitoring.broker import address
from monitoring.broker.address import Address, AddressError


class SettingsError(ValueError):
    """A setting that is missing or cannot be used; the text names the variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    node: str
    key: str = field(repr=False)
    home: Path
    broker: Address
    service_url: str = ""
    """Empty where there is no second path."""
    preload: tuple[str, ...] | None = None
    stop_seconds: float = 60.0


def load(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings; raises SettingsError."""
    return Settings(
        node=_required(environ, "CLUSTERWEB_NODE"),
        key=_key(environ),
        home=Path(_required(environ, "CLUSTERWEB_NODE_HOME")).absolute(),
        broker=_broker(environ),
        service_url=_url(environ, "CLUSTERWEB_SERVICE_URL", "", ("http", "https")).rstrip("/"),
        preload=_modules(environ.get("CLUSTERWEB_NODE_PRELOAD")),
        stop_seconds=_seconds(environ, "CLUSTERWEB_NODE_STOP_S", 60.0),
    )


def _broker(environ: Mapping[str, str]) -> Address:
    try:
        return address.parse(environ)
    except AddressError as error:
        raise SettingsError(str(error)) from None


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _key(environ: Mapping[str, str]) -> str:
    if key := environ.get("CLUSTERWEB_NODE_KEY", "").strip():
        return key
    path = environ.get("CLUSTERWEB_NODE_KEY_FILE", "").strip()
    if not path:
        raise SettingsError("neither CLUSTERWEB_NODE_KEY nor CLUSTERWEB_NODE_KEY_FILE is set")
    try:
        key = Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"CLUSTERWEB_NODE_KEY_FILE: {path} cannot be read: {error.strerror}") from None
    if not key:
        raise SettingsError(f"CLUSTERWEB_NODE_KEY_FILE: {path} is empty")
    return key


def _url(environ: Mapping[str, str], name: str, default: str, schemes: tuple[str, ...]) -> str:
    value = environ.get(name, "").strip() or default
    if value and (urlsplit(value).scheme not in schemes or not urlsplit(value).netloc):
        raise SettingsError(f"{name}: this is no {' or '.join(schemes)} address")
    return value


def _modules(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(name for part in value.split(",") if (name := part.strip()))


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = environ.get(name, "").strip()
    try:
        number = float(value) if value else default
    except ValueError:
        number = -1.0
    if not 0 <= number < 86_400:
        raise SettingsError(f"{name}: {value} is no number of seconds")
    return number
