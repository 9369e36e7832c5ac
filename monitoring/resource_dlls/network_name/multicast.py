"""The name on the local network, by multicast DNS (RFC 6762): NAME.local, answered by this process.

Nothing is stored anywhere: the name is known while its owner's agent answers. The library is heavy: this
module is imported where a name is first made known in this way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
from zeroconf import Error, ServiceInfo, Zeroconf

from monitoring.resource_dlls.network_name.names import NameRecord, NameTakenError
from monitoring.resource_dlls.network_name.ways import WayError

GROUPS = {4: "224.0.0.251", 6: "ff02::fb"}
PORT = 5353
SERVICE = "_device-info._tcp.local."
ANSWER_S = 0.1
"""How long answers to the first question are waited for; twice as long after each that was in vain."""
TRIES = 4
FREE_S = 0.3
"""How long it takes until a name is nobody's."""
START_S = 5.0
STOP_S = 1.0


class OnLocalNetwork:
    """A way to make a name known (ways.Way)."""

    def __init__(self, show: Callable[[str, int], None]) -> None:
        self._show = show
        self._responder: Zeroconf | None = None

    def publish(self, record: NameRecord) -> None:
        others = answers(record, 1, FREE_S) - set(record.addresses)
        if others:
            raise NameTakenError(
                f"{record.name}.local leads to {', '.join(sorted(others))}: another machine has that name"
            )
        self._start(record)
        self._show(f"{record.name.lower()}.local", 0)

    def adopt(self, record: NameRecord) -> None:
        """The answers ended with the agent."""
        self._start(record)
        self._show(f"{record.name.lower()}.local", 0)

    def _start(self, record: NameRecord) -> None:
        name = record.name.lower()
        try:
            responder = Zeroconf(interfaces=list(record.addresses), use_asyncio=False)
        except (OSError, RuntimeError, Error) as error:
            raise WayError(f"{name}.local cannot be answered for: {error}") from error
        self._responder = responder
        info = ServiceInfo(
            SERVICE,
            f"{record.name}.{SERVICE}",
            port=0,  # none: it is there for its name alone
            server=f"{name}.local.",
            parsed_addresses=list(record.addresses),
        )
        try:
            _in(responder, responder.async_register_service(info, cooperating_responders=True), START_S)
        except (TimeoutError, Error) as error:
            self._stop()
            raise WayError(f"{name}.local cannot be answered for: {error or 'it does not start'}") from error

    def withdraw(self, record: NameRecord) -> bool:
        self._stop()
        return True

    def withdraw_soon(self, record: NameRecord) -> None:
        self._stop()

    def _stop(self) -> None:
        """Say goodbye once, and answer no more."""
        responder, self._responder = self._responder, None
        if responder is None:
            return

        async def goodbye() -> None:
            message = responder.generate_unregister_all_services()
            if message is not None:
                responder.async_send(message)

        with suppress(TimeoutError, Error):
            _in(responder, goodbye(), STOP_S)
        responder.close()

    def looks_fine(self, record: NameRecord) -> bool:
        responder = self._responder
        return responder is not None and not responder.done

    def check(self, record: NameRecord) -> None:
        name = f"{record.name.lower()}.local"
        if not self.looks_fine(record):
            raise WayError(f"nobody answers for {name} any more")
        found = answers(record)
        if found != set(record.addresses):
            where = f"leads to {', '.join(sorted(found))}" if found else "is not answered for"
            raise WayError(f"{name} {where} on the local network, not to {', '.join(record.addresses)}")


def _in(responder: Zeroconf, work: Any, seconds: float) -> Any:
    """Run it on the responder's own loop."""
    loop = responder.loop
    assert loop is not None
    return asyncio.run_coroutine_threadsafe(work, loop).result(seconds)


def answers(record: NameRecord, tries: int = TRIES, first: float = ANSWER_S) -> set[str]:
    """Where the network leads who asks for the name. Asked from its own addresses; every answer counts."""
    found: set[str] = set()
    versions = {ipaddress.ip_address(each).version: each for each in record.addresses}
    for version, source in versions.items():
        kind = dns.rdatatype.A if version == 4 else dns.rdatatype.AAAA
        for attempt in range(tries):
            heard = _ask(f"{record.name.lower()}.local.", kind, source, first * 2**attempt)
            if heard:
                found |= heard
                break
    return found


def _ask(name: str, kind: dns.rdatatype.RdataType, source: str, seconds: float) -> set[str]:
    """All that is answered to one question within that time."""
    question = dns.message.make_query(name, kind)
    question.flags = dns.flags.Flag(0)
    found: set[str] = set()
    with _socket(source) as asking:
        asking.sendto(question.to_wire(), (GROUPS[4 if asking.family == socket.AF_INET else 6], PORT))
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            asking.settimeout(left)
            try:
                # Further records of other kinds may be of no use to the library: they are left out.
                answer = dns.message.from_wire(asking.recv(9000), continue_on_error=True)
            except TimeoutError:
                break
            except dns.exception.DNSException:
                continue
            for rrset in answer.answer:
                if rrset.rdtype == kind and rrset.name.to_text().lower() == name:
                    # By their octets: the class may carry a bit that is not the class's.
                    found |= {str(ipaddress.ip_address(rdata.to_wire() or b"")) for rdata in rrset}
    return found


def _socket(source: str) -> socket.socket:
    """A socket whose questions leave by the interface of an own address."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    asking = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET:
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
        else:
            asking.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", _index(source))
            )
        asking.bind((source, 0))
    except OSError:
        asking.close()
        raise
    return asking


def _index(address: str) -> int:
    """The interface that has the IPv6 address, as /proc/net/if_inet6 says; 0 where none has."""
    wanted = ipaddress.ip_address(address).packed.hex()
    with open("/proc/net/if_inet6", encoding="ascii") as table:  # noqa: PTH123 - of this very moment
        rows = (line.split() for line in table)
        return next((int(row[1], 16) for row in rows if row[0] == wanted), 0)
