"""The claim of an address: a socket bound to it, which the kernel gives to one process at a time.

On one machine it makes ownership real also where the kernel answers for every address as it is.
"""

from __future__ import annotations

import ipaddress
import socket
import time

CLAIM_PORT = 3343
"""The port of the original cluster service."""
CLAIM_PATIENCE_S = 0.2
"""A claim that was just given back may live on for a moment in a process being forked."""


def take(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> socket.socket:
    """The bound socket; OSError where another has it."""
    deadline = time.monotonic() + CLAIM_PATIENCE_S
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    while True:
        claim = socket.socket(family, socket.SOCK_STREAM)
        try:
            claim.bind((str(address), CLAIM_PORT))
            return claim
        except OSError:
            claim.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
