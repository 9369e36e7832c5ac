"""Waiting in a loop that runs inside the reactor."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from monitoring.resource_dlls.exchange.services.late_reactor import reactor


def pause(seconds: float) -> Deferred[Any]:
    return deferLater(reactor, seconds)
