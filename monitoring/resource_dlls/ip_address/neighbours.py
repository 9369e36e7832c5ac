"""Asks the neighbours on a link who has an address, and tells them that it is here.

Needs CAP_NET_RAW, which whoever may add an address to an interface commonly has.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Collection, Iterator

from monitoring.resource_dlls.ip_address import frames
from monitoring.resource_dlls.ip_address.frames import IPAddr

_ICMP6_FILTER = 1
ATTEMPTS = 3
WAIT_S = 0.1
SLOW_S = 0.5


def who_has(
    interface: str, address: IPAddr, own: Collection[str], attempts: int = ATTEMPTS, wait: float = WAIT_S
) -> str | None:
    """The hardware address of another machine that answers for `address`, or None.

    `own`: hardware addresses of this machine, which may answer itself by way of another of its
    interfaces. Takes `attempts` times `wait` seconds where nobody answers.
    """
    with _sender(interface, address) as link, _receiver(interface, address, link) as answers:
        question = frames.question(link.getsockname()[4], address)
        for _ in range(attempts):
            link.send(question)
            for received in _until(answers, time.monotonic() + wait):
                hardware = _hardware(received, address)
                if hardware is not None and hardware.hex(":") not in own:
                    return hardware.hex(":")
    return None


def _until(answers: socket.socket, deadline: float) -> Iterator[bytes]:
    """What is heard until then. What came in time is heard also where this process was slow."""
    while (left := deadline - time.monotonic()) > -SLOW_S:
        answers.settimeout(max(0.0, left))
        try:
            yield answers.recv(256)
        except (TimeoutError, BlockingIOError):
            return


def announce(interface: str, address: IPAddr) -> None:
    """Tell the neighbours once that `address` is on this machine; never waits."""
    with _sender(interface, address) as link:
        link.setblocking(False)
        for frame in frames.news(link.getsockname()[4], address):
            link.send(frame)


def _hardware(received: bytes, address: IPAddr) -> bytes | None:
    if isinstance(address, ipaddress.IPv4Address):
        return frames.claimant(received, address)
    return frames.advertiser(received, address)


def _sender(interface: str, address: IPAddr) -> socket.socket:
    """A socket for whole frames; for ARP it hears the answers, too."""
    kind = frames.ETHERTYPE_ARP if address.version == 4 else 0  # 0: hears nothing
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    try:
        link.bind((interface, kind))
    except OSError:
        link.close()
        raise
    return link


def _receiver(
    interface: str, address: IPAddr, link: socket.socket
) -> contextlib.AbstractContextManager[socket.socket]:
    if address.version == 4:
        return contextlib.nullcontext(link)
    answers = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    try:
        blocked = [0xFFFFFFFF] * 8  # a bit for each type of message; set: not wanted
        blocked[frames.ADVERTISEMENT // 32] &= ~(1 << frames.ADVERTISEMENT % 32)
        answers.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))
        answers.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError:
        answers.close()
        raise
    return answers
