"""What can be found: every group, node and resource, with what the palette has to know of each."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Group, Node, Resource

State = GroupState | NodeState | ResourceState
ON_NODES = (NodeState.UP,)


@dataclass(frozen=True, slots=True)
class Thing:
    """`what` is "group", "node" or "resource"; `low` its name in lower case.

    `at` is the node that a group is on and `of` the group of a resource, None for none. `wanted`:
    it shall be online; of a node: it is not paused. `tied`: in maintenance; of a node: quarantined.
    `lost`: of a node, that it is not confirmed off.
    """

    what: str
    id: int
    name: str
    low: str
    state: State
    wanted: bool
    tied: bool = False
    at: int | None = None
    of: int | None = None
    lost: bool = False
    type_name: str = ""

    @property
    def key(self) -> str:
        return f"{self.what}:{self.id}"

    @property
    def troubled(self) -> bool:
        """Looked for first at 3 a.m."""
        if isinstance(self.state, NodeState):
            return self.state not in ON_NODES
        return self.state in (GroupState.FAILED, ResourceState.FAILED) if self.wanted else False


@dataclass(frozen=True, slots=True)
class Index:
    """All things, by kind; names of groups and nodes by id."""

    groups: tuple[Thing, ...]
    nodes: tuple[Thing, ...]
    resources: tuple[Thing, ...]
    group_names: dict[int, str]
    node_names: dict[int, str]

    def of(self, what: str) -> tuple[Thing, ...]:
        return {"group": self.groups, "node": self.nodes, "resource": self.resources}.get(what, ())

    def where(self, thing: Thing) -> str:
        """Where a thing is, in words."""
        if thing.what == "node":
            return _("node")
        if thing.what == "resource":
            return _("resource of %(group)s") % {"group": self.group_names.get(thing.of or 0, "")}
        if thing.at is None:
            return _("group on no node")
        return _("group on %(node)s") % {"node": self.node_names.get(thing.at, "")}


def read_index() -> Index:
    """Three queries, however much there is."""
    groups = tuple(
        Thing("group", pk, name, name.lower(), GroupState(state), wanted, tied, at)
        for pk, name, state, wanted, tied, at in Group.objects.order_by().values_list(
            "id", "name", "last_state", "persistent_online", "maintenance", "owner_id"
        )
    )
    nodes = tuple(
        Thing("node", pk, name, name.lower(), NodeState(state), not paused, until is not None, lost=lost)
        for pk, name, state, paused, until, lost in Node.objects.order_by().values_list(
            "id", "name", "state", "paused", "quarantined_until", "unfenced"
        )
    )
    resources = tuple(
        Thing("resource", pk, name, name.lower(), ResourceState(state), wanted, of=of, type_name=kind)
        for pk, name, state, wanted, of, kind in Resource.objects.order_by().values_list(
            "id", "name", "state", "persistent_online", "group_id", "type__name"
        )
    )
    group_names, node_names = ({one.id: one.name for one in all} for all in (groups, nodes))
    return Index(groups, nodes, resources, group_names, node_names)


def objection(verb: str, thing: Thing) -> str:
    """Why an action makes no sense as things stand, "" where it does. The cluster itself decides later."""
    words = {"name": thing.name}
    if thing.what == "node":
        return _node_objection(verb, thing, words)
    if verb == "online" and thing.state in (GroupState.ONLINE, ResourceState.ONLINE):
        return _("%(name)s is online already") % words
    if verb in ("offline", "restart", "fail") and not thing.wanted:
        return _("%(name)s is offline on request") % words
    if verb == "maintenance" and thing.tied:
        return _("%(name)s is in maintenance already") % words
    if verb == "end-maintenance" and not thing.tied:
        return _("%(name)s is not in maintenance") % words
    return ""


def _node_objection(verb: str, node: Thing, words: dict[str, str]) -> str:
    if verb == "pause" and not node.wanted:
        return _("%(name)s is paused already") % words
    if verb == "resume" and node.wanted:
        return _("%(name)s is not paused") % words
    if verb == "clear-quarantine" and not node.tied:
        return _("%(name)s is not quarantined") % words
    if verb == "confirm-off" and not node.lost:
        return _("Nothing waits for %(name)s to be off") % words
    return ""


def hindrance(node: Thing, group: Thing) -> str:
    """Why a node is no target of a move at a glance."""
    words = {"node": node.name, "group": group.name}
    if group.at == node.id:
        return _("%(group)s is on %(node)s already") % words
    if node.state is NodeState.DOWN:
        return _("%(node)s is down") % words
    if node.state is NodeState.PAUSED:
        return _("%(node)s is paused") % words
    return ""
