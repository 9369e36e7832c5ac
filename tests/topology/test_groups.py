"""Groups are created, edited and deleted; what cannot be is refused by field."""

from __future__ import annotations

import pytest

from monitoring.core.states import ResourceState
from monitoring.models import Event, Group, Node, Operation, Resource
from monitoring.service import topology
from tests.topology.build import BY, app, refused, set_state

pytestmark = pytest.mark.django_db


def test_a_group_starts_without_owner_and_is_told_in_the_history(evs1: Group) -> None:
    assert (evs1.owner, evs1.persistent_online) == (None, False)
    event = Event.objects.first()
    assert event is not None
    assert (event.text, event.requested_by, event.group) == ("alice created the group EVS1.", "alice", evs1)
    operation = Operation.objects.get(group=evs1)
    assert (operation.kind, operation.state, operation.requested_by) == ("edit", "done", "alice")


@pytest.mark.parametrize("name", ["EVS1", "evs1", " Evs1 "])
def test_names_of_groups_are_unique_whatever_their_case(evs1: Group, name: str) -> None:
    with refused("name", "exists already"):
        topology.create_group({"name": name}, by=BY)


def test_a_group_needs_a_name(cluster: object) -> None:
    with refused("name"):
        topology.create_group({"name": "  "}, by=BY)


def test_an_edit_tells_each_changed_property_before_and_after(evs1: Group) -> None:
    values = {"failover_threshold": 5, "priority": 3000, "description": ""}
    topology.edit_group(evs1.pk, values, by=BY, reason="more failovers in the exam week")
    event = Event.objects.first()
    assert event is not None
    assert event.text == (
        "alice changed the group EVS1: FailoverThreshold from nodes - 1 to 5, Priority from Medium to High."
        " Reason: more failovers in the exam week"
    )


def test_an_edit_that_changes_nothing_leaves_no_trace(evs1: Group) -> None:
    before = Event.objects.count()
    topology.edit_group(evs1.pk, {"name": "EVS1", "priority": 2000}, by=BY)
    assert Event.objects.count() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failover_period_hours", 1194),
        ("failover_period_hours", -1),
        ("failover_threshold", -1),
        ("failback_window_start", 24),
        ("failback_window_end", -2),
        ("priority", 17),
        ("failover_threshold", "many"),
    ],
)
def test_properties_out_of_bounds_are_refused_by_name(evs1: Group, field: str, value: object) -> None:
    with refused(field):
        topology.edit_group(evs1.pk, {field: value}, by=BY)


def test_a_failback_window_has_both_ends_or_none(evs1: Group) -> None:
    with refused("failback_window_end", "both"):
        topology.edit_group(evs1.pk, {"failback_window_start": 22}, by=BY)
    topology.edit_group(evs1.pk, {"failback_window_start": 22, "failback_window_end": 5}, by=BY)
    with refused("failback_window_start", "both"):
        topology.edit_group(evs1.pk, {"failback_window_start": -1}, by=BY)


def test_what_the_service_keeps_cannot_be_set(evs1: Group) -> None:
    with refused("epoch", "no property"):
        topology.edit_group(evs1.pk, {"epoch": 7}, by=BY)


def test_a_group_that_holds_resources_is_deleted_only_by_force(evs1: Group) -> None:
    app(evs1, "A")
    with refused("group", "holds 1 resource"):
        topology.delete_group(evs1.pk, by=BY)
    topology.delete_group(evs1.pk, by=BY, force=True)
    assert not Group.objects.exists() and not Resource.objects.exists()
    told = list(Event.objects.order_by("-seq").values_list("text", "group_name")[:2])
    assert told == [
        ("alice deleted A (Generic Application) from the group EVS1.", "EVS1"),
        ("alice deleted the group EVS1.", "EVS1"),
    ]


def test_force_deletes_nothing_where_one_resource_is_online(evs1: Group) -> None:
    app(evs1, "A")
    set_state(app(evs1, "B"), ResourceState.ONLINE)
    before = Event.objects.count()
    with refused("resource", "B is Online"):
        topology.delete_group(evs1.pk, by=BY, force=True)
    assert Resource.objects.count() == 2
    assert Event.objects.count() == before


def test_a_refused_edit_within_a_larger_one_leaves_no_gap_in_the_history(evs1: Group) -> None:
    from monitoring.service.lock import cluster_lock

    with cluster_lock():
        app(evs1, "A")
        with refused("name"):
            app(evs1, "a")
        app(evs1, "B")
    numbers = list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_group_on_its_way_is_not_deleted(evs1: Group) -> None:
    Group.objects.filter(pk=evs1.pk).update(transit_kind="move", transit_stage="stopping")
    with refused("group", "A move of EVS1 is under way"):
        topology.delete_group(evs1.pk, by=BY)


def test_what_was_asked_of_a_deleted_group_ends(evs1: Group) -> None:
    asked = Operation.objects.create(
        kind="online", group=evs1, subject="EVS1", requested_by="bob", requested_at=1.0
    )
    topology.delete_group(evs1.pk, by=BY)
    asked.refresh_from_db()
    assert (asked.state, asked.outcome) == ("superseded", "alice deleted the group.")


def test_preferred_owners_keep_their_order(evs1: Group, nodes: list[Node]) -> None:
    wanted = [nodes[1].pk, nodes[0].pk]
    topology.set_preferred_owners(evs1.pk, wanted, by=BY)
    assert [p.node_id for p in evs1.preferences.all()] == wanted
    event = Event.objects.first()
    assert event is not None
    assert event.text == "alice changed the preferred owners of EVS1 from none to NODE2, NODE1."


def test_a_preferred_owner_is_a_node_and_named_once(evs1: Group, nodes: list[Node]) -> None:
    with refused("preferred_owners", "twice"):
        topology.set_preferred_owners(evs1.pk, [nodes[0].pk, nodes[0].pk], by=BY)
    with refused("preferred_owners", "no node"):
        topology.set_preferred_owners(evs1.pk, [999], by=BY)
