"""Addresses and links of this machine, as the kernel has them: asked and changed by netlink.

All of it happens in the network namespace that the process runs in. The library is heavy: this
module is imported where an address on an interface is first dealt with.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_DADFAILED, IFA_F_SECONDARY, IFA_F_TENTATIVE

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
"""An address with its prefix."""
IFF_UP, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x80, 0x10000
DOWN_STATES = ("DOWN", "LOWERLAYERDOWN", "NOTPRESENT", "DORMANT")
NEEDS_RIGHTS = (
    "this takes the rights CAP_NET_ADMIN and CAP_NET_RAW; run the node's agent as root, or give it both"
)
GONE = (errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO)


class InterfaceError(Exception):
    """The kernel refused, or there is no such interface; the text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface. `trouble`: why nothing goes through it, empty where it is up."""

    index: int
    name: str
    hardware: str
    resolves: bool
    """Neighbours are found by ARP or neighbour discovery: on a tunnel they are not."""
    trouble: str


@dataclass(frozen=True, slots=True)
class Held:
    """An address on an interface."""

    address: Interface
    index: int
    tentative: bool = False
    """The kernel does not use it yet: it asks whether somebody else does (RFC 4862)."""
    duplicate: bool = False
    secondary: bool = False
    """It goes with the first address of its subnet, unless the interface promotes the next."""


@contextmanager
def kernel(what: str) -> Iterator[IPRoute]:
    """A netlink socket for a few questions; an error says that `what` was not possible."""
    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise InterfaceError(f"{what}: {_reason(error.code)}") from error
    except OSError as error:
        raise InterfaceError(f"{what}: {error.strerror}") from error


def _reason(code: int) -> str:
    if code == errno.EPERM:
        return NEEDS_RIGHTS
    if code == errno.EACCES:
        return "IPv6 is turned off on this interface (disable_ipv6)"
    return os.strerror(code)


def links() -> list[Link]:
    with kernel("the interfaces cannot be listed") as route:
        return [link_of(message) for message in route.get_links()]


def link(name: str) -> Link:
    """The interface of that name; InterfaceError where there is none."""
    found = links()
    for each in found:
        if each.name == name:
            return each
    others = ", ".join(sorted(each.name for each in found))
    raise InterfaceError(f"there is no interface {name} on this node; it has {others}")


def link_of(message: Any) -> Link:
    """A link as a netlink message tells of it."""
    flags, name = message["flags"], message.get_attr("IFLA_IFNAME")
    state = message.get_attr("IFLA_OPERSTATE") or "UNKNOWN"
    trouble = ""
    if not flags & IFF_UP:
        trouble = f"{name} is turned off"
    elif not flags & IFF_LOWER_UP or state in DOWN_STATES:
        trouble = f"the link of {name} is down"
    hardware = message.get_attr("IFLA_ADDRESS") or ""
    return Link(message["index"], name, hardware, not flags & IFF_NOARP, trouble)


def addresses(index: int | None = None) -> list[Held]:
    """The addresses of one interface, or of all."""
    with kernel("the addresses cannot be listed") as route:
        found = route.get_addr(**({} if index is None else {"index": index}))
        return [held_of(message) for message in found]


def held_of(message: Any) -> Held:
    """An address as a netlink message tells of it."""
    text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    flags = message.get_attr("IFA_FLAGS")
    flags = message["flags"] if flags is None else flags
    return Held(
        ipaddress.ip_interface(f"{text}/{message['prefixlen']}"),
        message["index"],
        bool(flags & IFA_F_TENTATIVE),
        bool(flags & IFA_F_DADFAILED),
        bool(flags & IFA_F_SECONDARY) and message["family"] != 10,
    )


def find(address: Interface, index: int) -> Held | None:
    """The address as the interface has it, whatever its prefix."""
    return next((held for held in addresses(index) if held.address.ip == address.ip), None)


def add(address: Interface, on: Link) -> None:
    """Add the address. One of IPv6 is never chosen as the source of what this machine itself sends
    (RFC 6724, rule 3): it will be another machine's. A second one of IPv4 is not either."""
    own: dict[str, Any] = {"preferred": 0} if address.version == 6 else {}
    with kernel(f"{address} cannot be added to {on.name}") as route:
        route.addr("add", index=on.index, address=str(address.ip), prefixlen=address.network.prefixlen, **own)


def remove(address: Interface, name: str) -> None:
    """Take the address away; nothing happens where it, or the interface, is gone already."""
    on = next((each for each in links() if each.name == name), None)
    if on is None:
        return
    held = addresses(on.index)
    mine = next((each for each in held if each.address.ip == address.ip), None)
    if mine is None:
        return
    _keep_others(mine, held, name)
    try:
        with kernel(f"{address} cannot be removed from {name}") as route:
            prefix = mine.address.network.prefixlen
            route.addr("del", index=on.index, address=str(address.ip), prefixlen=prefix)
    except InterfaceError as error:
        if not (isinstance(error.__cause__, NetlinkError) and error.__cause__.code in GONE):
            raise


def _keep_others(mine: Held, held: Iterable[Held], name: str) -> None:
    """The first IPv4 address of a subnet takes the others with it, unless the interface is told to
    let the next one take its place: they may be other groups'."""
    network = mine.address.network
    if mine.address.version == 6 or mine.secondary:
        return
    if any(each.secondary and each.address.network == network for each in held):
        setting = Path("/proc/sys/net/ipv4/conf") / name / "promote_secondaries"
        try:
            setting.write_text("1")
        except OSError as error:
            if setting.read_text().strip() != "1":
                raise InterfaceError(
                    f"{mine.address} is the first address of {network} on {name}, and would take the others"
                    f" with it: {setting} has to be 1 ({error.strerror})"
                ) from error
