"""What resources show about themselves: kept with the resource; a warning's begin and end are history."""

from __future__ import annotations

import msgspec

from monitoring.core.messages import Fact, ResourceReport
from monitoring.core.states import Severity
from monitoring.models import Group, Resource
from monitoring.service import journal
from monitoring.service.lock import Held

FORGOTTEN = {"facts": [], "warning": ""}
"""Of a resource that is not where it showed them any more."""


def take(held: Held, group: Group, row: Resource, item: ResourceReport) -> None:
    """Put what a report says into the row, which the caller saves. An INSERT for each warning that
    begins or ends."""
    before = {fact["name"] for fact in row.facts if fact["level"]}
    facts = item.facts or ()
    row.facts = [msgspec.to_builtins(fact) for fact in facts]
    row.warning = "; ".join(_sentence(fact) for fact in facts if fact.level)
    for fact in facts:
        if fact.level and fact.name not in before:
            _tell(held, group, row, f"Warning of {row.name}: {_sentence(fact)}", Severity.WARNING)
        elif not fact.level and fact.name in before:
            _tell(held, group, row, f"{row.name} warns no more: {_sentence(fact)}", Severity.INFORMATION)
    if not item.state.is_down:
        for name in sorted(before - {fact.name for fact in facts}):
            _tell(held, group, row, f"{row.name} warns no more: {name}", Severity.INFORMATION)


def _sentence(fact: Fact) -> str:
    return f"{fact.name} {fact.text}"


def _tell(held: Held, group: Group, row: Resource, text: str, severity: Severity) -> None:
    journal.add(held, text, severity=severity, group=group, resource=row, node=group.owner)
