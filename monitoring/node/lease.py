"""The node's lease, as arithmetic: all times are seconds of the boot clock, given as arguments.

A lease runs from the moment a heartbeat was *sent*; an answer that comes late therefore
renews it by less, and the node's idea of its end is never later than the cluster service's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REMEMBERED = 4096
"""Heartbeats whose answer is still awaited, at most."""
FIRST_INTERVAL = 0.5
"""Seconds between heartbeats until the cluster service has said otherwise."""
HURRIED_INTERVAL = 0.2
"""The same where an earlier agent's lease runs already."""


@dataclass(slots=True)
class Lease:
    """The lease of one life of the agent. It begins with the first answer."""

    interval: float = FIRST_INTERVAL
    length: float = 6 * FIRST_INTERVAL
    ends: float | None = None
    """None before the first answer: nothing was granted yet."""
    _sent: dict[int, float] = field(default_factory=dict)
    _answered: int = -1
    _last_answered_sent: float | None = None
    _first_sent: float | None = None

    @classmethod
    def left_by_another(cls, ends: float) -> Lease:
        """The lease of a life that goes on under a new agent. Time is short: both paths are used at once."""
        return cls(HURRIED_INTERVAL, ends=ends, _last_answered_sent=float("-inf"))

    def sent(self, number: int, at: float) -> None:
        """Heartbeat `number` is handed over for sending at `at`, or later."""
        self._sent[number] = at
        if self._first_sent is None:
            self._first_sent = at
        while len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def answered(self, number: int, interval: float, length: float) -> bool:
        """Take an answer; False where it is old, doubled, or to a heartbeat never sent.

        The newest answered heartbeat alone decides: where the cluster's lease was made
        shorter, the end may move closer.
        """
        at = self._sent.get(number)
        if at is None or number <= self._answered:
            return False
        self._answered = number
        self._last_answered_sent = at
        self.interval, self.length = interval, length
        self.ends = at + length
        for old in [n for n in self._sent if n <= number]:
            del self._sent[old]
        return True

    def held(self, at: float) -> bool:
        """True where the node may run resources at `at`."""
        return self.ends is not None and at < self.ends

    def over(self, at: float) -> bool:
        """True where a lease was held and is not any more."""
        return self.ends is not None and at >= self.ends

    def silent(self, at: float) -> bool:
        """True where three heartbeats, or those of a third of a lease, had no answer: time for the
        second path."""
        since = self._last_answered_sent if self._last_answered_sent is not None else self._first_sent
        patience = min(3 * self.interval, self.interval + self.length / 3)
        return since is not None and at - since >= patience
