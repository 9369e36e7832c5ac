"""What a request of the API may say: its query or its body, validated, unknown names refused."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Number = Annotated[int, msgspec.Meta(ge=0)]
Reason = Annotated[str, msgspec.Meta(max_length=1000)]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that takes no parameters."""


class Anything(msgspec.Struct, frozen=True):
    """A request whose parameters do not matter."""


class GroupsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Groups in a state, on a node, or all."""

    state: str = ""
    node: str = ""


class ResourcesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of one group, or all."""

    group: str = ""


class OutputQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Output as the node has it now, if it answers within `wait` seconds; else what was read last."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=10)] = 3.0


Names = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=255)], ...], msgspec.Meta(max_length=50)]


class WhatIfQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes that `fail` or are drained, and resources that break on every node; each several times."""

    fail: Names = ()
    drain: Names = ()
    disk: Names = ()


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events after number `since`, oldest first; without it newest first, below `before`."""

    since: Number | None = None
    before: Number | None = None
    limit: Limit = 100
    group: str = ""
    node: str = ""
    resource: str = ""
    kind: str = ""
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""


class RecordsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Passages of groups, newest first, below `before`."""

    before: Number | None = None
    limit: Limit = 100
    group: str = ""
    node: str = ""
    kind: str = ""
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""


class ActionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action that needs to know no more than why."""

    reason: Reason = ""


class MoveIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A move to `node`, or to the best one where none is named."""

    node: str = ""
    reason: Reason = ""


class ResumeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A resume, and whether groups that prefer the node return to it."""

    failback: Literal["none", "immediate", "policy"] = "none"
    reason: Reason = ""
