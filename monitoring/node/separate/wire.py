"""What the agent and a separate monitor say to each other: JSON objects, one a datagram.

The agent says first {"load": {...}} (see `process.Load`), then
  {"call", "id", "beside", "token", "context"?}  run an entry point; answered {"id"} with "result" or "error"
  {"cancel": id}                                 nobody waits for it any more; it is answered all the same
  {"answer": number} with "result" or "error"    to what was asked
  {"ended": handle, "returncode"}                a process of the resource has ended
  {"ping": number}                               answered {"pong": number} by the event loop
and the monitor
  {"ask", "number", "token", "args"}             a method of the Context that gives an answer
  {"tell", "args"}                               one that does not
`token` names the operation on whose behalf something is started, None where it is none.
"""

from __future__ import annotations

import json
import signal
from typing import Any

from monitoring.resource_dlls.api import PropertyError, ResourceError

TELL_WHERE = signal.SIGUSR2
"""Signal upon which a monitor writes to the node's log what each of its threads is doing."""
LIMIT = 1 << 18
"""Bytes of a message at most."""

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """ResourceError for one that is too long to be sent."""
    data = json.dumps(message).encode()
    if len(data) > LIMIT * 3 // 4:  # a socket's buffer holds less than its size
        raise ResourceError(f"{len(data)} bytes are too much for one call between agent and monitor")
    return data


def decode(data: bytes) -> Message:
    """ValueError for what is no message."""
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError(f"no message: {data[:100]!r}")
    return message


def described(error: BaseException) -> Message:
    """An error as it travels."""
    if isinstance(error, PropertyError):
        return {"kind": "PropertyError", "field": error.field, "text": error.message}
    if isinstance(error, ResourceError):
        return {"kind": "ResourceError", "text": str(error), "code": error.code}
    return {"kind": type(error).__name__, "text": str(error)}


def raised(told: Message) -> Exception:
    """The error that the other side met. One of a kind that the API does not know is named in its text."""
    kind, text = str(told.get("kind")), str(told.get("text"))
    if kind == "PropertyError":
        return PropertyError(str(told.get("field")), text)
    if kind == "ResourceError":
        code = told.get("code")
        return ResourceError(text, code if isinstance(code, int) else 0)
    if kind == "TimeoutError":
        return TimeoutError(text)
    return ResourceError(f"{kind}: {text}")
