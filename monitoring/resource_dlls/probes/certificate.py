"""The Certificate resource: a warning before a certificate ends, a failure when it is too late.

The certificate is read from a file, or from a server that speaks TLS, from the first byte on or after
STARTTLS.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.lazily import load
from monitoring.resource_dlls.probes import tls
from monitoring.resource_dlls.probes.base import ADDRESS, TRIES, Probe
from monitoring.resource_dlls.probes.network import connect, in_own_thread
from monitoring.resource_dlls.probes.starttls import DIALOGUES, ask_for_tls

DAY_S = 86_400


class Certificate(Probe):
    type_name = "Certificate"
    description = "How long a certificate is still valid: a warning first, a failure later."
    icon = "shield-check"
    looks_alive_ms = 60_000
    is_alive_ms = 600_000
    properties: ClassVar[tuple[Property, ...]] = (
        Property("File", kind="path", help="certificates in PEM or DER; empty: those of the server below"),
        ADDRESS,
        Property("Port", kind="port", default=443, help="of the server"),
        Property(
            "StartTLS",
            default="none",
            choices=("none", *DIALOGUES),
            help="how TLS begins on that port; none: with the first byte",
        ),
        Property(
            "ServerName",
            placeholder="the host that is asked",
            help="the name that is asked for, and that the certificate has to have",
        ),
        tls.VERIFY,
        tls.CA_FILE,
        Property("WarnDays", kind="int", default=21, maximum=3650, unit="days", help="left: a warning"),
        Property(
            "FailDays",
            kind="int",
            default=0,
            maximum=3650,
            unit="days",
            help="left: the resource fails; 0: when the certificate has ended",
        ),
        *TRIES,
    )

    _reading: asyncio.Future[Any] | None = None

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        if values["WarnDays"] < values["FailDays"]:
            raise PropertyError("WarnDays", "the warning has to come before the failure")

    @property
    def target(self) -> str:
        return str(self["File"] or super().target)

    async def looks_alive(self) -> bool:
        """Days do not pass in seconds: IsAlive is often enough."""
        return self._watches

    async def probe(self) -> None:
        encoded = await (self._from_file() if self["File"] else self._from_server())
        x509: Any = await load("cryptography.x509")
        self._judge(_first_end(x509, encoded, self.target), datetime.now(UTC))

    def _judge(self, ends: datetime, now: datetime) -> None:
        left = (ends - now).total_seconds() / DAY_S
        text = f"valid until {ends:%Y-%m-%d}"
        self.context.show("Certificate", text, level=int(left < self["WarnDays"]))
        if left <= 0:
            raise ResourceError(f"the certificate of {self.target} has ended on {ends:%Y-%m-%d %H:%M} UTC")
        if left < self["FailDays"]:
            raise ResourceError(f"the certificate of {self.target} is {text} only, {left:.0f} days")

    async def _from_file(self) -> bytes:
        """The file. While storage hangs, one thread waits for it, and not one more for each probe."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(in_own_thread(Path(self["File"]).read_bytes))
        try:
            return bytes(await asyncio.shield(self._reading))
        except OSError as error:
            raise ResourceError(f"File: {self['File']} cannot be read: {error.strerror}") from error

    async def _from_server(self) -> bytes:
        where = f"{self.target} port {self['Port']}"
        name = self["ServerName"] or self.target
        context = await tls.client_context(self["VerifyTLS"], self["CAFile"])
        reader, writer = await connect(self.target, self["Port"])
        try:
            if self["StartTLS"] != "none":
                await ask_for_tls(self["StartTLS"], reader, writer, where)
            await writer.start_tls(context, server_hostname=name)
            shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        except ssl.SSLError as error:
            raise ResourceError(f"{where}: {tls.in_words(error)}") from error
        finally:
            writer.transport.abort()
        if not shown:
            raise ResourceError(f"{where} shows no certificate")
        return shown


def _first_end(x509: Any, encoded: bytes, where: str) -> datetime:
    """When the first of the certificates ends."""
    try:
        if b"-----BEGIN" in encoded:
            found = x509.load_pem_x509_certificates(encoded)
        else:
            found = [x509.load_der_x509_certificate(encoded)]
    except ValueError as error:
        raise ResourceError(f"{where} holds no certificate that can be read: {error}") from error
    ends: datetime = min(certificate.not_valid_after_utc for certificate in found)
    return ends
