"""The addresses of a network interface, through iproute2."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterator


class InterfaceError(Exception):
    """`ip` refused, or is not there; the text is its own."""


def _ip(*arguments: str) -> str:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        raise InterfaceError("the command `ip` (iproute2) is not installed") from None
    except subprocess.TimeoutExpired:
        raise InterfaceError(f"`ip {' '.join(arguments)}` did not return within 10 s") from None
    if done.returncode != 0:
        raise InterfaceError(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}")
    return done.stdout


def addresses(interface: str = "") -> Iterator[ipaddress.IPv4Interface]:
    """The IPv4 addresses, each with its network, of one interface or of all."""
    selection = ["dev", interface] if interface else []
    for link in json.loads(_ip("-json", "-4", "address", "show", *selection) or "[]"):
        for entry in link.get("addr_info", []):
            yield ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}")


def has(address: ipaddress.IPv4Interface, interface: str) -> bool:
    return any(each.ip == address.ip for each in addresses(interface))


def add(address: ipaddress.IPv4Interface, interface: str) -> None:
    _ip("address", "add", str(address), "dev", interface)


def remove(address: ipaddress.IPv4Interface, interface: str) -> None:
    """Take the address away; nothing happens where it is gone already."""
    if has(address, interface):
        _ip("address", "delete", str(address), "dev", interface)
