"""One thread a process that sees, by netlink, when an address or its link goes; and repeats announcements.

It keeps what the kernel has in memory, by the changes that the kernel tells of, so that a look at
an address costs nothing. It runs while there is something to watch.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from monitoring.resource_dlls.ip_address import neighbours, netlink
from monitoring.resource_dlls.ip_address.frames import IPAddr
from monitoring.resource_dlls.ip_address.netlink import Link

logger = logging.getLogger(__name__)
GROUPS = 0x1 | 0x10 | 0x100
"""Changes of links, of IPv4 and of IPv6 addresses (RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR)."""
NEW_LINK, DELETED_LINK, NEW_ADDRESS, DELETED_ADDRESS = 16, 17, 20, 21
BUFFER = 1 << 20
PAUSE_S = 1.0
"""After an error, before everything is asked anew."""


@dataclass(eq=False, slots=True)
class Watch:
    """An address of one resource. `lost` is called on the watcher's thread, once each time that it goes."""

    address: IPAddr
    interface: str
    lost: Callable[[str], None]
    announced: Callable[[int], None]
    """Called after each repeated announcement with how many are left."""
    announcements: int = 0
    every: float = 1.0
    due: float = field(default=0.0, init=False)
    trouble: str = field(default="", init=False)
    """Why the address cannot be used at the moment."""


class Watcher:
    """The thread and what it watches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        self._wake: int | None = None
        """An eventfd of the thread, None where none runs."""
        self._links: dict[int, Link] = {}
        self._present: set[tuple[int, IPAddr]] = set()

    def add(self, watch: Watch) -> None:
        """Watch an address that is there now."""
        watch.due = time.monotonic() + watch.every
        with self._lock:
            self._watches.append(watch)
            if self._wake is None:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                threading.Thread(target=self._run, args=(self._wake,), name="addresses", daemon=True).start()
            else:
                os.eventfd_write(self._wake, 1)

    def remove(self, watch: Watch) -> None:
        """Once this returns nothing is announced for it any more."""
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def _run(self, wake: int) -> None:
        while True:
            try:
                with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as changes:
                    self._look(changes, wake)
                return
            except Exception:
                # Blind, it would see no failure any more: it starts anew, whatever the reason is.
                logger.exception("the changes of addresses cannot be followed, trying again")
                time.sleep(PAUSE_S)

    def _look(self, changes: socket.socket, wake: int) -> None:
        """Follow the changes until nothing is watched any more."""
        changes.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        changes.bind((0, GROUPS))
        changes.setblocking(False)
        self._ask()
        poll = select.poll()
        poll.register(changes, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            with suppress(BlockingIOError):
                os.eventfd_read(wake)
            self._follow(changes)
            with self._lock:
                if not self._watches:
                    os.close(wake)
                    self._wake = None
                    return
                watches = list(self._watches)
            for watch in watches:
                self._judge(watch)
            poll.poll(self._announce(watches))

    def _ask(self) -> None:
        self._links = {each.index: each for each in netlink.links()}
        self._present = {(held.index, held.address.ip) for held in netlink.addresses()}

    def _follow(self, changes: socket.socket) -> None:
        """Take in what the kernel says; where it had to leave something out, ask for everything."""
        marshal = MarshalRtnl()
        while True:
            try:
                data = changes.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: changes were lost
                self._ask()
                continue
            for message in marshal.parse(data):
                kind = message["header"]["type"]
                if kind == NEW_LINK:
                    link = netlink.link_of(message)
                    self._links[link.index] = link
                elif kind == DELETED_LINK:
                    self._links.pop(message["index"], None)
                elif kind in (NEW_ADDRESS, DELETED_ADDRESS):
                    held = netlink.held_of(message)
                    change = self._present.add if kind == NEW_ADDRESS else self._present.discard
                    change((held.index, held.address.ip))

    def _judge(self, watch: Watch) -> None:
        before, watch.trouble = watch.trouble, self._trouble(watch)
        if watch.trouble and not before:
            watch.lost(watch.trouble)

    def _trouble(self, watch: Watch) -> str:
        on = next((each for each in self._links.values() if each.name == watch.interface), None)
        if on is None:
            return f"the interface {watch.interface} is gone"
        if (on.index, watch.address) not in self._present:
            return f"{watch.address} is no longer on {watch.interface}"
        return on.trouble

    def _announce(self, watches: list[Watch]) -> float | None:
        """Send the announcements that are due; the milliseconds until the next, None where there is none."""
        now = time.monotonic()
        for watch in watches:
            if watch.announcements and watch.due <= now:
                self._announce_one(watch, now)
        left = [watch.due for watch in watches if watch.announcements]
        return max(0.0, (min(left) - time.monotonic()) * 1000) + 1 if left else None

    def _announce_one(self, watch: Watch, now: float) -> None:
        watch.announcements -= 1
        watch.due = now + watch.every
        with self._lock:  # it is not removed meanwhile
            if watch not in self._watches:
                return
            try:
                neighbours.announce(watch.interface, watch.address)
            except OSError as error:
                logger.info("%s was not announced on %s: %s", watch.address, watch.interface, error)
                return
        watch.announced(watch.announcements)


watcher = Watcher()
