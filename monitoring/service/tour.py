"""The guided tour of the demo: five tasks, each checked against what the cluster's history says."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from monitoring.models import Event, FailoverRecord, Operation

TEXTS = (
    _("Cut off a node below, and see on the overview what happens to its groups."),
    _("Find in the history where the newest failover came from, and answer below."),
    _("Take a group offline, then bring it online again."),
    _("Move a group to another node."),
    _("Drain a node for maintenance, and give it back."),
)


@dataclass(frozen=True, slots=True)
class Task:
    text: object
    done: bool


def tasks(by: str, since: float, *, answered: bool) -> list[Task]:
    """The tasks, and which of them `by` has done since then. Two queries."""
    cut = Event.objects.filter(at__gte=since, text__startswith=f"Training: {by} cut off").exists()
    asked = Operation.objects.filter(requested_by=by, requested_at__gte=since, state="done")
    kinds = list(asked.order_by("pk").values_list("kind", flat=True))
    back = _after(kinds, "offline", "online") or _after(kinds, "resource-offline", "resource-online")
    done = (cut, answered, back, "move" in kinds, _after(kinds, "drain", "resume"))
    return [Task(text, is_done) for text, is_done in zip(TEXTS, done, strict=True)]


def _after(kinds: list[str], first: str, then: str) -> bool:
    return first in kinds and then in kinds[kinds.index(first) :]


def source_of_the_newest_failover() -> str:
    """The node that it came from; "" where there was none yet. One query."""
    newest = FailoverRecord.objects.filter(kind="failover").order_by("-pk").first()
    return newest.source if newest else ""
