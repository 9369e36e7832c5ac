"""When an owner has acknowledged an order, and when it has only told of a change."""

from __future__ import annotations

import pytest

from monitoring.core.messages import GroupReport, Report, ResourceReport
from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Cluster, Group, Node, Resource, ResourceType
from monitoring.service import reports

LIFE = 5


@pytest.fixture
def group(db: None) -> Group:
    """A group of two that was ordered to stop; its rows say, from before, that both are down."""
    Cluster.objects.create(pk=1)
    node = Node.objects.create(name="NODE1", state=NodeState.UP, incarnation=LIFE)
    kind = ResourceType.objects.create(name="T", dll_name="t")
    made = Group.objects.create(name="G", owner=node, epoch=2, serial=4, applied_serial=3)
    for name in ("R1", "R2"):
        row = Resource.objects.create(group=made, type=kind, name=name, state=ResourceState.OFFLINE)
        made.wanted.append([row.pk, False, row.attempt])
    made.save()
    return made


def told(group: Group, *resources: Resource) -> Group:
    """The group after its node told of these resources, under the newest serial."""
    items = tuple(ResourceReport(r.pk, ResourceState.OFFLINE, 9, 1, False) for r in resources)
    part = GroupReport(group.pk, group.epoch, group.serial, items)
    assert group.owner_id is not None
    reports.take(group.owner_id, Report(LIFE, 1, (part,)))
    group.refresh_from_db()
    return group


def test_a_report_of_a_part_is_not_an_acknowledgement(group: Group) -> None:
    assert told(group, group.resources.all()[0]).applied_serial == 3


def test_a_report_of_the_whole_group_is_one(group: Group) -> None:
    assert told(group, *group.resources.all()).applied_serial == 4
