"""From rows to what the decisions look at. Reads only; the cost of each part is stated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils import timezone

from monitoring.core.messages import Assignment, ResourceSpec
from monitoring.core.model import GroupView, Intent, Load, NodeView, ResourceView, Transit, World
from monitoring.core.states import NodeState, ResourceState, RestartAction, Stage, TransitKind
from monitoring.models import Dependency, Group, Node, PossibleOwner, PreferredOwner, Resource
from monitoring.models.topology import STORAGE_GROUPS, USE_TYPE
from monitoring.service import membership
from monitoring.service.lock import Held

RESEND_AFTER = 1.0


def world(held: Held, nodes: Mapping[int, Node]) -> World:
    """The rest of the cluster. No query; two where a node has to be chosen."""
    local = timezone.localtime(datetime.fromtimestamp(held.now, tz=timezone.get_current_timezone()))
    return World(
        nodes={pk: node_view(node, held.losses.get(pk, "")) for pk, node in nodes.items()},
        loads_of=_loads,
        max_storage_groups_per_node=held.cluster.max_storage_groups_per_node,
        enforced_anti_affinity=held.cluster.enforced_anti_affinity,
        maintenance=held.cluster.maintenance,
        hour=local.hour,
        seconds_to_next_hour=3600.0 - local.minute * 60 - local.second,
        resend_after=RESEND_AFTER,
    )


def node_view(node: Node, loss: str) -> NodeView:
    """A node as the decisions see it; one that this cluster service has not heard yet is joining.

    One that is down and not yet confirmed off is not lost: its groups stay its own, and wait.
    """
    state = NodeState(node.state)
    if state in (NodeState.UP, NodeState.PAUSED) and not membership.is_heard(node.pk):
        state = NodeState.JOINING
    lost = state is NodeState.DOWN and not node.unfenced
    awaited = membership.awaited_until(node.pk) if lost else 0.0
    return NodeView(
        node.pk,
        node.name,
        state,
        lost,
        awaited,
        loss,
        isolated=node.isolated,
        paused=node.paused,
        quarantined=node.quarantined_until is not None,
    )


def _loads() -> tuple[Load, ...]:
    weights: dict[int, int] = defaultdict(int)
    for store in Resource.objects.filter(properties__has_key=STORAGE_GROUPS):
        weights[store.group_id] += store.storage_groups
    rows = Group.objects.values_list("pk", "owner_id", "anti_affinity")
    return tuple(Load(pk, owner, classes(text), weights[pk]) for pk, owner, text in rows)


def classes(text: str) -> frozenset[str]:
    """Names of the classes of groups that should be kept apart, as an administrator wrote them."""
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


class GroupRows:
    """Rows of all nodes, and of some groups with what belongs to them.

    Six queries, whatever their number. What a group is doing (its operation, its record) is
    read where it is looked at, since most groups do nothing.
    """

    def __init__(self, ids: Iterable[int]) -> None:
        wanted = sorted(set(ids))
        self.nodes = {node.pk: node for node in Node.objects.all()}
        self.groups = list(Group.objects.filter(pk__in=wanted).order_by("-priority", "pk"))
        for group in self.groups:
            if group.owner_id is not None:
                group.owner = self.nodes[group.owner_id]
        self.resources: dict[int, list[Resource]] = defaultdict(list)
        for resource in Resource.objects.select_related("type").filter(group_id__in=wanted).order_by("pk"):
            self.resources[resource.group_id].append(resource)
        clauses: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        links = Dependency.objects.filter(resource__group_id__in=wanted)
        for rid, provider, clause in links.values_list("resource_id", "provider_id", "clause"):
            clauses[rid][clause].append(provider)
        self.requires = {
            rid: tuple(tuple(members) for _, members in sorted(found.items()))
            for rid, found in clauses.items()
        }
        self.preferred: dict[int, list[int]] = defaultdict(list)
        preferences = PreferredOwner.objects.filter(group_id__in=wanted).order_by("group_id", "position")
        for gid, node in preferences.values_list("group_id", "node_id"):
            self.preferred[gid].append(node)
        self.possible: dict[int, set[int]] = defaultdict(set)
        owners = PossibleOwner.objects.filter(resource__group_id__in=wanted)
        for rid, node in owners.values_list("resource_id", "node_id"):
            self.possible[rid].add(node)

    def view(self, group: Group) -> GroupView:
        """The group as the decisions see it. One query where an operator's intent is under way."""
        rows = self.resources[group.pk]
        possible = frozenset(self.nodes)
        for row in rows:
            if row.pk in self.possible:
                possible &= self.possible[row.pk]
        return GroupView(
            id=group.pk,
            name=group.name,
            owner=group.owner_id,
            epoch=group.epoch,
            serial=group.serial,
            applied_serial=group.applied_serial,
            persistent_online=group.persistent_online,
            resources=tuple(_resource(row, self.requires.get(row.pk, ())) for row in rows),
            preferred=tuple(self.preferred[group.pk]),
            possible=possible,
            failover_threshold=group.failover_threshold,
            failover_period_hours=group.failover_period_hours,
            failovers=tuple(group.failovers),
            auto_failback=group.auto_failback,
            failback_window=_window(group),
            failback_to=group.failback_to_id,
            given_up=group.given_up,
            transit=_transit(group),
            operation=_intent(group),
            anti_affinity=classes(group.anti_affinity),
            priority=group.priority,
            wanted=tuple((rid, want, attempt) for rid, want, attempt in group.wanted),
            watch_only=group.watch_only,
            sent_at=group.sent_at,
            maintenance=group.maintenance,
        )

    def assignment(self, view: GroupView, incarnation: int, operation: int | None) -> Assignment:
        """What the owner shall make true: the content of `view.wanted`, with all settings. No query."""
        wants = {rid: (want, attempt) for rid, want, attempt in view.wanted}
        return Assignment(
            incarnation=incarnation,
            group=view.id,
            group_name=view.name,
            epoch=view.epoch,
            serial=view.serial,
            resources=tuple(
                _spec(row, self.requires.get(row.pk, ()), *wants[row.pk]) for row in self.resources[view.id]
            ),
            operation=operation,
            watch_only=view.watch_only,
        )


