"""The DNS Record resource: online while a name server says of a name what it should."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError, ResourceError
from monitoring.resource_dlls.lazily import load
from monitoring.resource_dlls.probes.base import TRIES, Probe

NAME = re.compile(r"(?!.*\.\.)[\w*.-]{1,254}", re.ASCII)
KINDS = ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")


class DNSRecord(Probe):
    type_name = "DNS Record"
    description = "A name that a name server resolves to what is expected."
    icon = "waypoints"
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Name", required=True, help="to ask for, such as www.example.com; for PTR also an address"),
        Property("Type", default="A", choices=KINDS, help="of the record"),
        Property(
            "Expected",
            help="values that have to be among the answers, parted by commas; empty: any answer is good",
            details="As a zone file has them: an address, a name with or without its last dot, "
            "10 mail.example.com for MX, the text of a TXT record without quotes.",
        ),
        Property("Exactly", kind="bool", default=False, help="no other values than those in Expected"),
        Property(
            "Address",
            kind="ip",
            placeholder="the group's IP Address that it depends on",
            help="the name server to ask",
        ),
        Property("Port", kind="port", default=53, help="of the name server"),
        Property("Transport", default="udp", choices=("udp", "tcp"), help="how the server is asked"),
        *TRIES,
    )

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        is_address = values["Type"] == "PTR" and bool(_version(values["Name"]))
        if not is_address and not NAME.fullmatch(values["Name"]):
            raise PropertyError("Name", f"{values['Name']!r} is not a name to ask for")
        if values["Exactly"] and not values["Expected"]:
            raise PropertyError("Expected", "say what is expected exactly")
        if values["Type"] in ("A", "AAAA"):
            for text in expected(values):
                _check_address(text, 4 if values["Type"] == "A" else 6)

    async def probe(self) -> None:
        dns_query: Any = await load("monitoring.resource_dlls.probes.dns_query")
        kind = self["Type"]
        name = ipaddress.ip_address(self["Name"]).reverse_pointer if self._asks_address else self["Name"]
        answers: list[str] = await dns_query.ask(
            self.target, self["Port"], name, kind, self["Transport"], float(self["Timeout"])
        )
        if not answers:
            raise ResourceError(f"{self.target} knows no {kind} record of {self['Name']}")
        found = {_plain(answer) for answer in answers}
        wanted = {_plain(text) for text in expected(self._values)}
        if wanted - found or (self["Exactly"] and found - wanted):
            raise ResourceError(
                f"{self.target} says that {self['Name']} is {', '.join(answers)}, not {self['Expected']}"
            )
        self.context.show("Record", f"{self['Name']} is {', '.join(answers)}"[:200])

    @property
    def _asks_address(self) -> bool:
        return self["Type"] == "PTR" and bool(_version(self["Name"]))


def expected(values: Mapping[str, Any]) -> list[str]:
    return [text for part in (values["Expected"] or "").split(",") if (text := part.strip())]


def _plain(text: str) -> str:
    """A value without what makes no difference: its last dot, quotes, upper case, an address's spelling."""
    text = " ".join(text.replace('"', "").split()).lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _version(text: str) -> int:
    """4 or 6 of an address, 0 of what is none."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0


def _check_address(text: str, version: int) -> None:
    if _version(text) != version:
        raise PropertyError("Expected", f"{text!r} is not an IPv{version} address")
