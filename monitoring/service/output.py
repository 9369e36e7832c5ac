"""What the processes of resources print: asked of the node that runs them, kept as it answers.

It stays on the node until somebody asks. An answer tells the end of it, and for a while whatever
is added. It may contain anything, so that only operators and administrators see it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from monitoring.core.messages import Output, TellOutput
from monitoring.core.model import Refused
from monitoring.models import Node, Resource, ResourceOutput
from monitoring.service import refusals
from monitoring.service.lock import again, cluster_lock
from monitoring.service.membership import MEMBERS

FOLLOWED = 75.0
"""Seconds for which a node tells what is added."""
APART = 0.5
"""Seconds within which one question is enough for all who ask."""
LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class OutputView:
    """The newest lines of a resource that are known. `node` is where they were read, at `read_at`."""

    node: str
    read_at: float | None
    written_at: float | None
    text: str
    cut: bool


@again
def ask(resource: int, *, follow: float = FOLLOWED) -> None:
    """Ask the owner for the output of a resource; Refused where there is nobody to be asked."""
    with cluster_lock() as held:
        row = Resource.objects.select_related("group__owner").filter(pk=resource).first()
        if row is None:
            raise Refused("resource", "There is no such resource.")
        node = row.group.owner
        if node is None or node.state not in MEMBERS:
            where = f"{node.name} cannot be asked" if node else "it is on no node"
            raise Refused("resource", f"The output of {row.name} cannot be read: {where}.")
        known, _ = ResourceOutput.objects.get_or_create(resource=row)
        if known.asked_at is not None and 0 <= held.now - known.asked_at < APART:
            return
        known.asked_at = held.now
        known.save(update_fields=["asked_at"])
        order = TellOutput(node.incarnation, row.group_id, row.pk, round(follow * 1000))
        held.send(node.name, node.signing_key, order)


def take(node: Node, message: Output) -> None:
    """Keep what a node tells of a resource that is its own."""
    with cluster_lock() as held:
        if message.incarnation != node.incarnation:
            refusals.count(node.pk, f"Output of life {message.incarnation}")
            return
        own = Resource.objects.filter(pk=message.resource, group__owner=node).first()
        if own is None:
            return
        age = message.written_ms_ago
        ResourceOutput.objects.update_or_create(
            resource=own,
            defaults={
                "node_name": node.name,
                "read_at": held.now,
                "written_at": None if age is None else held.now - age / 1000,
                "text": message.text,
                "cut": message.cut,
            },
        )
        held.resources.add(own.pk)


def known(resource: int) -> OutputView:
    """What is known of it now. One query."""
    row = ResourceOutput.objects.filter(resource_id=resource).first()
    if row is None:
        return OutputView("", None, None, "", False)
    return OutputView(row.node_name, row.read_at, row.written_at, row.text, row.cut)


def fresh(resource: int, seconds: float) -> OutputView:
    """Ask for it, and return what is known once the answer is here, or after `seconds`."""
    before = known(resource).read_at
    ask(resource, follow=0)
    end = time.monotonic() + seconds
    while (found := known(resource)).read_at == before and time.monotonic() < end:
        time.sleep(LOOK_EVERY)
    return found
