"""Address conflict detection and announcement on a local network, by ARP (RFC 5227).

Needs CAP_NET_RAW, which whoever may add an address to an interface commonly has.
"""

from __future__ import annotations

import socket
import struct
import time

_ETHERTYPE_ARP = 0x0806
_REQUEST = 1
_BROADCAST = b"\xff" * 6
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")


def probe(interface: str, address: str, attempts: int = 3, wait: float = 0.1) -> str | None:
    """Ask the network who has `address`: the answering hardware address, or None.

    Takes `attempts` times `wait` seconds where nobody answers.
    """
    wanted = socket.inet_aton(address)
    with _open(interface) as link:
        own = _hardware_address(link)
        for _ in range(attempts):
            link.send(_request(own, b"\0" * 4, wanted))
            deadline = time.monotonic() + wait
            while (remaining := deadline - time.monotonic()) > 0:
                link.settimeout(remaining)
                try:
                    sender = _sender_of(link.recv(64), wanted, own)
                except TimeoutError:
                    break
                if sender is not None:
                    return sender.hex(":")
    return None


def announce(interface: str, address: str) -> None:
    """Tell the neighbours that `address` is here now (gratuitous ARP)."""
    packed = socket.inet_aton(address)
    with _open(interface) as link:
        link.send(_request(_hardware_address(link), packed, packed))


def _open(interface: str) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_ARP))
    try:
        link.bind((interface, _ETHERTYPE_ARP))
    except OSError:
        link.close()
        raise
    return link


def _hardware_address(link: socket.socket) -> bytes:
    hardware: bytes = link.getsockname()[4]
    return hardware


def _request(own: bytes, sender: bytes, target: bytes) -> bytes:
    return _FRAME.pack(
        _BROADCAST, own, _ETHERTYPE_ARP, 1, 0x0800, 6, 4, _REQUEST, own, sender, b"\0" * 6, target
    )


def _sender_of(frame: bytes, wanted: bytes, own: bytes) -> bytes | None:
    """Hardware address of another machine that uses `wanted`, as a frame shows it."""
    if len(frame) < _FRAME.size:
        return None
    fields = _FRAME.unpack(frame[: _FRAME.size])
    hardware: bytes = fields[8]
    return hardware if fields[9] == wanted and hardware != own else None
