"""The IP Address resource.

While it is online, an exclusively bound socket on (address, 3343) is held: the claim. On one
machine no two nodes can hold it, which makes ownership real also for 127.0.0.0/8, where the
kernel answers for every address as it is. Other addresses are added to the interface named
by Network, after nobody on it answered for them, and announced to the neighbours.

Plain methods: `ip` and the conflict probe take their time on this resource's own thread.

Source: semantics 5.1 and 5.2; RFC 5227.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.ip_address import arp, interface
from monitoring.resource_dlls.ip_address.interface import InterfaceError

DUPLICATE_ADDRESS = 1049
CHECK_FAILED = 1077
CLAIM_PORT = 3343
"""The port of the original cluster service."""
CLAIM_PATIENCE_S = 0.2
"""A claim that was just given back may live on for a moment in a process being forked."""


class IPAddress(ResourceDLL):
    type_name = "IP Address"
    description = "An IPv4 address that moves with its group."
    family = "Network"
    icon = "network"
    properties: ClassVar[tuple[Property, ...]] = (
        Property("Address", kind="ip", required=True, unique="cluster", help="static IPv4 address"),
        Property("SubnetMask", kind="netmask", required=True, help="such as 255.255.255.0"),
        Property("Network", help="network interface to add it to; not needed for 127.0.0.0/8"),
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
    )

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self._claim: socket.socket | None = None
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was terminated: an Online that is interrupted must not go on to hold the address."""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        address = ipaddress.ip_address(values["Address"])
        if not isinstance(address, ipaddress.IPv4Address):
            raise PropertyError("Address", f"{address} is not an IPv4 address")
        if address.is_multicast or address.is_unspecified or address.is_reserved:
            raise PropertyError("Address", f"{address} cannot be the address of a machine")
        network = ipaddress.IPv4Interface(f"{address}/{values['SubnetMask']}").network
        if network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
            raise PropertyError("Address", f"{address} is no host's address in {network}")
        if not address.is_loopback and not values["Network"]:
            raise PropertyError("Network", f"name the interface that {address} belongs on")

    @property
    def address(self) -> ipaddress.IPv4Interface:
        return ipaddress.IPv4Interface(f"{self['Address']}/{self['SubnetMask']}")

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
            left = json.loads(marker.read_text(encoding="utf-8"))
            interface.remove(ipaddress.IPv4Interface(left["address"]), left["interface"])
            marker.unlink()

    def online(self) -> None:
        begun = self._ends
        if not self.address.is_loopback:
            try:
                self._add_to_interface(begun)
            except (InterfaceError, OSError) as error:
                raise ResourceError(f"{self.address} cannot be used: {error}") from error
        self._hold_claim(begun)

    def _hold_claim(self, begun: int) -> None:
        """Take the claim and keep it, unless the resource was terminated meanwhile."""
        claim = self._take_claim()
        with self._changing:
            if self._ends == begun:
                self._claim = claim
        if self._claim is not claim:
            claim.close()
        self._check_wanted(begun)

    def _check_wanted(self, begun: int) -> None:
        if self._ends != begun:
            raise ResourceError(f"{self.address.ip} was given up while it came online")

    def adopt(self) -> bool:
        """The address is still there, and the claim, which ended with the agent, is taken again."""
        self._hold_claim(self._ends)
        return self.is_alive()

    def _add_to_interface(self, begun: int) -> None:
        """Add the address unless somebody has it. The marker is written first, so that it is
        taken back (sweep) whenever this process dies."""
        address, network = self.address, self["Network"]
        present = list(interface.addresses(network))
        if present and not self["OverrideAddressMatch"] and all(address.ip not in p.network for p in present):
            raise ResourceError(
                f"{address.ip} is in no subnet of {network}; set OverrideAddressMatch to use it nevertheless"
            )
        if any(address.ip == each.ip for each in interface.addresses()):
            raise ResourceError(f"{address.ip} is configured on this machine already", DUPLICATE_ADDRESS)
        other = arp.probe(network, str(address.ip))
        if other is not None:
            raise ResourceError(f"{address.ip} is in use on {network} by {other}", DUPLICATE_ADDRESS)
        with self._changing:
            self._check_wanted(begun)
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            left = json.dumps({"address": str(address), "interface": network})
            self._marker.write_text(left, encoding="utf-8")
            interface.add(address, network)
        arp.announce(network, str(address.ip))

    def _take_claim(self) -> socket.socket:
        deadline = time.monotonic() + CLAIM_PATIENCE_S
        while True:
            claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                claim.bind((self["Address"], CLAIM_PORT))
                return claim
            except OSError as error:
                claim.close()
                if time.monotonic() > deadline:
                    raise ResourceError(
                        f"{self['Address']} is in use on this machine: its claim (port {CLAIM_PORT})"
                        f" cannot be taken: {error.strerror}",
                        DUPLICATE_ADDRESS,
                    ) from error
                time.sleep(0.01)

    def terminate(self) -> None:
        with self._changing:
            self._ends += 1
            claim, self._claim = self._claim, None
            if claim is not None:
                claim.close()
            self.sweep(self.context.state_dir)

    def is_alive(self) -> bool:
        """The claim is held; an address on an interface is still there."""
        if self._claim is None:
            return False
        if not self.address.is_loopback:
            try:
                present = interface.has(self.address, self["Network"])
            except InterfaceError as error:
                raise ResourceError(str(error), CHECK_FAILED) from error
            if not present:
                raise ResourceError(f"{self.address.ip} is no longer on {self['Network']}", CHECK_FAILED)
        return True


def _marker_in(state_dir: Path) -> Path:
    return state_dir / "address.json"