def _window(group: Group) -> tuple[int, int] | None:
    if group.failback_window_start < 0 or group.failback_window_end < 0:
        return None
    return group.failback_window_start, group.failback_window_end


def _resource(row: Resource, requires: tuple[tuple[int, ...], ...]) -> ResourceView:
    return ResourceView(
        id=row.pk,
        name=row.name,
        type_name=row.type.name,
        requires=requires,
        persistent_online=row.persistent_online,
        state=ResourceState(row.state),
        running=row.running,
        attempt=row.attempt,
        failure=row.failure,
        last_failure=row.last_failure,
        failures=tuple(row.failures),
        restart_at=row.restart_at,
        retry_at=row.retry_at,
        restart_action=RestartAction(row.restart_action),
        restart_threshold=row.restart_threshold,
        restart_period_ms=row.restart_period_ms,
        restart_delay_ms=row.restart_delay_ms,
        retry_period_ms=row.retry_period_ms,
        storage_groups=row.storage_groups,
        simulate=row.simulate,
        simulate_at=row.simulate_at,
        simulated=row.simulated,
    )


def _transit(group: Group) -> Transit | None:
    if not group.transit_kind or group.transit_target_id is None:
        return None
    return Transit(
        kind=TransitKind(group.transit_kind),
        source=group.transit_source_id,
        target=group.transit_target_id,
        stage=Stage(group.transit_stage),
        cause=group.transit_cause,
        rule=group.transit_rule,
        started=group.transit_started or 0.0,
        operation=group.transit_operation_id,
        requested_by=group.transit_by,
    )


def _intent(group: Group) -> Intent | None:
    row = group.operation
    if row is None:
        return None
    return Intent(
        operation=row.pk,
        kind=row.kind,
        by=row.requested_by,
        reason=row.reason,
        resource=row.resource_id,
        stopped=bool(row.options.get("stopped")),
    )


def _spec(row: Resource, requires: tuple[tuple[int, ...], ...], want: bool, attempt: int) -> ResourceSpec:
    kind = row.type

    def own(value: int, inherited: int) -> int:
        return inherited if value == USE_TYPE else value

    return ResourceSpec(
        id=row.pk,
        name=row.name,
        type=kind.name,
        properties=row.properties,
        requires=requires,
        want_online=want,
        attempt=attempt,
        looks_alive_ms=max(10, own(row.looks_alive_ms, kind.looks_alive_ms)),
        is_alive_ms=max(10, kind.is_alive_ms if row.is_alive_ms in (1, USE_TYPE) else row.is_alive_ms),
        pending_timeout_ms=own(row.pending_timeout_ms, kind.pending_timeout_ms),
        deadlock_timeout_ms=own(row.deadlock_timeout_ms, kind.deadlock_timeout_ms),
        separate_monitor=row.separate_monitor,
    )


def one(held: Held, group: int) -> tuple[GroupRows, Group, GroupView, World]:
    """Everything to decide about one group; Group.DoesNotExist where it is gone."""
    rows = GroupRows([group])
    if not rows.groups:
        raise Group.DoesNotExist(f"no group {group}")
    return rows, rows.groups[0], rows.view(rows.groups[0]), world(held, rows.nodes)


def changed_fields(row: object, values: dict[str, object]) -> list[str]:
    """Set `values` on a row and return the names of those that were different."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    return changed
