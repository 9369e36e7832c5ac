"""The IP Address resource.

While it is online, an exclusively bound socket on (address, 3343) is held: the claim. On one
machine no two nodes can hold it, which makes ownership real also for loopback addresses, where
the kernel answers for every address as it is. Other addresses are added to the interface named
by Network, after nobody on it answered for them, and announced to the neighbours.

Plain methods: the questions to the network take their time on this resource's own thread. What
deals with interfaces is loaded with the first address that needs one.

Source: semantics 5.1 and 5.2; RFC 5227, RFC 4862.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.ip_address import claim

if TYPE_CHECKING:
    from monitoring.resource_dlls.ip_address.placement import Placement

DUPLICATE_ADDRESS = 1049
FIRST = 1
"""Announcements that Online itself makes."""


class IPAddress(ResourceDLL):
    type_name = "IP Address"
    description = "An IPv4 or IPv6 address that moves with its group."
    family = "Network"
    icon = "network"
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Address", kind="ip", required=True, unique="cluster", help="static IPv4 or IPv6 address"),
        Property(
            "SubnetMask",
            kind="netmask",
            required=True,
            help="such as 255.255.255.0, or the length of the prefix: 24, or 64 for IPv6",
        ),
        Property("Network", help="network interface to add it to; not needed for 127.0.0.0/8 and ::1"),
        Property(
            "EnableNetBIOS",
            kind="bool",
            default=True,
            help="network names may be registered with the address",
        ),
        Property(
            "OverrideAddressMatch",
            kind="bool",
            default=False,
            help="allow an address outside the subnets of the interface",
        ),
        Property(
            "AnnounceCount",
            kind="int",
            default=5,
            minimum=1,
            maximum=100,
            help="how often the neighbours are told that the address is here",
            details="By gratuitous ARP, or by unsolicited neighbour advertisements for IPv6. The first goes"
            " out before the resource is online, the others do not keep it waiting.",
        ),
        Property(
            "AnnounceInterval",
            kind="int",
            default=1000,
            minimum=100,
            maximum=3_600_000,
            unit="ms",
            help="time between two announcements",
        ),
    )

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self._claim: socket.socket | None = None
        self._placed: Placement | None = None
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was terminated: an Online that is interrupted must not go on to hold the address."""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        address = ipaddress.ip_address(values["Address"])
        _check_host(address)
        network = _with_prefix(address, values["SubnetMask"]).network
        edges: tuple[Any, ...] = (network.network_address,)
        if address.version == 4:
            edges += (network.broadcast_address,)
        if network.prefixlen < network.max_prefixlen - 1 and address in edges:
            raise PropertyError("Address", f"{address} is no host's address in {network}")
        if not address.is_loopback and not values["Network"]:
            raise PropertyError("Network", f"name the interface that {address} belongs on")

    @property
    def address(self) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
        return _with_prefix(ipaddress.ip_address(self["Address"]), self["SubnetMask"])

    @property
    def _marker(self) -> Path:
        return _marker_in(self.context.state_dir)

    def open(self) -> None:
        self.sweep(self.context.state_dir)

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        """Remove the address that a dead agent left on an interface."""
        marker = _marker_in(state_dir)
        if marker.exists():
            from monitoring.resource_dlls.ip_address import netlink

            left = json.loads(marker.read_text(encoding="utf-8"))
            netlink.remove(ipaddress.ip_interface(left["address"]), left["interface"])
            marker.unlink()

    def online(self) -> None:
        begun = self._ends
        if self.address.is_loopback:
            self._hold_claim(begun)
            return
        with self._usable():
            placed = self._placement()
            on = placed.check_free(any_subnet=self["OverrideAddressMatch"])
            self._add(placed, begun)
            placed.wait_until_usable(on, lambda: self._check_wanted(begun))
            self._hold_claim(begun)
            repeated = self["AnnounceCount"] - FIRST if placed.announce(on) else 0
            self._watch(placed, begun, repeated)
            if on.resolves:
                self._show_announced(placed, repeated)

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        """Errors of the system within the block become the resource's own."""
        from monitoring.resource_dlls.ip_address.netlink import NEEDS_RIGHTS, InterfaceError

        try:
            yield
        except PermissionError as error:
            raise ResourceError(f"{self.address} cannot be used: {NEEDS_RIGHTS}") from error
        except (InterfaceError, OSError) as error:
            raise ResourceError(f"{self.address} cannot be used: {error}") from error

    def _placement(self) -> Placement:
        from monitoring.resource_dlls.ip_address.placement import Placement

        return Placement(self.address, self["Network"])

    def _add(self, placed: Placement, begun: int) -> None:
        """The marker is written first: the address is taken back (sweep) whenever this process dies."""
        from monitoring.resource_dlls.ip_address import netlink

        with self._changing:
            self._check_wanted(begun)
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            left = json.dumps({"address": str(placed.address), "interface": placed.network})
            self._marker.write_text(left, encoding="utf-8")
            netlink.add(placed.address, netlink.link(placed.network))

    def _hold_claim(self, begun: int) -> None:
        """Take the claim and keep it, unless the resource was terminated meanwhile."""
        taken = self._take_claim()
        with self._changing:
            if self._ends == begun:
                self._claim = taken
        if self._claim is not taken:
            taken.close()
        self._check_wanted(begun)

    def _take_claim(self) -> socket.socket:
        try:
            return claim.take(self.address.ip)
        except OSError as error:
            raise ResourceError(
                f"{self['Address']} is in use on this machine: its claim (port {claim.CLAIM_PORT})"
                f" cannot be taken: {error.strerror}",
                DUPLICATE_ADDRESS,
            ) from error

    def _watch(self, placed: Placement, begun: int, announcements: int) -> None:
        """From now on its loss is a failure at once, and it is announced again."""
        with self._changing:
            self._check_wanted(begun)
            self._placed = placed
            placed.watch(
                self.context.failed,
                lambda left: self._show_announced(placed, left),
                announcements,
                self["AnnounceInterval"] / 1000,
            )
        self.context.show("Interface", f"{placed.network}, link up")

    def _show_announced(self, placed: Placement, left: int) -> None:
        if self._placed is placed:
            count = self["AnnounceCount"]
            of = f" of {count}" if left else ""
            self.context.show("Announced", f"{count - left}{of} time{'' if count == 1 else 's'}")

    def _check_wanted(self, begun: int) -> None:
        if self._ends != begun:
            raise ResourceError(f"{self.address.ip} was given up while it came online")

    def adopt(self) -> bool:
        """The address is still there, and the claim, which ended with the agent, is taken again."""
        begun = self._ends
        self._hold_claim(begun)
        if not self.address.is_loopback:
            with self._usable():
                self._watch(self._placement(), begun, announcements=0)
        return self.is_alive()

    def terminate(self) -> None:
        with self._changing:
            self._ends += 1
            held, self._claim = self._claim, None
            placed, self._placed = self._placed, None
            if placed is not None:
                placed.unwatch()
            if held is not None:
                held.close()
            self.sweep(self.context.state_dir)

    def looks_alive(self) -> bool:
        """The claim is held, and the kernel has told of no loss."""
        placed = self._placed
        return self._claim is not None and (
            self.address.is_loopback or (placed is not None and placed.looks_fine())
        )

    def is_alive(self) -> bool:
        """The claim is held; an address on an interface is there, and nobody else answers for it."""
        placed = self._placed
        if self._claim is None:
            return False
        if self.address.is_loopback:
            return True
        if placed is None:
            return False
        with self._usable():
            placed.check()
        return True


def _marker_in(state_dir: Path) -> Path:
    return state_dir / "address.json"


def _check_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Refuse what no machine can have for its clients."""
    if address.is_multicast or address.is_unspecified or (address.version == 4 and address.is_reserved):
        raise PropertyError("Address", f"{address} cannot be the address of a machine")
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_link_local or address.scope_id is not None:
            raise PropertyError("Address", f"{address} is known on one link only; clients need another")
        if address.ipv4_mapped is not None:
            raise PropertyError("Address", f"{address} is an IPv4 address in disguise; write it as one")


def _with_prefix(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, mask: str
) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """The address with its subnet; `mask` is a mask of IPv4 or the length of a prefix."""
    if address.version == 6 and not mask.isdecimal():
        raise PropertyError(
            "Address",
            f"{address} is an IPv6 address: give SubnetMask as the length of its prefix, such as 64",
        )
    if address.version == 4 and mask.isdecimal() and int(mask) > 31:
        raise PropertyError("SubnetMask", f"a prefix of IPv4 is at most 31 long here, not {mask}")
    return ipaddress.ip_interface(f"{address}/{mask}")
