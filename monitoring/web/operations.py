"""Notes about what was asked for: under way, done or failed, with the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse

from monitoring.live.topics import Change
from monitoring.models import Group, Node, Operation
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries.groups import summaries
from monitoring.web.context import for_role

RECENT = 20.0
"""Seconds for which an operation that ended is still told of."""
MOST = 50

_TONES = {"running": "is-busy", "done": "is-ok", "failed": "is-bad", "superseded": "is-warn"}
_BACK = {"offline": "online", "online": "offline", "resource-offline": "online", "resource-online": "offline"}


@dataclass(frozen=True, slots=True)
class Toast:
    """A note on one operation; `back` is the address of its opposite, "" where it has none."""

    id: int
    title: str
    state: str
    tone: str
    text: str
    notice: str
    at: float
    back: str

    @property
    def running(self) -> bool:
        return self.state == "running"


def toast(operation: Operation, notice: str = "") -> Toast:
    """The note on one operation. `notice`: what was under way when it was asked for."""
    return _toasts([operation], notice)[0]


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """Notes on what is under way or has just ended; a page that shows one brings it up to date."""
    if role.rank < Role.OPERATOR.rank:
        return ""
    told = Q(state="running") | Q(finished_at__gt=clock.now() - RECENT)
    recent = Operation.objects.filter(told, parent=None).order_by("-id")[:MOST]
    notes = _toasts(recent)
    return render_to_string("actions/toasts.html", {"toasts": notes, **for_role(role)}) if notes else ""


def _toasts(operations: Iterable[Operation], notice: str = "") -> list[Toast]:
    """Six queries at most."""
    operations = list(operations)
    doing = _doing({op.group_id for op in operations if op.state == "running" and op.group_id is not None})
    sources = _sources([op for op in operations if op.kind == "move"])
    return [
        Toast(
            id=op.pk,
            title=str(op),
            state=op.state,
            tone=_TONES[op.state],
            text=op.outcome or doing.get(op.group_id or 0, "") or "Asked of the cluster",
            notice=notice,
            at=op.requested_at,
            back=_back(op, sources.get(op.pk)),
        )
        for op in operations
    ]


def _doing(groups: set[int]) -> Mapping[int, str]:
    """What each of these groups is at right now. Four queries, none for no group."""
    if not groups:
        return {}
    rows = Group.objects.filter(id__in=groups).select_related("owner", "transit_target", "operation")
    return {group.id: str(group.doing) for group in summaries(rows)}


def _sources(moves: list[Operation]) -> Mapping[int, int]:
    """The node that each move took its group from. Two queries, none for no move."""
    if not moves:
        return {}
    names = dict(
        Operation.objects.filter(id__in=[op.pk for op in moves]).values_list("id", "records__source")
    )
    ids = dict(Node.objects.filter(name__in=[n for n in names.values() if n]).values_list("name", "id"))
    return {op: ids[name] for op, name in names.items() if name in ids}


def _back(operation: Operation, source: int | None) -> str:
    """The opposite of an operation as the address of its confirmation."""
    query = {"reason": f"Undo: {operation}"}
    if operation.kind == "move" and operation.group_id and source:
        address = reverse("group-move", args=[operation.group_id])
        query["node"] = str(source)
    elif operation.kind in _BACK and operation.resource_id:
        address = reverse(f"resource-{_BACK[operation.kind]}", args=[operation.resource_id])
    elif operation.kind in _BACK and operation.group_id:
        address = reverse(f"group-{_BACK[operation.kind]}", args=[operation.group_id])
    elif operation.kind in ("pause", "drain") and operation.node_id:
        address = reverse("node-resume", args=[operation.node_id])
        query["failback"] = "immediate" if operation.kind == "drain" else "none"
    elif operation.kind == "resume" and operation.node_id:
        address = reverse("node-pause", args=[operation.node_id])
    else:
        return ""
    return f"{address}?{urlencode(query)}"
