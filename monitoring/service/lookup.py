"""Groups, nodes, resources, fence devices by the name that was typed, with near matches where none fits."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TypeVar

from monitoring.models import FenceDevice, Group, Node, Resource

RowT = TypeVar("RowT", FenceDevice, Group, Node, Resource)


class UnknownNameError(LookupError):
    """Nothing has this name. `field` says what was looked for, `near` what comes close."""

    def __init__(self, field: str, name: str, near: list[str]) -> None:
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"There is no {field} named {name!r}.{hint}")
        self.field = field
        self.near = near


def group(name: str) -> Group:
    """The group of this name or id. One query where the name fits."""
    return _find(Group, "group", name)


def node(name: str) -> Node:
    """The node of this name or id. One query where the name fits."""
    return _find(Node, "node", name)


def resource(name: str) -> Resource:
    """The resource of this name or id. One query where the name fits."""
    return _find(Resource, "resource", name)


def fence_device(name: str) -> FenceDevice:
    """The fence device of this name or id. One query where the name fits."""
    return _find(FenceDevice, "device", name)


def _find(model: type[RowT], field: str, name: str) -> RowT:
    rows = model._default_manager
    found = rows.filter(name__iexact=name.strip()).first()
    if found is None and name.isascii() and name.isdigit() and len(name) < 19:
        found = rows.filter(pk=int(name)).first()
    if found is None:
        raise UnknownNameError(field, name, _near(name, list(rows.values_list("name", flat=True))))
    return found


def _near(name: str, names: list[str]) -> list[str]:
    """Up to three names that look like `name`, else contain it, whatever the case."""
    by_lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    close = close or [low for low in by_lower if name.strip() and name.strip().lower() in low][:3]
    return [by_lower[low] for low in close]
