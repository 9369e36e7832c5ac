"""An address on an interface of this machine: put there, watched, and taken back."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.ip_address import neighbours, netlink
from monitoring.resource_dlls.ip_address.netlink import Interface, Link
from monitoring.resource_dlls.ip_address.watcher import Watch, watcher

DUPLICATE_ADDRESS = 1049
CHECK_FAILED = 1077
DETECTION_WITHIN_S = 10.0
"""The kernel's own detection of duplicates (IPv6) takes one to two seconds."""
LOOK_EVERY_S = 0.02
CHECK_WAIT_S = 0.03
"""For one question of IsAlive, which comes again and is to be quick; who is on the wire answers at once."""


class Placement:
    """One address and its interface. InterfaceError and OSError: the kernel refused."""

    def __init__(self, address: Interface, network: str) -> None:
        self.address, self.network = address, network
        self._watch: Watch | None = None

    def check_free(self, *, any_subnet: bool) -> Link:
        """The interface on which the address can be used now, or ResourceError why it cannot."""
        address = self.address
        on = netlink.link(self.network)
        if on.trouble:
            raise ResourceError(f"{address.ip} cannot be used: {on.trouble}", CHECK_FAILED)
        everywhere = netlink.addresses()
        if any(held.address.ip == address.ip for held in everywhere):
            raise ResourceError(f"{address.ip} is configured on this machine already", DUPLICATE_ADDRESS)
        subnets = [held.address.network for held in everywhere if _is_subnet_of(held, on, address)]
        if subnets and not any_subnet and not any(address.ip in subnet for subnet in subnets):
            raise ResourceError(
                f"{address.ip} is in no subnet of {self.network};"
                " set OverrideAddressMatch to use it nevertheless"
            )
        self._check_nobody_has_it(on)
        return on

    def _check_nobody_has_it(
        self, on: Link, attempts: int = neighbours.ATTEMPTS, wait: float = neighbours.WAIT_S, also: str = ""
    ) -> None:
        if not on.resolves:
            return
        own = {each.hardware for each in netlink.links()}
        other = neighbours.who_has(self.network, self.address.ip, own, attempts, wait)
        if other is not None:
            raise ResourceError(
                f"{self.address.ip} is {also}in use on {self.network} by {other}", DUPLICATE_ADDRESS
            )

    def wait_until_usable(self, on: Link, check_wanted: Callable[[], None]) -> None:
        """Wait while the kernel asks by itself whether the address is free, as it does with IPv6."""
        if self.address.version == 4:
            return
        deadline = time.monotonic() + DETECTION_WITHIN_S
        while True:
            check_wanted()
            held = netlink.find(self.address, on.index)
            if held is None:
                raise ResourceError(f"{self.address.ip} is no longer on {self.network}", CHECK_FAILED)
            if held.duplicate:
                self._check_nobody_has_it(on)
                raise ResourceError(
                    f"{self.address.ip} is in use on {self.network} by a machine that the kernel has heard,"
                    " and that does not answer now",
                    DUPLICATE_ADDRESS,
                )
            if not held.tentative:
                return
            if time.monotonic() > deadline:
                raise ResourceError(
                    f"{self.address.ip} was not usable within {DETECTION_WITHIN_S:g} s:"
                    f" {netlink.link(self.network).trouble or 'the search for duplicates does not end'}",
                    CHECK_FAILED,
                )
            time.sleep(LOOK_EVERY_S)

    def announce(self, on: Link) -> bool:
        """Tell the neighbours; False where none listen."""
        if on.resolves:
            neighbours.announce(self.network, self.address.ip)
        return on.resolves

    def watch(
        self, lost: Callable[[str], None], announced: Callable[[int], None], announcements: int, every: float
    ) -> None:
        """Call `lost` as soon as the address or its link goes, and announce it again now and then."""
        ip, network = self.address.ip, self.network
        self._watch = Watch(ip, network, lost, announced, max(0, announcements), every)
        watcher.add(self._watch)

    def unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watcher.remove(watch)

    def looks_fine(self) -> bool:
        return self._watch is not None and not self._watch.trouble

    def check(self) -> None:
        """The address is there, the link is up, and nobody else answers; else ResourceError."""
        on = netlink.link(self.network)
        if on.trouble:
            raise ResourceError(f"{self.address.ip} cannot be reached: {on.trouble}", CHECK_FAILED)
        held = netlink.find(self.address, on.index)
        if held is None:
            raise ResourceError(f"{self.address.ip} is no longer on {self.network}", CHECK_FAILED)
        if held.duplicate:
            raise ResourceError(f"{self.address.ip} is in use twice on {self.network}", DUPLICATE_ADDRESS)
        self._check_nobody_has_it(on, 1, CHECK_WAIT_S, "also ")


def _is_subnet_of(held: netlink.Held, on: Link, address: Interface) -> bool:
    local = isinstance(held.address, ipaddress.IPv6Interface) and held.address.is_link_local
    return held.index == on.index and held.address.version == address.version and not local
