"""Short ways to say what a test of the decisions is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitoring.core.intents import request
from monitoring.core.model import Decision, GroupView, Intent, NodeView, ResourceView, World
from monitoring.core.reconcile import reconcile
from monitoring.core.states import NodeState, ResourceState
from monitoring.core.wanted import effective

NOW = 1_000_000.0


def world(*names: str, paused: str = "", down: str = "", **more: Any) -> World:
    """Nodes A, B, C … with the ids 1, 2, 3 …, all up but those named."""
    nodes = {}
    for number, name in enumerate(names or ("A", "B"), start=1):
        state = NodeState.PAUSED if name in paused else NodeState.DOWN if name in down else NodeState.UP
        nodes[number] = NodeView(number, name, state, lost=name in down)
    return World(nodes=nodes, **more)


def group(*resources: ResourceView, **more: Any) -> GroupView:
    """A group on node 1, by default of a disk and a service that needs it, both online and acknowledged."""
    rows = resources or (online(1, "Disk"), online(2, "Service", requires=((1,),)))
    more.setdefault("possible", frozenset(range(1, 10)))
    made = GroupView(id=1, name="G", owner=1, epoch=3, serial=7, applied_serial=7, resources=rows, **more)
    up = effective(made, may_start=True)
    return replace(made, wanted=tuple((r.id, r.id in up, r.attempt) for r in rows))


def online(rid: int, name: str, **more: Any) -> ResourceView:
    return ResourceView(rid, name, "T", state=ResourceState.ONLINE, running=True, **more)


def failed(subject: GroupView, rid: int, cause: str = "it ended") -> GroupView:
    """The group after its node reported a failure of a resource."""
    broken = replace(subject.by_id[rid], state=ResourceState.FAILED, running=False, failure=cause)
    return subject.with_resource(broken)


def with_state(subject: GroupView, state: ResourceState) -> GroupView:
    """The group with all resources in one state, its newest assignment acknowledged."""
    running = not state.is_down
    rows = tuple(replace(r, state=state, running=running) for r in subject.resources)
    return replace(subject, resources=rows, applied_serial=subject.serial)


def ask(subject: GroupView, kind: str, around: World, **more: Any) -> Decision:
    """An operator's intent, then the decision that follows it."""
    accepted = request(subject, Intent(99, kind, "alice", **more), around, NOW)
    decided = reconcile(accepted.group, around, NOW)
    return replace(
        decided, outcomes=accepted.outcomes + decided.outcomes, ended=accepted.ended + decided.ended
    )


def wants(decision: Decision) -> dict[str, bool]:
    """What the newest assignment asks for, by name."""
    names = {r.id: r.name for r in decision.group.resources}
    return {names[rid]: want for rid, want, _ in decision.group.wanted}
