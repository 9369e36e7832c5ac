"""The node as a member of the cluster: its lives, heartbeats, lease, and what it is told.

A life begins with nothing running and its first heartbeat; it may run resources from the
first answer on, for as long as its lease is renewed. It goes on under a new agent that finds
the lease not over yet, and takes nothing over and starts nothing before its own first
heartbeat was answered. A node that lost its lease ends everything by force and begins the
next life. Heartbeats come from the monitor's own loop: an agent that is stuck does not renew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from monitoring.core.messages import (
    Assignment,
    Downward,
    FailResource,
    Heartbeat,
    HeartbeatAck,
    LifeOver,
    MessageError,
    Release,
    TellOutput,
)
from monitoring.node import clock
from monitoring.node.couriers import Courier, Path
from monitoring.node.lease import Lease
from monitoring.node.outbox import Batch, Outbox

logger = logging.getLogger(__name__)

RETRY_AFTER = 0.1
"""Seconds after which a path that failed is tried again, where no heartbeat does so earlier."""
GAP = 0.025
"""Seconds between two reports of steps on the way; the first leaves at once."""
URGENT_GAP = 0.008
"""Seconds between two reports of failures, and of groups that came to rest."""
LAST_WORDS = 1.0
"""Seconds that the last heartbeat of an agent that stops has to leave."""
LEASE_LOST = 1592
"""Event id: lost and regained contact."""


class Resources(Protocol):
    """The resource monitor, as the member sees it."""

    def assign(self, assignment: Assignment) -> None: ...
    def release(self, release: Release) -> None: ...
    def fail(self, order: FailResource) -> None: ...
    def show_output(self, order: TellOutput) -> None: ...
    def go_on(self) -> None: ...
    async def end_all(self, cause: str) -> int: ...
    async def stop(self, seconds: float) -> None: ...


class Guard(Protocol):
    """The guard, as the member sees it."""

    def renew(self, ends: float, margin: float) -> None: ...
    def nothing_held(self) -> None: ...


class KeyExchange(Protocol):
    """The node's keys, as the member sees them."""

    @property
    def answer(self) -> str: ...
    def offered(self, offer: str) -> None: ...


