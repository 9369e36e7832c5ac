"""What a resource hears: from its instance, its probes, its processes, its monitor process.

All of it comes from code that may be wrong at any moment, so that nothing is taken at its word but
what is certain: the end of a process, the answer of IsAlive, a call that never returned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from monitoring.core.messages import EntryPoint, Fact, ProbeSample, ResourceSpec
from monitoring.node.condition import Condition
from monitoring.node.context import Host, NodeContext
from monitoring.node.instance import Instance
from monitoring.node.limits import Limiter
from monitoring.node.plan import UP
from monitoring.node.probes import HUNG, Prober
from monitoring.node.processes import Child

REPLACED = 1146
"""Event id: a monitor process ended, and is started again."""


class Listening(Condition, ABC):
    """The part of a resource that hears. Called on the loop."""

    def __init__(
        self,
        host: Host,
        spec: ResourceSpec,
        next_sequence: Callable[[], int],
        on_change: Callable[[int], None],
        on_samples: Callable[[Sequence[ProbeSample]], None],
    ) -> None:
        super().__init__(spec.id, spec.name, host.loop, next_sequence, on_change)
        self.spec = spec
        self._host = host
        self._on_samples = on_samples
        self._limiter = Limiter(self._loop)
        self._context = NodeContext(host, spec.id, spec.name, self)
        self._instance = Instance(host, self._context, self._loop, self)
        self._prober: Prober | None = None
        self._watch_only = False

    @abstractmethod
    def fail(self, cause: str, code: int = 0) -> None:
        """The resource failed. Without effect unless it is up."""

    def tolerates(self, cause: str) -> bool:
        """True in maintenance: what would be a failure is told, and the resource is left alone."""
        if self._watch_only:
            self._host.log(self.id, 2, f"{cause}. It is in maintenance: nothing is done about it", 0)
        return self._watch_only

    # From the instance

    def signalled(self, reason: str) -> None:
        """An asynchronous failure signal: IsAlive is asked."""
        if self._prober is not None:
            self._prober.check_now(reason)

    def progressed(self, text: str) -> None:
        """A sign of life of an entry point that takes long."""
        self._limiter.progressed()
        self.set_progress(text)

    # From its processes

    def process_ended(self, child: Child) -> None:
        """The end of a watched process is certain: no probe is needed (semantics 10.2)."""
        if child.watch and not child.expected and not self.tolerates(child.epitaph()):
            self.fail(child.epitaph())

    def monitor_ended(self, what: str) -> None:
        """Its monitor process is no more, and with it the instance that knew how it is."""
        cause = f"its monitor process {what}"
        text = f"The monitor process of {self.spec.name} ({self.spec.type}) {what}; another takes its place"
        self._host.log(self.id, 2, text, REPLACED)
        if self.state in UP and not self.tolerates(cause):
            self.fail(cause, REPLACED)

    # From its probes

    def checked_at(self) -> float | None:
        return self._prober.true_at if self._prober is not None else None

    def samples(self) -> list[ProbeSample]:
        """Probe times since the last call of this."""
        tallies = self._prober.tallies.items() if self._prober is not None else ()
        return [sample for name, tally in tallies if (sample := tally.take(self.id, name)) is not None]

    def probe_failed(self, cause: str, code: int) -> None:
        if code == HUNG:
            self._hung(cause)
            return
        if code:
            self._host.log(self.id, 2, cause, code)
        self.fail(cause, code)

    def _hung(self, cause: str) -> None:
        """A probe did not return within DeadlockTimeout (semantics 1.7). What hangs in the agent stays there,
        with its thread: it happens once, for the next instance gets a process that can be ended."""
        text = f"{cause} ({self.spec.type})"
        if not self._instance.is_separate and self._host.has_separate:
            self._instance.is_isolated = True
            text += ". It gets a monitor process of its own, until the agent restarts"
        self._host.log(self.id, 2, text, HUNG)
        self.fail(cause, HUNG)
        if self._instance.points is not None:
            self._instance.points.give_up(cause)

    def _show_isolation(self) -> None:
        if self._instance.is_isolated and not self.spec.separate_monitor:
            self.show(Fact("Monitor", "a process of its own, since a call hung in the agent"))

    def probe_changed(self) -> None:
        self._on_samples(self.samples())

    def probe_slow(self, entry_point: EntryPoint, text: str) -> None:
        self.show(Fact(entry_point, text, level=1))

    def denied(self, reason: str) -> None:
        self._host.log(self.id, 1, f"signalled a failure ({reason}), but IsAlive says that it works", 0)
