"""Kombu's Redis transports, which take from a queue only what has the form of our messages.

Kombu's own trust the broker: text that is no JSON, an unknown encoding or a compressed body
that grows to gigabytes would end the worker that reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kombu.transport import redis, virtual

from monitoring.core.messages import BODY

logger = logging.getLogger(__name__)

LARGEST = 4 * BODY
"""Characters of a message on the broker at most: it is JSON in JSON, encoded once more."""

refused: list[Callable[[str], None]] = []
"""Are told of each message that was refused, with the reason."""


def refuse(reason: str) -> None:
    """Something on the broker was not one of our messages."""
    for told in refused:
        told(reason)


class MisfitError(ValueError):
    """What lies on the queue is not a message of ours."""


class Message(virtual.Message):
    """A message whose outer form is as we send it, else MisfitError."""

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        _check(payload)
        try:
            super().__init__(payload, channel=channel, **kwargs)
        except Exception as error:
            raise MisfitError(f"it cannot be read: {type(error).__name__}") from None


def _check(payload: Any) -> None:
    if not isinstance(payload, dict):
        raise MisfitError("it is no object")
    body, headers, properties = (payload.get(name) for name in ("body", "headers", "properties"))
    if not (isinstance(body, str) and isinstance(headers, dict) and isinstance(properties, dict)):
        raise MisfitError("it has no body, headers and properties")
    if len(body) > LARGEST:
        raise MisfitError("it is too large")
    if headers.get("compression"):
        raise MisfitError("it is compressed")
    if not isinstance(properties.get("delivery_tag"), str):
        raise MisfitError("it has no tag")
    info = properties.get("delivery_info")
    if not (
        isinstance(info, dict) and all(isinstance(info.get(n), str) for n in ("exchange", "routing_key"))
    ):
        raise MisfitError("it does not say how it was delivered")


class _Strict:
    """A channel of messages of ours. Text that is no JSON has been taken off the queue when it fails."""

    Message = Message

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (MisfitError, ValueError, RecursionError) as error:
            refuse(str(error) if isinstance(error, MisfitError) else "it is no JSON")
            return True


class Channel(_Strict, redis.Channel):
    """Of a single server."""


class SentinelChannel(_Strict, redis.SentinelChannel):
    """Of the servers that Sentinels watch."""


class Transport(redis.Transport):
    """redis:// and rediss://"""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """sentinel://"""

    Channel = SentinelChannel
