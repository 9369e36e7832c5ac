"""The TCP Port resource: online while a port takes connections, and says what is expected."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.probes import tls
from monitoring.resource_dlls.probes.base import ADDRESS, TRIES, Probe
from monitoring.resource_dlls.probes.network import connect

LONGEST = 1 << 16
"""Bytes among which what is expected is looked for."""
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


class TCPPort(Probe):
    type_name = "TCP Port"
    description = "A port that takes connections and, where wanted, answers as expected."
    icon = "plug-zap"
    properties: ClassVar[tuple[Property, ...]] = (
        ADDRESS,
        Property("Port", kind="port", required=True, help="to connect to"),
        Property("Send", help=r"text to send after the connect; \r \n \t \0 and \\ are what they are in C"),
        Property("Expect", help="text that has to come; without it a connection is enough"),
        Property("TLS", kind="bool", default=False, help="speak TLS from the first byte on"),
        tls.VERIFY,
        tls.CA_FILE,
        Property(
            "ServerName",
            placeholder="the host that is asked",
            help="the name that the server's certificate has to have",
        ),
        *TRIES,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        for name in ("Send", "Expect"):
            try:
                unescaped(values[name] or "")
            except ValueError as error:
                raise PropertyError(name, str(error)) from None

    async def probe(self) -> None:
        where = f"{self.target} port {self['Port']}"
        secure: dict[str, Any] = {}
        if self["TLS"]:
            context = await tls.client_context(self["VerifyTLS"], self["CAFile"])
            secure = {"ssl": context, "server_hostname": self["ServerName"] or self.target}
        try:
            reader, writer = await connect(self.target, self["Port"], **secure)
        except ssl.SSLError as error:
            raise ResourceError(f"{where}: {tls.in_words(error)}") from error
        except OSError as error:
            raise ResourceError(f"{where} takes no connection: {error.strerror or error}") from error
        try:
            if self["Send"]:
                writer.write(unescaped(self["Send"]))
            if self["Expect"]:
                await self._expect(reader, where)
        finally:
            writer.transport.abort()

    async def _expect(self, reader: asyncio.StreamReader, where: str) -> None:
        wanted, got = unescaped(self["Expect"]), b""
        try:
            async with asyncio.timeout(self["Timeout"] * 0.9):  # sooner than the probe, to tell what came
                while wanted not in got:
                    if len(got) > LONGEST or not (more := await reader.read(4096)):
                        break
                    got += more
        except TimeoutError:
            pass
        if wanted not in got:
            raise ResourceError(f"{where} said {_shown(got)}, and not {self['Expect']!r}")


def unescaped(text: str) -> bytes:
    """The bytes that a text with escapes stands for."""

    def one(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise ValueError(rf"\{found[1]} means nothing here; a backslash is \\")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.?)", one, text, flags=re.DOTALL).encode()


def _shown(got: bytes) -> str:
    return repr(got[:80].decode("utf-8", "replace")) if got else "nothing"
