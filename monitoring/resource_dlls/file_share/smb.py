"""The first exchange of SMB 2 with a server: cheap, and only a server that works answers it.

Source: MS-SMB2 2.2.3 and 2.2.4 (NEGOTIATE).
"""

from __future__ import annotations

import os
import socket
import struct

_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
_MAGIC = b"\xfeSMB"
_DIALECTS = (0x0210, 0x0300, 0x0302)


def answers(address: str, port: int, seconds: float) -> bool:
    """Whether an SMB server answers there within that time."""
    header = _HEADER.pack(_MAGIC, 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, b"")
    body = struct.pack("<HHHHI16sQ", 36, len(_DIALECTS), 1, 0, 0, os.urandom(16), 0)
    packet = header + body + struct.pack(f"<{len(_DIALECTS)}H", *_DIALECTS)
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            connection.sendall(struct.pack(">I", len(packet)) + packet)
            answer = connection.recv(512)
    except OSError:
        return False
    return answer[4:8] == _MAGIC and answer[12:16] == b"\0\0\0\0"  # STATUS_SUCCESS of an SMB 2 server
