"""Nodes join the configuration; the cluster's and the types' settings keep to their bounds."""

from __future__ import annotations

import pytest

from monitoring.core.model import Refused
from monitoring.models import Cluster, Event, Group, Node, ResourceType
from monitoring.service import intents, topology
from monitoring.service.lock import cluster_lock
from tests.topology.build import BY, address, app, network_name, refused

pytestmark = pytest.mark.django_db


def test_a_new_node_gets_a_key_and_the_next_place_in_the_join_order(nodes: list[Node]) -> None:
    node = topology.add_node("node3", by=BY)
    assert (node.name, len(node.key)) == ("NODE3", 64)
    assert node.pk > nodes[-1].pk
    event = Event.objects.first()
    assert event is not None
    assert (event.code, event.text) == (1007, "alice added the node NODE3.")


@pytest.mark.parametrize("name", ["", "NODE1", "node1", "SIXTEENCHARACTER", "a b", "no.dots", "tüv"])
def test_a_node_name_is_a_netbios_name_of_its_own(cluster: Cluster, name: str) -> None:
    with refused("name"):
        topology.add_node(name, by=BY)


def test_a_node_that_alone_may_run_a_group_is_not_evicted(evs1: Group, nodes: list[Node]) -> None:
    """An empty list of possible owners means all nodes: a restriction would turn into its opposite."""
    first, second = (node.pk for node in nodes)
    one = app(evs1, "A", possible_owners=[second])
    with pytest.raises(Refused, match="Only NODE2 may run EVS1"):
        intents.submit("evict", by=BY, node=second)
    topology.set_possible_owners(one.pk, [first, second], by=BY)
    other = app(evs1, "B", possible_owners=[second, topology.add_node("NODE3", by=BY).pk])
    with pytest.raises(Refused, match="Only NODE2 may run EVS1"):
        intents.submit("evict", by=BY, node=second)
    topology.set_possible_owners(other.pk, [], by=BY)
    intents.submit("evict", by=BY, node=second)
    assert [node.pk for node in one.possible_owners.all()] == [first]


def test_a_node_cannot_take_the_network_name_of_a_virtual_server(evs1: Group) -> None:
    address(evs1, "127.1.0.1")
    network_name(evs1, "MAIL")
    with refused("name", "network name of EVS1 Name"):
        topology.add_node("mail", by=BY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("heartbeat_interval_ms", 10),
        ("lease_ms", 999),
        ("margin_ms", -1),
        ("max_storage_groups_per_node", 0),
    ],
)
def test_cluster_settings_keep_to_their_bounds(cluster: Cluster, field: str, value: int) -> None:
    with refused(field):
        topology.edit_cluster({field: value}, by=BY)


def test_a_change_of_the_lease_is_told(cluster: Cluster) -> None:
    topology.edit_cluster({"lease_ms": 5000}, by=BY)
    event = Event.objects.first()
    assert event is not None
    assert event.text == "alice changed the cluster: lease_ms from 3000 to 5000."
    assert Cluster.objects.get().lease_ms == 5000


def test_types_keep_what_an_administrator_set(cluster: Cluster) -> None:
    disk = ResourceType.objects.get(name="Physical Disk")
    topology.edit_type(disk.pk, {"is_alive_ms": 1234}, by=BY)
    ResourceType.objects.filter(pk=disk.pk).update(dll_name="somewhere else")
    assert topology.sync_types() == []
    disk.refresh_from_db()
    assert disk.is_alive_ms == 1234
    assert disk.dll_name.startswith("monitoring.resource_dlls.physical_disk")


@pytest.mark.parametrize("value", [0, -1])
def test_the_polls_of_a_type_are_never_zero(cluster: Cluster, value: int) -> None:
    disk = ResourceType.objects.get(name="Physical Disk")
    with refused("is_alive_ms"):
        topology.edit_type(disk.pk, {"is_alive_ms": value}, by=BY)


def test_a_change_of_a_type_reaches_the_groups_that_use_it(evs1: Group, evs2: Group) -> None:
    app(evs1, "A")
    kind = ResourceType.objects.get(name="Generic Application")
    with cluster_lock() as held:
        topology.edit_type(kind.pk, {"is_alive_ms": 1000}, by=BY)
        assert held.dirty == {evs1.pk}
