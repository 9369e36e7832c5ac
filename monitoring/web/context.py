"""What every page's template has at hand: the cluster, the time, what the user may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from monitoring.models import Cluster
from monitoring.models.roles import Role, role_of
from monitoring.service import clock
from monitoring.web.times import zone_label


@dataclass(frozen=True, slots=True)
class ClusterLabel:
    """Name of the cluster and number of its newest event: where a page's live feed starts."""

    name: str
    seq: int
    maintenance: bool = False


def read_label() -> ClusterLabel:
    """One query."""
    row = Cluster.objects.values_list("name", "last_event", "maintenance").first()
    return ClusterLabel(*row) if row else ClusterLabel("No cluster yet", 0)


def for_role(role: Role | None) -> dict[str, Any]:
    """What a template may ask about the one who looks, for pages and for pushed fragments."""
    rank = -1 if role is None else role.rank
    return {
        "role": role,
        "may_operate": rank >= Role.OPERATOR.rank,
        "may_administer": rank >= Role.ADMINISTRATOR.rank,
        "training": settings.TRAINING,
        "now": f"{clock.now():.3f}",
        "zone": timezone.get_current_timezone_name(),
        "zone_label": zone_label(),
    }


def cluster(request: HttpRequest) -> dict[str, Any]:
    """Template context processor. The cluster is read when a template first uses it.

    A page must read its own data after `cluster.seq`, or may show a change that the live
    feed sends once more (harmless), never the other way round: views call `live_from`.
    """
    user = getattr(request, "user", None)
    label = getattr(request, "cluster_label", None) or SimpleLazyObject(read_label)
    return {"cluster": label, **for_role(role_of(user) if user is not None else None)}


def live_from(request: HttpRequest) -> ClusterLabel:
    """Fix the point from which this page's live feed goes on. Call before reading its data."""
    label = read_label()
    request.cluster_label = label  # type: ignore[attr-defined]
    return label
