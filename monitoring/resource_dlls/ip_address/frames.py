"""What is put on the wire about an address: questions who has it, and the news that it is here.

ARP for IPv4 (RFC 826, RFC 5227), neighbour discovery for IPv6 (RFC 4861, RFC 4862). Pure: bytes in,
bytes out.
"""

from __future__ import annotations

import ipaddress
import struct

IPAddr = ipaddress.IPv4Address | ipaddress.IPv6Address
ETHERTYPE_ARP, ETHERTYPE_IPV6 = 0x0806, 0x86DD
_REQUEST, _REPLY = 1, 2
_ARP = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_BROADCAST, _NOBODY = b"\xff" * 6, b"\0" * 6
_SOLICITATION, ADVERTISEMENT, _ICMPV6 = 135, 136, 58
_OVERRIDE = 0x20
_TARGET_HARDWARE = 2
_HEADER = 24
"""Octets of an advertisement before its options."""
_ALL_NODES = ipaddress.IPv6Address("ff02::1")


def question(own: bytes, address: IPAddr) -> bytes:
    """Who has `address`? Asked without saying that it may become ours."""
    if isinstance(address, ipaddress.IPv4Address):
        return _arp(_REQUEST, own, b"\0" * 4, _NOBODY, address.packed)
    group = ipaddress.IPv6Address(b"\xff\x02" + b"\0" * 9 + b"\x01\xff" + address.packed[13:])
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address.packed
    return _ipv6(own, ipaddress.IPv6Address("::"), group, body)


def news(own: bytes, address: IPAddr) -> list[bytes]:
    """`address` is here now: what makes the neighbours send to this machine."""
    if isinstance(address, ipaddress.IPv4Address):
        packed = address.packed
        # Some devices learn from the one form only, some from the other.
        return [
            _arp(_REQUEST, own, packed, _NOBODY, packed),
            _arp(_REPLY, own, packed, _BROADCAST, packed),
        ]
    body = struct.pack("!BBHBxxx", ADVERTISEMENT, 0, 0, _OVERRIDE) + address.packed
    return [_ipv6(own, address, _ALL_NODES, body + struct.pack("!BB", _TARGET_HARDWARE, 1) + own)]


def claimant(frame: bytes, address: ipaddress.IPv4Address) -> bytes | None:
    """The hardware address of who uses the address, as an ARP frame shows it."""
    if len(frame) < _ARP.size:
        return None
    fields = _ARP.unpack(frame[: _ARP.size])
    hardware: bytes = fields[8]
    return hardware if fields[9] == address.packed else None


def advertiser(message: bytes, address: ipaddress.IPv6Address) -> bytes | None:
    """The hardware address of who has the address, as a neighbour advertisement (ICMPv6) says."""
    if len(message) < _HEADER or message[0] != ADVERTISEMENT or message[8:_HEADER] != address.packed:
        return None
    options = message[_HEADER:]
    while len(options) >= 8 and options[1]:
        if options[0] == _TARGET_HARDWARE:
            return options[2:8]
        options = options[options[1] * 8 :]
    return _NOBODY


def _arp(operation: int, own: bytes, sender: bytes, target_hardware: bytes, target: bytes) -> bytes:
    head = (_BROADCAST, own, ETHERTYPE_ARP, 1, 0x0800, 6, 4)
    return _ARP.pack(*head, operation, own, sender, target_hardware, target)


def _ipv6(own: bytes, source: ipaddress.IPv6Address, group: ipaddress.IPv6Address, body: bytes) -> bytes:
    """An ICMPv6 message to a group, with its checksum, in its Ethernet frame."""
    pseudo = source.packed + group.packed + struct.pack("!IxxxB", len(body), _ICMPV6)
    body = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255) + source.packed + group.packed
    ethernet = b"\x33\x33" + group.packed[12:] + own + struct.pack("!H", ETHERTYPE_IPV6)
    return ethernet + header + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
