"""Where the time of a failover went: its phases, the path that decided how long it took, comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from monitoring.core.chain import Passage

SLACK = 0.005
"""Seconds by which the times of two phases may overlap and still follow one another."""

OFFLINE, ONLINE = "offline", "online"
PHASES = ("detect", "lease", "fence", "offline", "online")
"""The phases of a group, in their order; a passage has those that it needed."""


@dataclass(frozen=True, slots=True)
class Span:
    """A phase of the group as a whole; `until` is None where it has not ended."""

    name: str
    since: float
    until: float | None

    def seconds(self, now: float) -> float:
        return max(0.0, (now if self.until is None else self.until) - self.since)


@dataclass(frozen=True, slots=True)
class Work:
    """One resource going offline or coming online. `key` names the row that it came from."""

    key: int
    resource: str
    direction: str
    since: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that one passage took: in all, without service (None where not known), and by phase."""

    record: int
    seconds: float
    down: float | None
    phases: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a passage beside that of earlier ones."""

    name: str
    seconds: float
    median: float
    slowest: float

    @property
    def more(self) -> float:
        """Seconds above the median; negative where it was faster."""
        return self.seconds - self.median

    @property
    def verdict(self) -> str:
        """ "slower", "faster" or "usual": what differs by a fifth and by 50 ms counts."""
        if abs(self.more) < max(0.05, 0.2 * self.median):
            return "usual"
        return "slower" if self.more > 0 else "faster"


def spans(passage: Passage, proof: float | None = None, lost: float | None = None) -> tuple[Span, ...]:
    """The phases of the group, one after the other.

    `proof`: when it was last known to serve. `lost`: when the lease of its node was over, where that
    is why it went: until then the cluster waited, and after it perhaps for the node to be fenced.
    """
    found = []
    if passage.kind == "failover":
        if lost is not None:
            if proof is not None and proof < lost:
                found.append(Span("lease", proof, lost))
            if lost < passage.started:
                found.append(Span("fence", lost, passage.started))
        elif proof is not None and proof < passage.started:
            found.append(Span("detect", proof, passage.started))
    if passage.stopped is None:
        return (*found, Span(OFFLINE, passage.started, passage.finished))
    if passage.stopped > passage.started:
        found.append(Span(OFFLINE, passage.started, passage.stopped))
    return (*found, Span(ONLINE, passage.stopped, passage.finished))


def critical(work: Sequence[Work], providers: Mapping[str, frozenset[str]], now: float) -> tuple[int, ...]:
    """Keys of the phases that decided when the passage ended, in their order.

    From the last one to end back through what each had to wait for: what it depends on while it came
    online, what depends on it while it went offline, directly or through others, and before the first
    to come online the last to go offline. `providers`: what each resource depends on, by name.
    """
    ups = [one for one in work if one.direction == ONLINE]
    downs = [one for one in work if one.direction == OFFLINE and _end(one, now) > one.since]
    above = {one.resource: _reached(one.resource, providers) for one in work}
    below: dict[str, set[str]] = {name: {other for other in above if name in above[other]} for name in above}
    path: list[Work] = []
    at = max(ups, key=lambda one: _end(one, now), default=None)
    while at is not None:
        path.append(at)
        at = _waited_for(at, ups, {at.resource, *above[at.resource]}, now, path)
    begun = path[-1].since if path else None
    ended = [one for one in downs if begun is None or _end(one, now) <= begun + SLACK]
    at = max(ended, key=lambda one: _end(one, now), default=None)
    while at is not None:
        path.append(at)
        at = _waited_for(at, downs, {at.resource, *below[at.resource]}, now, path)
    return tuple(one.key for one in reversed(path))


def _reached(name: str, providers: Mapping[str, frozenset[str]]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        new = providers.get(todo.pop(), frozenset()) - found
        found |= new
        todo += new
    return found


def _end(one: Work, now: float) -> float:
    return now if one.until is None else one.until


def _waited_for(
    one: Work, among: Iterable[Work], names: Iterable[str], now: float, path: Sequence[Work]
) -> Work | None:
    """Of what it had to wait for, the last that ended."""
    names = set(names)
    ended = [
        other
        for other in among
        if other.resource in names and other not in path and _end(other, now) <= one.since + SLACK
    ]
    return max(ended, key=lambda other: _end(other, now), default=None)


def took(record: int, down: float | None, found: Sequence[Span], seconds: float, now: float) -> Took:
    """What a passage took, from its phases."""
    return Took(record, seconds, down, {span.name: span.seconds(now) for span in found})


def compare(this: Took, earlier: Sequence[Took]) -> tuple[Measure, ...]:
    """Each number of `this` that earlier passages have too: in all, without service, each phase."""
    measures = []
    pairs = [("total", this.seconds, [one.seconds for one in earlier])]
    if this.down is not None:
        pairs.append(("down", this.down, [one.down for one in earlier if one.down is not None]))
    for name in PHASES:
        if name in this.phases:
            known = [one.phases[name] for one in earlier if name in one.phases]
            pairs.append((name, this.phases[name], known))
    for name, seconds, known in pairs:
        if known:
            measures.append(Measure(name, seconds, median(known), max(known)))
    return tuple(measures)


def blame(measures: Iterable[Measure]) -> Measure | None:
    """The phase that was slowest against its median; None where each was as usual or faster."""
    slow = [one for one in measures if one.name in PHASES and one.verdict == "slower"]
    return max(slow, key=lambda one: one.more, default=None)
