"""How long an entry point may be silent, and what an operator reads of one that failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from monitoring.node.calls import Call, hear_out
from monitoring.resource_dlls.api import PropertyError, ResourceError

logger = logging.getLogger(__name__)


class OverLimitError(Exception):
    """An entry point gave no sign of life for longer than its limit."""


class Limiter:
    """Runs the entry points of one resource that may take long, one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call: Call | None = None
        """The call that runs, or was interrupted and has not settled."""
        self.stray: asyncio.Task[Any] | None = None
        """An entry point that was interrupted, and may still run."""
        self._loop = loop
        self._sign_of_life = 0.0

    def progressed(self) -> None:
        """A sign of life."""
        self._sign_of_life = self._loop.time()

    async def run(self, operation: Coroutine[Any, Any, Any], call: Call, limit: float) -> Any:
        """Run an entry point; each sign of progress gives it another `limit` seconds."""
        self._sign_of_life = self._loop.time()
        self.call = call
        task = self._loop.create_task(operation)
        task.add_done_callback(hear_out)
        try:
            while not task.done():
                left = self._sign_of_life + limit - self._loop.time()
                if left <= 0:
                    raise OverLimitError
                await asyncio.wait({task}, timeout=left)
            result = task.result()
            self.call = None
            return result
        finally:
            if not task.done():
                call.revoked = True
                task.cancel()
                self.stray = task

    def revoke(self) -> None:
        """The call that runs may start nothing any more."""
        if self.call is not None:
            self.call.revoked = True

    async def settle(self, seconds: float) -> None:
        """Let the entry point that was interrupted return; go on without it where it hangs."""
        if self.stray is not None:
            await asyncio.wait({self.stray}, timeout=seconds)
        self.stray = self.call = None


def explain(
    resource: str, entry_point: str, error: Exception, limit: float, over_limit: int = 0
) -> tuple[str, int]:
    """The sentence that an operator reads, and the event id that fits it; `over_limit` is that of silence."""
    if isinstance(error, OverLimitError):
        return f"{entry_point} reported nothing for {limit:g} s", over_limit
    if isinstance(error, TimeoutError):
        return f"{entry_point} did not return in time", 0
    if isinstance(error, ResourceError):
        return f"{entry_point}: {error}", error.code
    if isinstance(error, PropertyError):
        return f"{entry_point}: property {error}", 0
    logger.error("%s: %s", resource, entry_point, exc_info=error)
    return f"{entry_point}: {type(error).__name__}: {error}", 0
