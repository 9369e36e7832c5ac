"""The properties of a Network Name, and what may stand in them."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from monitoring.resource_dlls.api import Property, PropertyError

REGISTRY_VARIABLE = "CLUSTERWEB_NAMES"
FACT_LENGTH = 400
DNS_PORT = 53
ALGORITHMS = ("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1")
_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_WITH_PORT = re.compile(r"(?:\[([^]]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")

PROPERTIES = (
    Property(
        "Name",
        kind="netbios",
        required=True,
        unique="cluster",
        help="NetBIOS name, at most 15 characters; never the name of a node",
    ),
    Property(
        "DnsServers",
        help="addresses of the name servers that take updates of the zone, such as 10.0.0.2, 10.0.0.3:5353",
        details="The name is registered at each of them (RFC 2136). One that is silent is told as soon as it"
        " answers again.",
    ),
    Property("DnsZone", help="zone in which the name is registered, such as example.org"),
    Property("DnsKeyName", help="name of the TSIG key that the name servers allow updates with"),
    Property("DnsKeyAlgorithm", default=ALGORITHMS[0], choices=ALGORITHMS, help="algorithm of the TSIG key"),
    Property("DnsKeySecret", secret=True, help="secret of the TSIG key, in base64"),
    Property(
        "HostRecordTTL",
        kind="int",
        default=1200,
        minimum=1,
        maximum=604_800,
        unit="s",
        help="how long others may keep the answer of a name server",
    ),
    Property(
        "PublishPTRRecords",
        kind="bool",
        default=False,
        help="have the addresses lead back to the name, too",
    ),
    Property(
        "RequireDNS",
        kind="bool",
        default=False,
        help="a name that is registered at no name server is a failure, not a warning",
    ),
    Property(
        "MulticastDns",
        kind="bool",
        default=False,
        help="answer for NAME.local on the local network (mDNS)",
    ),
    Property(
        "HostsFile",
        kind="path",
        help="a file of hosts(5) that gets lines with the name, such as /etc/hosts; its other lines stay",
    ),
    Property(
        "RegistryPath",
        kind="path",
        help=f"shared directory of the name records; where empty, that of {REGISTRY_VARIABLE}",
    ),
)


def servers(text: str) -> list[tuple[str, int]]:
    """The name servers, as address and port; ValueError quotes what is none."""
    found: list[tuple[str, int]] = []
    for word in re.split(r"[\s,]+", text.strip().strip(",")):
        found.append(_server(word))
    return found


def _server(word: str) -> tuple[str, int]:
    try:
        return str(ipaddress.ip_address(word)), DNS_PORT
    except ValueError:
        pass
    parts = _WITH_PORT.fullmatch(word)
    port = int(parts[3]) if parts and parts[3] else DNS_PORT
    try:
        if parts is None or not 1 <= port <= 65535:
            raise ValueError
        return str(ipaddress.ip_address(parts[1] or parts[2])), port
    except ValueError:
        raise ValueError(
            f"{word!r} is no address of a name server, such as 10.0.0.2, 10.0.0.2:5353 or [fd00::2]:5353"
        ) from None


def check(values: Mapping[str, Any]) -> None:
    """Refuse what does not fit together; PropertyError names the field."""
    _check_zone(values)
    name, secret = values["DnsKeyName"], values["DnsKeySecret"]
    if name and not _DOMAIN.fullmatch(name):
        raise PropertyError("DnsKeyName", f"{name!r} cannot be the name of a key")
    if name and not secret:
        raise PropertyError("DnsKeySecret", f"the key {name} needs its secret")
    if secret and not name:
        raise PropertyError("DnsKeyName", "the secret needs the name of its key")
    if secret:
        try:
            base64.b64decode(secret, validate=True)
        except (binascii.Error, ValueError):
            raise PropertyError("DnsKeySecret", "the secret is not in base64") from None


def _check_zone(values: Mapping[str, Any]) -> None:
    zone = values["DnsZone"]
    if zone and not _DOMAIN.fullmatch(zone):
        raise PropertyError("DnsZone", f"{zone!r} cannot be the name of a zone")
    if not values["DnsServers"]:
        for field in ("RequireDNS", "PublishPTRRecords"):
            if values[field]:
                raise PropertyError(field, "this needs a name server in DnsServers")
        return
    try:
        servers(values["DnsServers"])
    except ValueError as error:
        raise PropertyError("DnsServers", str(error)) from None
    if not zone:
        raise PropertyError("DnsZone", "name the zone in which the name is registered")
