"""What the decisions look at and what they give back: frozen values, no behaviour of their own.

Times are seconds on the cluster clock, a number that never goes backwards; durations are
in the unit that the name ends in. Ids are database ids, but nothing here knows a database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from monitoring.core.states import (
    GroupState,
    NodeState,
    ResourceState,
    RestartAction,
    Severity,
    Stage,
    TransitKind,
)

NEVER = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource: what is wanted of it, what its node reported, its failure policy.

    `requires` is the dependency expression, an AND of OR sets of resource ids. `failures`
    are the times of failures on the present owner within RestartPeriod. `failure` is the
    cause of a reported failure on which nothing was decided yet, `last_failure` the newest one.
    """

    id: int
    name: str
    type_name: str
    requires: tuple[tuple[int, ...], ...] = ()
    persistent_online: bool = True
    state: ResourceState = ResourceState.OFFLINE
    running: bool = False
    attempt: int = 1
    failure: str = ""
    last_failure: str = ""
    failures: tuple[float, ...] = ()
    restart_at: float | None = None
    retry_at: float | None = None
    restart_action: RestartAction = RestartAction.RESTART_NOTIFY
    restart_threshold: int = 3
    restart_period_ms: int = 900_000
    restart_delay_ms: int = 500
    retry_period_ms: int = 3_600_000
    storage_groups: int = 0
    simulate: int = 0
    """The operation that asks for a simulated failure and that the node has not carried out yet."""
    simulate_at: float | None = None
    """When the node was told last."""
    simulated: int = 0
    """The newest such operation that the node has carried out, as it reported."""


@dataclass(frozen=True, slots=True)
class Transit:
    """A group on its way: everything goes offline, the owner changes, everything comes online.

    A restart is a transit whose target is the owner. `rule` is the sentence of 4.4 that
    chose the target.
    """

    kind: TransitKind
    source: int | None
    target: int
    stage: Stage
    cause: str
    rule: str
    started: float
    operation: int | None = None
    requested_by: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """What an operator asked for, as recorded before anything is done about it."""

    operation: int
    kind: str
    """move, online, offline, restart, maintenance, end-maintenance (of a group); resource-online,
    resource-offline, resource-restart; pause, drain, resume, evict, clear-quarantine (of a node)."""
    by: str
    reason: str = ""
    node: int | None = None
    resource: int | None = None
    failback: str = "none"
    """Of a resume: none, immediate or policy."""
    stopped: bool = False
    """Of a resource-restart: the first half, offline, is done."""


@dataclass(frozen=True)
class GroupView:
    """A group with its resources. `possible` are the nodes that every resource may run on."""

    id: int
    name: str
    owner: int | None
    epoch: int = 1
    serial: int = 0
    applied_serial: int = 0
    persistent_online: bool = True
    resources: tuple[ResourceView, ...] = ()
    preferred: tuple[int, ...] = ()
    possible: frozenset[int] = frozenset()
    failover_threshold: int = NEVER
    failover_period_hours: int = 6
    failovers: tuple[float, ...] = ()
    auto_failback: bool = False
    failback_window: tuple[int, int] | None = None
    failback_to: int | None = None
    given_up: bool = False
    transit: Transit | None = None
    operation: Intent | None = None
    """The operator's intent that is being carried out."""
    anti_affinity: frozenset[str] = frozenset()
    priority: int = 2000
    wanted: tuple[tuple[int, bool, int], ...] = ()
    """What assignment `serial` says: (resource, want online, attempt) of each."""
    watch_only: bool = False
    """Assignment `serial` leaves everything as it is: the node watches and reports."""
    sent_at: float | None = None
    """When the newest assignment was sent; None when it has to be."""
    maintenance: bool = False
    """An operator works on it: it is watched and reported, and nothing is acted upon."""

    @cached_property
    def by_id(self) -> Mapping[int, ResourceView]:
        return {resource.id: resource for resource in self.resources}

    def with_resource(self, changed: ResourceView) -> GroupView:
        """This group with one resource replaced."""
        kept = tuple(changed if r.id == changed.id else r for r in self.resources)
        return replace(self, resources=kept)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as the decisions see it.

    `lost`: its lease has surely run out or a fence confirmed it off, so nothing of it runs.
    `loss`: how that came, where it has just happened. `awaited_until`: the cluster has only
    just started, and the node may come until then. `isolated`: it is not heard, and runs on
    under its lease. `paused` by an operator and `quarantined` are why its state is Paused.
    """

    id: int
    name: str
    state: NodeState = NodeState.UP
    lost: bool = False
    awaited_until: float = 0.0
    loss: str = ""
    isolated: bool = False
    paused: bool = False
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """What one hosted group weighs when a node is chosen for another."""

    group: int
    owner: int | None
    anti_affinity: frozenset[str] = frozenset()
    storage_groups: int = 0


@dataclass(frozen=True)
class World:
    """All that a decision about one group needs to know of the rest of the cluster."""

    nodes: Mapping[int, NodeView]
    loads_of: Callable[[], tuple[Load, ...]] = tuple
    """Asked only when a node has to be chosen, since it costs what exists."""
    max_storage_groups_per_node: int = 4
    enforced_anti_affinity: bool = False
    maintenance: bool = False
    """The whole cluster is in maintenance, as if each group were."""
    hour: int = 0
    """Hour of the day, 0 to 23, cluster local time, for failback windows."""
    seconds_to_next_hour: float = 3600.0
    resend_after: float = 1.0
    """Seconds after which an assignment that was not acknowledged is sent again."""

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """What every group of the cluster weighs."""
        return self.loads_of()


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the history, to be numbered when it is saved."""

    code: int
    text: str
    severity: Severity = Severity.INFORMATION
    resource: int | None = None
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended: "done", "failed" or "superseded", and a sentence."""

    operation: int
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class TransitEnd:
    """How a transit ended: "done", "failed", "superseded" or "continued" on a further node."""

    transit: Transit
    state: str
    text: str


@dataclass(frozen=True)
class Decision:
    """The group as it is from now on, and what has to be told.

    `group` carries all new state; `send` says that its assignment must go to its owner;
    `release` are nodes that must be told that the group is no longer theirs; `fail` are
    resources whose failure is to be simulated, each with the operation that asks for it.
    `wake_at` is when to look again if nothing happens before, None for never.
    """

    group: GroupView
    events: tuple[Event, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    ended: tuple[TransitEnd, ...] = ()
    send: bool = False
    release: tuple[int, ...] = ()
    fail: tuple[tuple[int, int], ...] = ()
    wake_at: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node as a place for a group: `refusal` is why it cannot be, empty where it can."""

    node: int
    name: str
    refusal: str = ""
    rule: str = ""


class Refused(Exception):  # noqa: N818  (the word that an operator reads)
    """An intent that cannot be accepted. `field` names what was wrong with the request."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


__all__ = [
    "NEVER",
    "Candidate",
    "Decision",
    "Event",
    "GroupState",
    "GroupView",
    "Intent",
    "Load",
    "NodeView",
    "Outcome",
    "Refused",
    "ResourceView",
    "Transit",
    "TransitEnd",
    "World",
]
