"""A switch that does what a test has told it, and short ways to say what happens to a node."""

from __future__ import annotations

from typing import ClassVar

from monitoring.core.states import Severity
from monitoring.fencing.api import FenceError, FenceMethod, Power
from monitoring.models import (
    Event,
    Fence,
    Group,
    Node,
)
from monitoring.service import clock, membership
from monitoring.service.fencing import runner, work
from monitoring.service.lock import cluster_lock

ME, OTHER = "me", "other"


class Switch(FenceMethod):
    """A device that does what the test has told it, and notes each call."""

    method_name = "Switch"
    answers: ClassVar[list[str | Exception]] = []
    calls: ClassVar[list[str]] = []
    meanwhile: ClassVar[list[object]] = []

    def off(self) -> str:
        self.calls.append("off")
        for call in self.meanwhile:
            call()  # type: ignore[operator]
        answer = self.answers.pop(0) if self.answers else FenceError("it is stuck")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def status(self) -> Power:
        return Power.ON

    def monitor(self) -> str:
        return "it answers"


def lose(node: Node) -> None:
    """Its lease is over."""
    with cluster_lock() as held:
        membership._lose(held, [Node.objects.get(pk=node.pk)])


def join(node: Node) -> None:
    """A new life of it begins."""
    with cluster_lock() as held:
        fresh = Node.objects.get(pk=node.pk)
        membership.join(held, fresh, fresh.incarnation + 10, 1, 3000)


def go_on(me: str = ME) -> None:
    """What the fencing thread does when it looks, in this thread."""
    for pk in runner.claim_fences(me, clock.now()):
        work.proceed(pk, me)


def fresh(row: Group | Node | Fence) -> object:
    row.refresh_from_db()
    return row


def owner(group: Group) -> str:
    group.refresh_from_db()
    return group.owner.name if group.owner else ""


def severe() -> list[str]:
    return list(Event.objects.filter(severity=Severity.SEVERE).order_by("seq").values_list("text", flat=True))
