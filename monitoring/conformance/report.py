"""What the checks found: one line each, and what to do about what failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


class Failure(Exception):  # noqa: N818 - it is what was found, no error of the suite
    """The type does not keep a promise. `advice`: what its author does about it."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


class NotApplicable(Exception):  # noqa: N818 - it is no error
    """The promise says nothing about this type; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """One check of one type."""

    check: str
    outcome: Outcome
    text: str = ""
    advice: str = ""
    warnings: tuple[str, ...] = ()
    ms: int = 0

    def lines(self) -> list[str]:
        said = f": {self.text}" if self.text else ""
        found = [f"{self.outcome.value:<14} {self.check:<22} {self.ms:>6} ms{said}"]
        if self.advice:
            found.append(f"{'':>15}what to do: {self.advice}")
        found += [f"{'':>15}warning: {text}" for text in self.warnings]
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one type."""

    type_name: str
    results: tuple[Result, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """No check failed."""
        return not self.failures

    @property
    def failures(self) -> Sequence[Result]:
        return [result for result in self.results if result.outcome is Outcome.FAIL]

    @property
    def warnings(self) -> list[str]:
        return [text for result in self.results for text in result.warnings]

    def outcome(self, check: str) -> Outcome:
        return next(result.outcome for result in self.results if result.check == check)

    def as_json(self) -> str:
        checks = [asdict(result) for result in self.results]
        return json.dumps({"type": self.type_name, "passed": self.passed, "checks": checks}, indent=2)

    def summary(self) -> str:
        counts = {outcome: sum(r.outcome is outcome for r in self.results) for outcome in Outcome}
        told = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
        return f"{self.type_name}: {told}" + (f", {len(self.warnings)} warnings" if self.warnings else "")

    def __str__(self) -> str:
        return "\n".join([*(line for result in self.results for line in result.lines()), self.summary()])
