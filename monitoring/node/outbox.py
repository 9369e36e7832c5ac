"""What the node has to tell, until it is told: states that changed, samples, log lines, heartbeats.

A report is composed at the moment it can be sent, of whatever has changed by then: the first
change leaves at once, what changes while a report is on its way travels in the next. A report
that could not be sent leaves its resources marked as changed; it is not kept itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from monitoring.core.messages import (
    GroupReport,
    Heartbeat,
    LogEntry,
    Output,
    ProbeSample,
    Report,
    Upward,
    event_code,
    said,
)
from monitoring.node import clock

ComposeGroups = Callable[[set[tuple[int, int]] | None], list[GroupReport]]
NAME_LIMIT = 200
BROKEN_LIMIT = 100
LOGS_KEPT = 1000
SAMPLES_A_REPORT = 500


@dataclass(slots=True)
class Batch:
    """Messages that are sent together, and what becomes of them if they are not."""

    messages: list[Upward]
    changes: set[tuple[int, int]] = field(default_factory=set)
    told: list[GroupReport] = field(default_factory=list)
    logs: list[LogEntry] = field(default_factory=list)
    full: bool = False


class Outbox:
    """All that is still to be told. `compose_groups(changes)` gives the present states of what
    changed, all groups for None; a change is (group, resource), resource 0 for the whole group."""

    def __init__(
        self,
        incarnation: int,
        compose_groups: ComposeGroups,
        reports: int = 0,
        types: Sequence[str] = (),
        broken: Sequence[str] = (),
    ):
        """`types` and `broken`: the resource types of the node, and what it could not load."""
        self._types = tuple(said(name)[:NAME_LIMIT] for name in types if name)
        self._broken = tuple(map(said, broken[:BROKEN_LIMIT]))
        self._compose_groups = compose_groups
        self._changes: set[tuple[int, int]] = set()
        self._told: list[GroupReport] = []
        self._samples: list[ProbeSample] = []
        self._logs: deque[LogEntry] = deque(maxlen=LOGS_KEPT)
        self._outputs: dict[int, Output] = {}
        self._heartbeat: Heartbeat | None = None
        self._full = False
        self.is_urgent = False
        """A failure, or a group that has come to rest: somebody waits for it."""
        self.incarnation = incarnation
        self.reports = reports
        """Number of the last report composed. A life that goes on under a new agent begins with one
        that is above all that the agent before it can have used, so its first report has to be full."""
        self._line = 0

    def begin_life(self, incarnation: int) -> None:
        """A new incarnation, in which nothing runs yet. Log lines go on to be told."""
        self.incarnation = incarnation
        self.reports = 0
        self._changes.clear()
        self._told.clear()
        self._samples.clear()
        self._outputs.clear()
        self._full = False

    def changed(self, group: int, resource: int = 0) -> None:
        self._changes.add((group, resource))

    def hurry(self) -> None:
        """What is to be told is more than a step on the way."""
        self.is_urgent = True

    def tell(self, report: GroupReport) -> None:
        """A report that stands by itself: a refusal, or the last of a group that is forgotten."""
        self._told.append(report)

    def ask_full(self) -> None:
        self._full = True

    def sample(self, samples: Iterable[ProbeSample]) -> None:
        self._samples.extend(samples)

    def log(
        self, level: int, text: str, code: int = 0, resource: int | None = None, output: str = ""
    ) -> None:
        """Tell a line for the history, under a number that no other line of this node has."""
        self._line = max(self._line + 1, int(clock.now() * 1_000_000))
        level = min(max(level, 0), 3)
        line = (self.incarnation, level, said(text), event_code(code), resource, self._line, said(output))
        self._logs.append(LogEntry(*line))

    def output(self, output: Output) -> None:
        """Newer lines of a resource take the place of those that were not sent yet."""
        self._outputs[output.resource] = output

    def beat(self, heartbeat: Heartbeat) -> None:
        """A newer heartbeat takes the place of one that was not sent yet."""
        self._heartbeat = heartbeat

    @property
    def is_empty(self) -> bool:
        return not (self._heartbeat or self._logs or self._outputs or self._has_news)

    @property
    def _has_news(self) -> bool:
        return bool(self._full or self._changes or self._told or self._samples)

    def compose_heartbeat(self) -> Batch:
        """The heartbeat alone: a life that was not answered yet has nothing else to say."""
        heartbeat, self._heartbeat = self._heartbeat, None
        return Batch([heartbeat] if heartbeat is not None else [])

    def compose(self) -> Batch:
        """Everything that is to be told, taken out of the box; log lines before the states they explain."""
        batch = Batch([])
        self.is_urgent = False
        batch.logs, self._logs = list(self._logs), deque(maxlen=LOGS_KEPT)
        batch.messages += [_in_life(entry, self.incarnation) for entry in batch.logs]
        outputs, self._outputs = self._outputs, {}
        batch.messages += outputs.values()
        while self._has_news:
            batch.messages.append(self._compose_report(batch))
        batch.messages += self.compose_heartbeat().messages
        return batch

    def _compose_report(self, batch: Batch) -> Report:
        full, self._full = self._full, False
        changes, self._changes = self._changes, set()
        told, self._told = self._told, []
        samples, self._samples = self._samples[:SAMPLES_A_REPORT], self._samples[SAMPLES_A_REPORT:]
        batch.full |= full
        batch.changes |= changes
        batch.told += told
        groups = self._compose_groups(None if full else changes) if full or changes else []
        self.reports += 1
        return Report(
            incarnation=self.incarnation,
            number=self.reports,
            groups=(*groups, *told),
            samples=tuple(samples),
            full=full,
            types=self._types if full else (),
            broken=self._broken if full else (),
        )

    def not_sent(self, batch: Batch) -> None:
        """Take back what a batch was to tell. Samples, output and heartbeats are not worth a second try."""
        self._changes |= batch.changes
        self._told[:0] = batch.told
        self._logs.extendleft(reversed(batch.logs))
        self._full |= batch.full


def _in_life(entry: LogEntry, incarnation: int) -> LogEntry:
    """The same line, said in the present life: it may have waited through the end of another."""
    if entry.incarnation == incarnation:
        return entry
    return msgspec.structs.replace(entry, incarnation=incarnation)
