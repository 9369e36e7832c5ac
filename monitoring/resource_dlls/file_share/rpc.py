"""Asks an RPC service whether it is there: procedure 0, which every one has and which does nothing.

Source: RFC 5531 (ONC RPC version 2, record marking), section 9 and 11.
"""

from __future__ import annotations

import os
import socket
import struct

_LAST_FRAGMENT = 0x80000000
_REPLY, _ACCEPTED, _SUCCESS = 1, 0, 0


def answers(address: str, port: int, program: int, version: int, seconds: float) -> bool:
    """Whether the service answers there within that time."""
    call_id = os.urandom(4)
    call = call_id + struct.pack(">9I", 0, 2, program, version, 0, 0, 0, 0, 0)
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            connection.sendall(struct.pack(">I", _LAST_FRAGMENT | len(call)) + call)
            answer = connection.recv(128)
    except OSError:
        return False
    if len(answer) < 28 or answer[4:8] != call_id:
        return False
    kind, state, _flavour, length = struct.unpack(">4I", answer[8:24])
    if (kind, state) != (_REPLY, _ACCEPTED) or len(answer) < 28 + length:
        return False
    return bool(struct.unpack(">I", answer[24 + length : 28 + length])[0] == _SUCCESS)