class Member:
    """Heartbeats out, orders in. All methods are called on the loop."""

    def __init__(
        self,
        node: str,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        *,
        broker: Path,
        second: Path | None,
        open_envelope: Callable[[object], Downward],
        next_incarnation: Callable[[], int],
        guard: Guard,
        refused: Callable[[], int] = lambda: 0,
        watchdog: Callable[[], int] = lambda: 0,
        keys: KeyExchange | None = None,
    ) -> None:
        self._node = node
        self._loop = loop
        self._outbox = outbox
        self._open = open_envelope
        self._next_incarnation = next_incarnation
        self._guard = guard
        self._keys = keys
        self._refused = refused
        """How many messages were not authentic."""
        self._watchdog = watchdog
        self._broker = Courier("broker", broker, loop, self._broker_done)
        self._second = Courier("second", second, loop, self._second_done) if second is not None else None
        self._second_is_new = True
        """Nothing was told over the second path since it was last needed."""
        self._lease = Lease()
        self._is_joined = False
        """The present life was answered, and to this agent."""
        self._number = outbox.reports  # it grows as those do
        self._latest: Heartbeat | None = None
        self._parked: dict[int, Assignment] = {}
        """Assignments that overtook the answer to this life's first heartbeat."""
        self._ending = False
        self._has_left = False
        self._beat_timer: asyncio.TimerHandle | None = None
        self._lease_timer: asyncio.TimerHandle | None = None
        self._pace_timer: asyncio.TimerHandle | None = None
        self._sent_at = 0.0
        self.resources: Resources

    def start(self) -> None:
        """Begin the first life, in which nothing runs yet, or go on with one."""
        self._beat()

    def go_on(self, ends: float) -> None:
        """The life that begins is one of an earlier agent, whose lease ends at `ends`. Before `start`."""
        self._lease = Lease.left_by_another(ends)
        self._outbox.ask_full()
        self._outbox.log(1, f"The agent of {self._node} was started again, and goes on with what runs.")
        self._watch_lease(ends)

    def may_start(self) -> bool:
        """Whether the node holds its lease at this moment. May be called from any thread."""
        return not self._ending and self._lease.held(clock.now())

    # Out

    def _beat(self) -> None:
        if self._check_lease():
            return
        self._beat_timer = self._loop.call_later(self._lease.interval, self._beat)
        self._number += 1
        self._lease.sent(self._number, clock.now())
        self._latest = Heartbeat(
            self._outbox.incarnation,
            self._number,
            self._outbox.reports,
            refused=self._refused(),
            watchdog_ms=self._watchdog(),
            rekey=self._keys.answer if self._keys is not None else "",
        )
        self._outbox.beat(self._latest)
        self.pump()

    def pump(self) -> None:
        """Send what there is to send, over each path that is free and needed."""
        if self._ending or self._latest is None:
            return
        if self._second is not None and self._lease.silent(clock.now()):
            self._pump_second()
        if not self._broker.busy and not self._outbox.is_empty and not self._pause():
            batch = self._outbox.compose() if self._is_joined else self._outbox.compose_heartbeat()
            if batch.messages:
                self._sent_at = self._loop.time()
                self._broker.send(batch)

    def _pause(self) -> bool:
        """True where a report waits for company: deciding about one takes longer than making one."""
        gap = URGENT_GAP if self._outbox.is_urgent else GAP
        due = self._sent_at + gap
        if self._loop.time() >= due:
            return False
        if self._pace_timer is None or self._pace_timer.when() > due:
            if self._pace_timer is not None:
                self._pace_timer.cancel()
            self._pace_timer = self._loop.call_at(due, self._pace_over)
        return True

    def _pace_over(self) -> None:
        self._pace_timer = None
        self.pump()

    def _pump_second(self) -> None:
        assert self._second is not None and self._latest is not None
        if self._second.busy:
            return
        if self._second_is_new and self._is_joined:
            self._outbox.ask_full()  # the first path may have lost what it took
        self._second_is_new = False
        batch = self._outbox.compose() if self._is_joined else self._outbox.compose_heartbeat()
        if any(isinstance(message, Heartbeat) for message in batch.messages):
            self._outbox.beat(self._latest)  # the first path gets it too: it may work again
        else:
            batch.messages.append(self._latest)
        self._second.send(batch)

    def _broker_done(self, batch: Batch, answers: list[object] | None) -> None:
        if answers is None:
            self._outbox.not_sent(batch)
            self._loop.call_later(RETRY_AFTER, self.pump)
        else:
            self.pump()

    def _second_done(self, batch: Batch, answers: list[object] | None) -> None:
        if answers is None:
            self._outbox.not_sent(batch)
            return
        for envelope in answers:
            try:
                self.receive(self._open(envelope))
            except MessageError:
                continue  # counted where it was opened

    # In

    def receive(self, message: Downward) -> None:
        """Take a message of the cluster service; one for another life changes nothing."""
        if message.incarnation != self._outbox.incarnation or self._has_left or self._check_lease():
            logger.info("refused a %s for another life of this node", type(message).__name__)
        elif isinstance(message, LifeOver):
            self._begin_end("the cluster service has given this life of the node up")
        elif isinstance(message, HeartbeatAck):
            self._answered(message)
        elif isinstance(message, Release):
            self.resources.release(message)
        elif isinstance(message, FailResource):
            self.resources.fail(message)
        elif isinstance(message, TellOutput):
            self.resources.show_output(message)
        elif self._is_joined:
            self.resources.assign(message)
        else:
            self._park(message)

    def _park(self, assignment: Assignment) -> None:
        other = self._parked.get(assignment.group)
        if other is None or (other.epoch, other.serial) < (assignment.epoch, assignment.serial):
            self._parked[assignment.group] = assignment

    def _answered(self, ack: HeartbeatAck) -> None:
        if self._keys is not None:
            self._keys.offered(ack.rekey)
        if not self._lease.answered(ack.number, ack.interval_ms / 1000, ack.lease_ms / 1000):
            return
        ends = self._lease.ends
        assert ends is not None
        if self._check_lease():
            return  # the answer came so late that it renews nothing
        self._guard.renew(ends, ack.margin_ms / 1000)
        self._watch_lease(ends)
        if not self._lease.silent(clock.now()):
            self._second_is_new = True
        if ack.resend:
            self._outbox.ask_full()
        if not self._is_joined:
            self._is_joined = True
            self.resources.go_on()
        parked, self._parked = self._parked, {}
        for assignment in parked.values():
            self.resources.assign(assignment)
        self.pump()

    # The lease

    def _watch_lease(self, ends: float) -> None:
        """One timer, set again when it finds the lease renewed: a renewal costs nothing.

        Only a lease that was made shorter moves it forward.
        """
        due = self._loop.time() + max(0.0, ends - clock.now())
        if self._lease_timer is not None:
            if self._lease_timer.when() <= due:
                return
            self._lease_timer.cancel()
        self._lease_timer = self._loop.call_at(due, self._lease_due)

    def _lease_due(self) -> None:
        self._lease_timer = None
        if not self._check_lease() and self._lease.ends is not None:
            self._watch_lease(self._lease.ends)

    def _check_lease(self) -> bool:
        """True where the life is over; its end begins here where the lease has just run out."""
        if not self._ending and self._lease.over(clock.now()):
            self._begin_end("the node has lost its lease")
        return self._ending

    def _begin_end(self, cause: str) -> None:
        self._ending = True
        logger.error("%s: all resources are ended", cause)
        self._end = self._loop.create_task(self._end_life(cause))

    async def _end_life(self, cause: str) -> None:
        """The life is over: end everything, then begin the next."""
        began = clock.now()
        ended = await self.resources.end_all(cause)
        self._guard.nothing_held()
        if self._has_left:
            return
        text = self._obituary(ended, began)
        self._lease = Lease(self._lease.interval, self._lease.length)
        self._is_joined = False
        self._parked.clear()
        self._second_is_new = True
        self._outbox.begin_life(self._next_incarnation())
        self._number = 0
        self._outbox.log(2, text, LEASE_LOST)
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        self._ending = False
        self._beat()

    def _obituary(self, ended: int, began: float) -> str:
        """What the history says of a life that is over."""
        if self._lease.ends is None:
            return f"{self._node} was given up before an answer had reached it, and begins anew"
        late = max(0.0, began - self._lease.ends)
        return (
            f"{self._node} had no contact for the length of its lease and ended all its resources"
            f" ({ended} were up), {late:.1f} s after the lease, within {clock.now() - began:.1f} s"
        )

    async def leave(self, seconds: float) -> None:
        """The agent stops: everything offline in order, then a last heartbeat that says so."""
        await self.resources.stop(seconds)
        if self._ending:
            return
        self._has_left = True
        self._guard.nothing_held()
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        if self._lease.ends is None:
            return
        self._is_joined = True
        self._number += 1
        self._latest = Heartbeat(self._outbox.incarnation, self._number, self._outbox.reports, leaving=True)
        self._outbox.beat(self._latest)
        self.pump()
        for _ in range(int(LAST_WORDS / 0.01)):
            if self._outbox.is_empty and not self._broker.busy:
                break
            await asyncio.sleep(0.01)
        logger.info("the node has left the cluster")
