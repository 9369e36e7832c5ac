"""Who is a member: which nodes have surely lost their lease, and when silence proves nothing.

A node is seen where the number of its newest heartbeat, as the database has it, changes.
The observer notes by its own monotonic clock when it first saw that number: never earlier
than the node sent it, so a lease that has run out on this side has run out on the node's.
No wall clock takes part, and no two clocks are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

STARTUP_GRACE = 10.0
"""Seconds in which a node may still come, after the cluster service that waits for it started."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """The cluster's lease settings, in seconds."""

    interval: float
    lease: float
    margin: float
    grace: float = STARTUP_GRACE
    """For nodes that this observer has never seen alive: it may have started before them."""

    @property
    def isolation(self) -> float:
        """Silence after which a node is isolated, where it may run on for longer than a lease."""
        return self.lease + self.margin

    @property
    def gap(self) -> float:
        """Silence of *all* nodes that means the way to them is gone, not they."""
        return max(3 * self.interval, self.lease / 2)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest heartbeat of a node, and when its number was first seen (monotonic seconds)."""

    incarnation: int
    number: int
    at: float
    alive: bool
    """True once the number was seen to change: the node lives in the observer's time."""


@dataclass(frozen=True)
class Watch:
    """What one observer has seen of all nodes. A value: `look` gives the next one."""

    started: float
    contact_since: float
    last_contact: float | None = None
    sightings: Mapping[int, Sighting] = field(default_factory=dict)

    @classmethod
    def start(cls, now: float) -> Watch:
        """An observer that has seen nothing yet."""
        return cls(started=now, contact_since=now)

    def look(self, heartbeats: Iterable[tuple[int, int, int]], now: float, terms: LeaseTerms) -> Watch:
        """See the (node, incarnation, number) of all nodes as they are at `now`.

        Where nothing was heard from anybody for a gap, the contact begins anew: a broker
        that comes back must not make those look dead that are heard a moment later.
        """
        seen: dict[int, Sighting] = {}
        changed = False
        for node, incarnation, number in heartbeats:
            old = self.sightings.get(node)
            if old is not None and (old.incarnation, old.number) == (incarnation, number):
                seen[node] = old
                continue
            changed = changed or old is not None
            seen[node] = Sighting(incarnation, number, now, alive=old is not None)
        last, since = self.last_contact, self.contact_since
        if changed:
            if last is None or now - last > terms.gap:
                since = now
            last = now
        return Watch(self.started, since, last, seen)

    def heard(self, node: int, incarnation: int, number: int, now: float) -> Watch:
        """The node spoke to this very process: it is alive."""
        sighting = Sighting(incarnation, number, now, alive=True)
        return replace(self, sightings={**self.sightings, node: sighting})

    def has_heard(self, node: int) -> bool:
        """True where the node was seen alive by this observer."""
        sighting = self.sightings.get(node)
        return sighting is not None and sighting.alive

    def saw_end(self, node: int, now: float, terms: LeaseTerms) -> bool:
        """True where a new life of the node means that it went down under this observer's eyes.

        Not where it was never heard, or where nobody was: then its old life may have ended for
        the same reason for which nobody was heard.
        """
        sighting = self.sightings.get(node)
        heard = sighting is not None and sighting.alive and sighting.at >= self.contact_since
        return heard and not self.contact_lost(now, terms)

    def contact_lost(self, now: float, terms: LeaseTerms) -> bool:
        """True where nobody is heard: nothing may be concluded about anyone."""
        return self.last_contact is None or now - self.last_contact > terms.gap

    def silence(self, node: int, now: float) -> float:
        """Seconds since the node was last seen alive, while others could be heard."""
        sighting = self.sightings.get(node)
        return now - max(sighting.at if sighting else self.started, self.contact_since)

    def lost(self, node: int, now: float, terms: LeaseTerms, granted: float) -> bool:
        """True where the lease of the node, `granted` seconds at most, has surely run out."""
        if self.contact_lost(now, terms):
            return False
        limit = max(terms.lease, granted) + terms.margin
        if not self.has_heard(node):
            limit = max(limit, terms.grace)
        return self.silence(node, now) >= limit


@dataclass(frozen=True)
class Grants:
    """Nodes that may hold a longer lease than they are granted now, as one observer has seen them.

    A setting that is made shorter counts once the longest lease that was granted before has run
    out. Whatever answer still granted that one answers a heartbeat that was sent before the new
    setting was written, and so before it was first seen: waiting for one longer lease from there
    outlasts it.
    """

    seen: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    """node: (the longer lease, the lease now, monotonic time at which both were first seen so)."""

    def look(self, leases: Iterable[tuple[int, float, float]], now: float) -> tuple[Grants, frozenset[int]]:
        """See the (node, longest lease, lease now) of all nodes; also return whose longer one is over."""
        seen: dict[int, tuple[float, float, float]] = {}
        over = set()
        for node, granted, lease in leases:
            if granted <= lease:
                continue
            old = self.seen.get(node)
            since = old[2] if old is not None and old[:2] == (granted, lease) else now
            seen[node] = (granted, lease, since)
            if now - since >= granted:
                over.add(node)
        return Grants(seen), frozenset(over)
