"""Resources are created, edited and deleted; what cannot be is refused by field."""

from __future__ import annotations

import pytest

from monitoring.core.states import ResourceState
from monitoring.models import Event, Group, Node, Operation, Resource
from monitoring.service import topology
from monitoring.service.lock import cluster_lock
from tests.topology.build import BY, address, app, disk, network_name, refused, set_state

pytestmark = pytest.mark.django_db


def test_names_of_resources_are_unique_in_the_whole_cluster(evs1: Group, evs2: Group) -> None:
    app(evs1, "Queue")
    with refused("name", "Queue exists already"):
        app(evs2, "QUEUE")


def test_an_unknown_type_is_refused(evs1: Group) -> None:
    with refused("type", "no resource type 'Fax'"):
        topology.create_resource(evs1.pk, "Fax", {"name": "Fax"}, by=BY)


def test_a_new_resource_follows_a_group_that_is_offline(evs1: Group) -> None:
    assert app(evs1, "A").persistent_online


def test_a_new_resource_in_a_running_group_waits_for_an_operator(evs1: Group) -> None:
    Group.objects.filter(pk=evs1.pk).update(persistent_online=True)
    assert not app(evs1, "A").persistent_online


@pytest.mark.parametrize("value", ["", "127.0.0", "127.0.0.256", "mail", "::1", "224.0.0.1"])
def test_an_address_is_an_address(evs1: Group, value: str) -> None:
    with refused("properties.Address"):
        address(evs1, value)


def test_an_address_is_used_once(evs1: Group, evs2: Group) -> None:
    address(evs1, "127.1.0.1")
    with refused("properties.Address", "127.1.0.1 belongs to EVS1 IP in the group EVS1"):
        address(evs2, "127.1.0.1")
    other = address(evs2, "127.1.0.2")
    with refused("properties.Address"):
        topology.edit_resource(other.pk, {}, properties={"Address": "127.1.0.1"}, by=BY)


@pytest.mark.parametrize("value", ["", "SIXTEENCHARACTER", "two words", "a.b", "a/b", "Müller", "a*"])
def test_a_network_name_is_a_netbios_name(evs1: Group, value: str) -> None:
    address(evs1, "127.1.0.1")
    with refused("properties.Name"):
        network_name(evs1, value)


def test_a_network_name_is_used_once_whatever_its_case(evs1: Group, evs2: Group) -> None:
    address(evs1, "127.1.0.1")
    address(evs2, "127.1.0.2")
    network_name(evs1, "MAIL")
    with refused("properties.Name", "MAIL belongs to EVS1 Name"):
        network_name(evs2, "mail")


def test_a_network_name_is_no_node_name(evs1: Group) -> None:
    address(evs1, "127.1.0.1")
    with refused("properties.Name", "NODE2 is the name of a node"):
        network_name(evs1, "node2")


@pytest.mark.parametrize(
    "path", ["/shared/one", "/shared/one/", "/shared/./x/../one", "/shared/one/sub", "/shared"]
)
def test_a_disk_belongs_to_one_virtual_server(evs1: Group, evs2: Group, path: str) -> None:
    disk(evs1, "/shared/one")
    with refused("properties.Path", "belongs to EVS1 Disk"):
        disk(evs2, path)


def test_disks_beside_each_other_are_fine(evs1: Group, evs2: Group) -> None:
    disk(evs1, "/shared/one")
    disk(evs2, "/shared/one-more")


def test_an_unknown_private_property_is_refused(evs1: Group) -> None:
    with refused("properties.Colour"):
        app(evs1, "A", properties={"CommandLine": "true", "CurrentDirectory": "/", "Colour": "red"})


def test_a_network_name_needs_an_address_in_its_group(evs1: Group, evs2: Group) -> None:
    address(evs2, "127.1.0.2")
    with refused("type", "needs a resource of the type IP Address in the group EVS1"):
        network_name(evs1, "MAIL")
    ip = address(evs1, "127.1.0.1")
    name = network_name(evs1, "MAIL")
    assert [row.provider_id for row in name.dependencies.all()] == [ip.pk]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("looks_alive_ms", 9),
        ("looks_alive_ms", 0),
        ("is_alive_ms", 0),
        ("is_alive_ms", 2),
        ("is_alive_ms", 9),
        ("is_alive_ms", 0x1_0000_0000),
        ("restart_threshold", -1),
        ("restart_action", 3),
        ("restart_period_ms", -1),
        ("restart_delay_ms", "soon"),
        ("pending_timeout_ms", 9),
        ("deadlock_timeout_ms", 999),
        ("retry_period_ms", 899_999),
        ("restart_period_ms", None),
    ],
)
def test_polls_and_timeouts_out_of_bounds_are_refused(evs1: Group, field: str, value: object) -> None:
    resource = app(evs1, "A")
    with refused(field):
        topology.edit_resource(resource.pk, {field: value}, by=BY)


