"""The condition of a resource, as its node reports it: its state, why, and since when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from monitoring.core.messages import FACTS, Fact, ResourceReport, event_code, said
from monitoring.core.states import ResourceState

logger = logging.getLogger(__name__)


class Condition:
    """Of one resource. Each change has a number that only grows, and is told to `on_change`."""

    def __init__(
        self,
        resource: int,
        name: str,
        loop: asyncio.AbstractEventLoop,
        next_sequence: Callable[[], int],
        on_change: Callable[[int], None],
    ) -> None:
        self.id = resource
        self.state = ResourceState.OFFLINE
        self.running = False
        """Something of it may run, whatever the state says."""
        self.attempt = 0
        self.cause = ""
        self.code = 0
        self.simulated = 0
        """The operation whose simulated failure was carried out last."""
        self.progress = ""
        self._facts: dict[str, Fact] | None = None
        """What it shows about itself; None where an earlier agent knew, and nothing was said since."""
        self._untold = False
        """A fact has new words that nobody has to hear at once."""
        self._name = name
        self._loop = loop
        self._next_sequence = next_sequence
        self._on_change = on_change
        self._sequence = next_sequence()
        self._since = loop.time()
        self._elapsed = 0.0

    @property
    def is_at_rest(self) -> bool:
        """No operation is under way."""
        return not self.state.is_pending and (self.state is ResourceState.ONLINE or not self.running)

    @property
    def is_down(self) -> bool:
        return self.state.is_down and not self.running

    def checked_at(self) -> float | None:
        """Loop time of the last IsAlive that said true."""
        return None

    def report(self) -> ResourceReport:
        now, checked = self._loop.time(), self.checked_at()
        return ResourceReport(
            resource=self.id,
            state=self.state,
            sequence=self._sequence,
            attempt=self.attempt,
            running=self.running,
            elapsed_ms=round(self._elapsed * 1000),
            age_ms=round((now - self._since) * 1000),
            cause=said(self.cause),
            code=event_code(self.code),
            progress=said(self.progress),
            checked_ms_ago=None if checked is None else round((now - checked) * 1000),
            simulated=self.simulated,
            facts=None if self._facts is None else tuple(self._facts.values()),
        )

    def set_progress(self, text: str) -> None:
        if self.state.is_pending and text != self.progress:
            self.progress = text
            self._changed()

    def show(self, fact: Fact) -> None:
        """Show a fact in place of the one of its name, none for an empty text, while the resource is up.

        A fact that comes or goes, or begins or ends to be a warning, is told at once.
        """
        if self.state.is_down or fact == (known := (self._facts or {}).get(fact.name)):
            return
        kept = dict(self._facts or {})
        if fact.text:
            kept[fact.name] = fact
        else:
            kept.pop(fact.name, None)
        if len(kept) > FACTS or (not fact.text and known is None):
            return
        self._facts = kept
        if fact.text and known is not None and known.level == fact.level:
            self._untold = True
        else:
            self._changed()

    def tell_facts(self) -> None:
        """Now and then: tell the new words of facts."""
        if self._untold:
            self._changed()

    def forget_old_facts(self) -> None:
        """What an earlier agent showed counts no more, where this one has shown nothing in its place."""
        if self._facts is None and not self.state.is_down:
            self._facts = {}
            self._changed()

    def _set(self, state: ResourceState, *, running: bool = False, cause: str = "", code: int = 0) -> None:
        now = self._loop.time()
        if state is not self.state:
            self._elapsed = now - self._since
            self._since = now
            logger.info("%s: %s%s", self._name, state.label, f" ({cause})" if cause else "")
        self.state, self.running, self.cause, self.code, self.progress = state, running, cause, code, ""
        if state.is_down or state is ResourceState.ONLINE_PENDING:
            self._facts = {}
        self._changed()

    def _changed(self) -> None:
        self._untold = False
        self._sequence = self._next_sequence()
        self._on_change(self.id)
