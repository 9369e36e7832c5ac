"""What the hub asks the database: what changed since, and who may still watch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

import msgspec
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.utils import timezone

from monitoring.core.messages import ITEMS, Count, Id
from monitoring.live.topics import Change
from monitoring.live.visitor import Visitor
from monitoring.models import Cluster, Event, Group, Node, Resource
from monitoring.models.roles import role_of

Ids = Annotated[frozenset[Id], msgspec.Meta(max_length=ITEMS)]
FAR_BEHIND = 2000
"""A page that missed more events than this loads itself anew."""


def newest() -> int:
    """Number of the newest event. One query."""
    return Cluster.objects.values_list("last_event", flat=True).first() or 0


class Announcement(msgspec.Struct, frozen=True):
    """What the cluster service announces on the channel layer (service.publish). Nobody signs it:
    it only says where to look."""

    seq: Count
    groups: Ids
    nodes: Ids
    resources: Ids


def announced(message: object) -> Change | None:
    """What was announced; None where it is no announcement of ours."""
    try:
        told = msgspec.convert(message, Announcement)
    except (ValueError, RecursionError):  # what fits no type, or has half characters for names
        return None
    return Change(told.seq, told.seq, told.groups, told.nodes, told.resources)


def changes_since(since: int) -> Change:
    """All that changed after event `since`. Five queries."""
    seq = newest()
    if since > seq or seq - since > FAR_BEHIND or _deleted_since(since):
        return Change(seq, since, whole=True)
    return Change(
        seq,
        since,
        frozenset(Group.objects.filter(changed__gt=since).order_by().values_list("id", flat=True)),
        frozenset(Node.objects.filter(changed__gt=since).order_by().values_list("id", flat=True)),
        frozenset(Resource.objects.filter(changed__gt=since).order_by().values_list("id", flat=True)),
    )


def complete(announced: Change, told: int) -> Change:
    """What was announced, and with it all that a lost announcement would have told since `told`.

    Five queries; more only for what was announced and left no mark on its row.
    """
    found = changes_since(told)
    both = replace(found | announced, seq=found.seq)  # the database knows the number, whoever says another
    gone = (
        _missing(Group, announced.groups - found.groups)
        or _missing(Node, announced.nodes - found.nodes)
        or _missing(Resource, announced.resources - found.resources)
    )
    return replace(both, whole=True) if gone else both


def _missing(model: type[Model], ids: frozenset[int]) -> bool:
    return bool(ids) and model._default_manager.filter(pk__in=ids).count() < len(ids)


def _deleted_since(since: int) -> bool:
    """True where a newer event is about a group, node or resource that is no longer there.

    No row is left that would say so; the pages that showed it load anew.
    """
    later = Event.objects.filter(seq__gt=since).order_by()
    gone = (
        later.filter(group__isnull=True).exclude(group_name="")
        | later.filter(node__isnull=True).exclude(node_name="")
        | later.filter(resource__isnull=True).exclude(resource_name="")
    )
    return gone.exists()


def ended(visitors: Collection[Visitor]) -> set[Visitor]:
    """Those whose session is over or whose role is another one now. Three queries."""
    open_sessions = set(
        Session.objects.filter(
            session_key__in={v.session for v in visitors}, expire_date__gt=timezone.now()
        ).values_list("session_key", flat=True)
    )
    users = User.objects.filter(id__in={v.user for v in visitors}, is_active=True).prefetch_related("groups")
    rights = {user.pk: (user.get_session_auth_hash(), role_of(user)) for user in users}
    return {v for v in visitors if v.session not in open_sessions or rights.get(v.user) != (v.proof, v.role)}