@pytest.mark.parametrize("value", [1, 10, 0xFFFFFFFF])
def test_an_interval_of_1_or_of_all_ones_is_that_of_the_type(evs1: Group, value: int) -> None:
    resource = app(evs1, "A")
    topology.edit_resource(resource.pk, {"is_alive_ms": value}, by=BY)
    resource.refresh_from_db()
    assert resource.is_alive_ms == value


def test_a_retry_period_is_checked_against_the_new_restart_period(evs1: Group) -> None:
    resource = app(evs1, "A")
    with refused("retry_period_ms", "At least RestartPeriod, 7200000 ms"):
        topology.edit_resource(resource.pk, {"restart_period_ms": 7_200_000}, by=BY)


def test_an_edit_tells_settings_and_private_properties(evs1: Group) -> None:
    resource = app(evs1, "A")
    with cluster_lock() as held:
        topology.edit_resource(
            resource.pk, {"restart_threshold": 5}, properties={"CommandLine": "sleep 7"}, by=BY
        )
        assert held.dirty == {evs1.pk}
    event = Event.objects.first()
    assert event is not None
    assert event.text == (
        "alice changed A: RestartThreshold from 3 to 5, CommandLine from 'sleep 1000' to 'sleep 7'."
    )


def test_an_edit_of_what_runs_tells_when_it_acts(evs1: Group) -> None:
    resource = app(evs1, "A")
    set_state(resource, ResourceState.ONLINE, running=True)
    topology.edit_resource(resource.pk, {}, properties={"CommandLine": "sleep 7"}, by=BY)
    event = Event.objects.first()
    assert event is not None
    assert event.text.endswith("from 'sleep 1000' to 'sleep 7' (from its next online on).")


def test_an_online_resource_is_not_deleted(evs1: Group) -> None:
    resource = app(evs1, "A")
    for state in (ResourceState.ONLINE, ResourceState.ONLINE_PENDING, ResourceState.UNKNOWN):
        set_state(resource, state)
        with refused("resource", "Take it offline first"):
            topology.delete_resource(resource.pk, by=BY)


def test_a_failed_resource_is_deleted_once_nothing_of_it_runs(evs1: Group) -> None:
    resource = app(evs1, "A")
    set_state(resource, ResourceState.FAILED, running=True)
    with refused("resource", "may still run"):
        topology.delete_resource(resource.pk, by=BY)
    set_state(resource, ResourceState.FAILED)
    topology.delete_resource(resource.pk, by=BY)
    assert not Resource.objects.exists()


def test_what_others_depend_on_is_not_deleted(evs1: Group) -> None:
    ip = address(evs1, "127.1.0.1")
    network_name(evs1, "MAIL")
    with refused("resource", "EVS1 Name depends on EVS1 IP"):
        topology.delete_resource(ip.pk, by=BY)


def test_a_deleted_resource_stays_named_in_the_history(evs1: Group) -> None:
    resource = app(evs1, "A")
    topology.delete_resource(resource.pk, by=BY, reason="not used")
    event = Event.objects.first()
    assert event is not None
    assert (event.resource, event.resource_name) == (None, "A")
    assert event.text == "alice deleted A (Generic Application) from the group EVS1. Reason: not used"
    assert Operation.objects.filter(kind="edit", subject="A", reason="not used").exists()


def test_a_group_keeps_a_node_that_may_run_all_of_it(evs1: Group, nodes: list[Node]) -> None:
    first, second = (node.pk for node in nodes)
    a = app(evs1, "A", possible_owners=[first])
    with refused("possible_owners", "No node may run all resources of EVS1: A on NODE1; B on NODE2"):
        app(evs1, "B", possible_owners=[second])
    b = app(evs1, "B")
    with refused("possible_owners"):
        topology.set_possible_owners(b.pk, [second], by=BY)
    topology.set_possible_owners(a.pk, [], by=BY)
    topology.set_possible_owners(b.pk, [second], by=BY)


def test_the_node_that_has_it_online_stays_a_possible_owner(evs1: Group, nodes: list[Node]) -> None:
    first, second = nodes
    resource = app(evs1, "A")
    Group.objects.filter(pk=evs1.pk).update(owner=first)
    set_state(resource, ResourceState.ONLINE, running=True)
    with refused("possible_owners", "A is online on NODE1"):
        topology.set_possible_owners(resource.pk, [second.pk], by=BY)
    topology.set_possible_owners(resource.pk, [first.pk], by=BY)
    event = Event.objects.first()
    assert event is not None
    assert event.text == "alice changed the possible owners of A from all nodes to NODE1."
