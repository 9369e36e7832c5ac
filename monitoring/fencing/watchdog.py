"""The watchdog of a node as a way to fence it: a machine that hangs resets itself.

The guard of the node holds the watchdog and feeds it only while the lease is held, or nothing
runs. When the lease has been over for the watchdog's timeout, the machine has therefore been reset,
or runs nothing. That is counted by the monotonic clock of the process that waits, from when it
learned that the lease is over: one that is started anew begins to count anew.
"""

from __future__ import annotations

import time

from monitoring.fencing.api import Context, FenceError, FenceMethod, Power

SLACK = 1.0
"""Seconds on top, for a reset that takes a moment."""
LOOK_EVERY = 0.2


class Watchdog(FenceMethod):
    """Waits until the node's own watchdog has surely reset it."""

    method_name = "Watchdog"
    description = "The node's own watchdog resets it when it hangs. The node has to hold one."

    @classmethod
    def least_seconds(cls, kind: str, values: object, context: Context) -> float:
        """The longest wait there can be: a process that has just started counts from zero."""
        return context.watchdog + 2 * SLACK

    def off(self) -> str:
        watchdog = self._held()
        needed = watchdog + SLACK
        while (over := self.context.over_for()) < needed:
            if self.context.cancelled():
                raise FenceError("it is not needed any more")
            if over == 0.0:
                raise FenceError(f"{self.context.node} holds its lease: its watchdog does not act")
            time.sleep(min(LOOK_EVERY, needed - over))
        return f"its lease has been over for {over:.0f} s, and its watchdog acts after {watchdog:g} s"

    def status(self) -> Power:
        """On where the node is a member; one that is silent may be anything."""
        if self.context.over_for() == 0.0:
            return Power.ON
        raise FenceError("a watchdog does not say whether the node has power")

    def monitor(self) -> str:
        if not self.context.node:
            raise FenceError("a watchdog is tested for a node that holds it: test it on the page of the node")
        return f"{self.context.node} holds a watchdog of {self._held():g} s"

    def _held(self) -> float:
        if self.context.watchdog <= 0:
            raise FenceError(
                f"{self.context.node} has not said that it holds a watchdog: set CLUSTERWEB_WATCHDOG there"
            )
        return self.context.watchdog
