"""A System Attendant brings the Exchange tree of its group, and takes it along (semantics 6)."""

from __future__ import annotations

import pytest

from monitoring.core.states import ResourceState
from monitoring.models import Cluster, Dependency, Event, Group, Resource
from monitoring.service import topology
from tests.topology.build import BY, address, disk, network_name, refused, set_state

pytestmark = pytest.mark.django_db

STORE = "Exchange Information Store"
ATTENDANT = "Exchange System Attendant"
MTA = "Exchange Message Transfer Agent"
PROTOCOLS = {
    "Exchange SMTP Virtual Server",
    "Exchange HTTP Virtual Server",
    "Exchange POP3 Virtual Server",
    "Exchange IMAP4 Virtual Server",
}


def attendant(group: Group, **properties: object) -> Resource:
    return topology.create_resource(
        group.pk, ATTENDANT, {"name": f"{group} System Attendant"}, properties=properties, by=BY
    )


def server(group: Group, last: int, **properties: object) -> Resource:
    """A whole virtual server; its System Attendant."""
    address(group, f"127.1.0.{last}")
    network_name(group, group.name)
    disk(group, f"/shared/{group}")
    return attendant(group, **properties)


def providers(type_name: str, group: Group) -> set[str]:
    rows = Dependency.objects.filter(resource__type__name=type_name, resource__group=group)
    return set(rows.values_list("provider__type__name", flat=True))


def types(group: Group) -> set[str]:
    return set(group.resources.values_list("type__name", flat=True))


def test_it_needs_address_name_and_disk_first(evs1: Group) -> None:
    for make in (
        lambda: address(evs1, "127.1.0.1"),
        lambda: network_name(evs1, "EVS1"),
        lambda: disk(evs1, "/shared/EVS1"),
    ):
        with refused("type", "Create it first"):
            attendant(evs1)
        make()
    attendant(evs1)


def test_it_brings_the_tree_of_exchange_2000(evs1: Group) -> None:
    server(evs1, 1)
    assert PROTOCOLS | {STORE, MTA} < types(evs1)
    assert providers(ATTENDANT, evs1) == {"Network Name", "Physical Disk"}
    assert providers(STORE, evs1) == {ATTENDANT}
    assert providers(MTA, evs1) == {ATTENDANT}
    for protocol in PROTOCOLS:
        assert providers(protocol, evs1) == {STORE}
    made = evs1.resources.filter(created_by__type__name=ATTENDANT)
    assert all(name.startswith("EVS1 ") for name in made.values_list("name", flat=True))


def test_the_tree_of_exchange_2003_can_be_chosen(evs1: Group) -> None:
    server(evs1, 1, Tree="2003")
    assert providers("Exchange SMTP Virtual Server", evs1) == {ATTENDANT}
    assert "Exchange POP3 Virtual Server" not in types(evs1)


def test_every_resource_that_it_brings_is_told(evs1: Group) -> None:
    server(evs1, 1)
    told = Event.objects.filter(text__startswith="alice created").exclude(resource=None)
    assert told.count() == evs1.resources.count()


def test_one_message_transfer_agent_serves_the_cluster(evs1: Group, evs2: Group) -> None:
    server(evs1, 1)
    second = server(evs2, 2)
    assert MTA in types(evs1)
    assert MTA not in types(evs2)
    with refused("type", "There can be one"):
        topology.create_resource(evs2.pk, MTA, {"name": "another"}, requires=[[second.pk]], by=BY)


def test_one_group_holds_one_virtual_server(evs1: Group) -> None:
    server(evs1, 1)
    with refused("type", "There can be one"):
        topology.create_resource(evs1.pk, ATTENDANT, {"name": "second"}, by=BY)


def test_deleting_it_deletes_what_it_made_and_no_more(evs1: Group) -> None:
    topology.delete_resource(server(evs1, 1).pk, by=BY)
    assert types(evs1) == {"IP Address", "Network Name", "Physical Disk"}
    assert not Dependency.objects.filter(resource__type__name=STORE).exists()


def test_nothing_is_deleted_while_one_of_them_is_online(evs1: Group) -> None:
    made = server(evs1, 1)
    before = evs1.resources.count()
    set_state(evs1.resources.get(type__name=STORE), ResourceState.ONLINE, running=True)
    with refused("resource", "is Online"):
        topology.delete_resource(made.pk, by=BY)
    assert evs1.resources.count() == before


def test_what_others_built_on_it_stands_in_the_way(evs1: Group) -> None:
    made = server(evs1, 1)
    store = evs1.resources.get(type__name=STORE)
    properties = {"CommandLine": "true", "CurrentDirectory": "/"}
    topology.create_resource(
        evs1.pk,
        "Generic Application",
        {"name": "Scanner"},
        properties=properties,
        requires=[[store.pk]],
        by=BY,
    )
    with refused("resource", "Scanner depends on"):
        topology.delete_resource(made.pk, by=BY)


def test_a_store_has_no_more_storage_groups_than_a_node_may_hold(evs1: Group) -> None:
    server(evs1, 1)
    store = evs1.resources.get(type__name=STORE)
    topology.edit_resource(store.pk, {}, properties={"StorageGroups": 4}, by=BY)
    with refused("properties.StorageGroups", "at most"):
        topology.edit_resource(store.pk, {}, properties={"StorageGroups": 5}, by=BY)
    with refused("max_storage_groups_per_node"):
        topology.edit_cluster({"max_storage_groups_per_node": 3}, by=BY)


def test_on_more_than_two_nodes_one_stays_free(evs1: Group, evs2: Group, cluster: Cluster) -> None:
    server(evs1, 1)
    server(evs2, 2)
    topology.add_node("NODE3", by=BY)
    evs3 = topology.create_group({"name": "EVS3"}, by=BY)
    with refused("type", "at most 2"):
        server(evs3, 3)


def test_the_programs_behind_a_virtual_server_can_be_chosen(evs1: Group) -> None:
    files = {"CertificateFile": "/srv/mail.crt", "KeyFile": "/srv/mail.key"}
    server(evs1, 1, Servers="Postfix, Dovecot and nginx", **files)
    store = "Exchange Information Store (Dovecot)"
    protocols = {
        "Exchange SMTP Virtual Server (Postfix)",
        "Exchange IMAP4 Virtual Server (Dovecot)",
        "Exchange POP3 Virtual Server (Dovecot)",
        "Exchange HTTP Virtual Server (nginx)",
    }
    assert types(evs1) == {"IP Address", "Network Name", "Physical Disk", ATTENDANT, store} | protocols
    assert providers(store, evs1) == {ATTENDANT}
    for protocol in protocols:
        assert providers(protocol, evs1) == {store}
        made = evs1.resources.get(type__name=protocol)
        assert made.properties.items() >= files.items()
    assert evs1.resources.get(type__name=store).properties["MailboxPassword"]


def test_a_choice_that_the_programs_behind_it_do_not_offer_is_refused(evs1: Group) -> None:
    with refused("properties.Tree", "tree of 2000 only"):
        server(evs1, 1, Servers="Postfix, Dovecot and nginx", Tree="2003")
    with refused("properties.CertificateFile", "encrypt nothing"):
        attendant(evs1, CertificateFile="/srv/mail.crt")
