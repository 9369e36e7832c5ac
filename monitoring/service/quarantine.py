"""Nodes that keep dropping out: they may join, and take no groups for a while (semantics 4.10)."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone

from monitoring.core.states import NodeState, Severity
from monitoring.models import Node
from monitoring.service import journal
from monitoring.service.lock import Held

PERIOD = 3600.0
"""Seconds within which departures are counted (semantics 3.5: QuarantineThreshold)."""
QUARANTINED, CLEARED = 1672, 1676


def dropped_out(held: Held, pk: int) -> None:
    """The node went down without having said so: count it, and put it in quarantine at the threshold.

    Never the last node that could take groups: a node that comes and goes is better than none.
    """
    node = Node.objects.get(pk=pk)
    node.departures = [at for at in node.departures if at > held.now - PERIOD] + [held.now]
    threshold = held.cluster.quarantine_threshold
    if threshold and len(node.departures) >= threshold and node.quarantined_until is None:
        times = f"it dropped out {len(node.departures)} times within an hour"
        if Node.objects.filter(state=NodeState.UP).exclude(pk=pk).exists():
            node.quarantined_until = held.now + held.cluster.quarantine_duration_s
            until = timezone.localtime(datetime.fromtimestamp(node.quarantined_until, UTC))
            text = f"{node.name} is quarantined until {until:%H:%M}: {times}. It takes no groups before that."
            journal.add(held, text, code=QUARANTINED, severity=Severity.SEVERE, node=node)
        else:
            text = f"{node.name} is not quarantined, though {times}: no other node is up."
            journal.add(held, text, code=QUARANTINED, severity=Severity.WARNING, node=node)
    node.save(update_fields=["departures", "quarantined_until"])


def end(held: Held, pk: int, why: str) -> Node | None:
    """End the quarantine of a node; return it where it may take groups from now on."""
    node = Node.objects.get(pk=pk)
    if node.quarantined_until is None:
        return None
    node.quarantined_until, node.departures = None, []
    came_up = node.state == NodeState.PAUSED and node.standing is NodeState.UP
    if came_up:
        node.state, node.state_since = NodeState.UP, held.now
    node.save(update_fields=["quarantined_until", "departures", "state", "state_since"])
    journal.add(held, f"{node.name} is no longer quarantined: {why}.", code=CLEARED, node=node)
    return node if came_up else None
