"""All groups, each as one short line: what a list of any length is counted, filtered and put in order by.

A thousand groups are a thousand small rows here and no more; what is shown of a group is read
for those only that a page has room for (queries.overview.cards).
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.core.states import GroupState, NodeState
from monitoring.models import Group, Resource

DOWN = (NodeState.DOWN, NodeState.UNKNOWN)
_AT_FAULT = (GroupState.FAILED, GroupState.UNKNOWN, GroupState.PARTIAL_ONLINE)


@dataclass(frozen=True, slots=True)
class Line:
    """`since`: cluster time of the last change of its state or owner. `wanted`: it should be online.

    `troubled`: it is at rest and failed, or nobody hosts it. `moving`: something is being done.
    """

    id: int
    name: str
    state: GroupState
    since: float
    owner: int | None
    owner_name: str
    wanted: bool
    moving: bool
    troubled: bool

    @property
    def find(self) -> str:
        """What a word that is looked for may stand in."""
        return f"{self.name} {self.state.label} {self.owner_name}".lower()

    @property
    def urgency(self) -> int:
        """0: something is wrong. 1: something is being done. 2: as it should be."""
        missing = self.wanted and self.state is GroupState.OFFLINE
        if self.moving or self.state is GroupState.PENDING:
            return 1
        return 0 if self.troubled or missing or self.state in _AT_FAULT else 2


def lines() -> tuple[Line, ...]:
    """All groups by name. Two queries."""
    restarting = set(Resource.objects.filter(restart_at__isnull=False).values_list("group_id", flat=True))
    rows = Group.objects.order_by("name").values_list(
        *("id", "name", "last_state", "state_since", "owner_id", "owner__name", "owner__state"),
        *("persistent_online", "transit_kind"),
    )
    return tuple(
        Line(
            id=id,
            name=name,
            state=GroupState(state),
            since=since,
            owner=owner,
            owner_name=owner_name or "",
            wanted=wanted,
            moving=bool(transit) or id in restarting,
            troubled=is_troubled(
                GroupState(state),
                at_rest=not transit and id not in restarting,
                node=owner_state,
                wanted=wanted,
            ),
        )
        for id, name, state, since, owner, owner_name, owner_state, wanted, transit in rows
    )


def is_troubled(state: GroupState, *, at_rest: bool, node: int | None, wanted: bool) -> bool:
    """It failed, or nobody hosts it, and nothing is being done; `node` is the state of its owner."""
    return at_rest and (node is None or (node in DOWN and wanted) or state is GroupState.FAILED)
