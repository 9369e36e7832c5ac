"""TLS contexts of the probes."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

from monitoring.resource_dlls.api import Property, ResourceError
from monitoring.resource_dlls.probes.network import in_own_thread

VERIFY = Property(
    "VerifyTLS",
    kind="bool",
    default=True,
    help="refuse a certificate that is not of the name, not trusted, or not valid now",
)
CA_FILE = Property(
    "CAFile",
    kind="path",
    placeholder="the node's own list",
    help="certificates of the authorities to trust",
)


async def client_context(verify: bool, ca_file: str | None) -> ssl.SSLContext:
    """The context of a client. Reads the authorities where they have changed since they were last read."""
    return await in_own_thread(functools.partial(_checking_now, ca_file)) if verify else _trusting()


def _checking_now(ca_file: str | None) -> ssl.SSLContext:
    paths = ssl.get_default_verify_paths()
    source = ca_file or paths.cafile or paths.capath or ""
    try:
        return _checking(ca_file, Path(source).stat().st_mtime_ns if source else 0)
    except (OSError, ssl.SSLError) as error:
        raise ResourceError(f"CAFile: {source} cannot be read: {error}") from error


@functools.cache
def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@functools.lru_cache(16)
def _checking(ca_file: str | None, changed_ns: int) -> ssl.SSLContext:
    """All probes share it: the authorities of a machine take megabytes, and 30 ms to read."""
    return ssl.create_default_context(cafile=ca_file or None)


def in_words(error: ssl.SSLError) -> str:
    """What is wrong with the other side's TLS, without the library's own codes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    return f"TLS fails: {error.reason or error}"
