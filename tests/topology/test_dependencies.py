"""Dependencies stay within a group, without circles, and are written as the field writes them."""

from __future__ import annotations

import pytest

from monitoring.core.states import ResourceState
from monitoring.models import Dependency, Event, Group, Resource
from monitoring.service import topology
from monitoring.service.topology.dependencies import MAX_DEPTH
from tests.topology.build import BY, address, app, network_name, refused, set_state

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(evs1: Group) -> list[Resource]:
    return [app(evs1, name) for name in "ABC"]


def test_an_expression_of_alternatives_is_kept_clause_by_clause(three: list[Resource]) -> None:
    a, b, c = (resource.pk for resource in three)
    d = app(three[0].group, "D")
    topology.set_dependencies(d.pk, [[a], [b, c]], by=BY)
    rows = list(Dependency.objects.filter(resource=d).values_list("provider_id", "clause"))
    assert rows == [(a, 0), (b, 1), (c, 1)]
    event = Event.objects.first()
    assert event is not None
    assert event.text == "alice changed what D depends on from nothing to ([A]) and ([B] or [C])."


def test_a_dependency_on_another_group_is_refused(evs1: Group, evs2: Group) -> None:
    a, b = app(evs1, "A"), app(evs2, "B")
    with refused("provider", "B is in the group EVS2"):
        topology.add_dependency(a.pk, b.pk, by=BY)
    with refused("requires", "within one group"):
        topology.set_dependencies(a.pk, [[b.pk]], by=BY)


def test_a_dependency_on_itself_is_refused(three: list[Resource]) -> None:
    with refused("provider", "cannot depend on itself"):
        topology.add_dependency(three[0].pk, three[0].pk, by=BY)


def test_a_circle_is_refused_and_named(three: list[Resource]) -> None:
    a, b, c = three
    topology.add_dependency(a.pk, b.pk, by=BY)
    topology.add_dependency(b.pk, c.pk, by=BY)
    with refused(
        "provider", r"A circle: (A needs B needs C needs A|B needs C needs A needs B|C needs A needs B)"
    ):
        topology.add_dependency(c.pk, a.pk, by=BY)


def test_a_circle_through_an_alternative_is_refused_too(three: list[Resource]) -> None:
    a, b, c = three
    topology.set_dependencies(a.pk, [[b.pk, c.pk]], by=BY)
    with refused("requires", "circle"):
        topology.set_dependencies(c.pk, [[a.pk]], by=BY)


def test_there_is_one_relation_between_two_resources(three: list[Resource]) -> None:
    a, b, c = three
    topology.add_dependency(a.pk, b.pk, by=BY)
    with refused("provider", "exists already"):
        topology.add_dependency(a.pk, b.pk, by=BY)
    with refused("requires", "twice"):
        topology.set_dependencies(a.pk, [[b.pk], [c.pk, b.pk]], by=BY)


def test_a_set_of_alternatives_is_not_empty(three: list[Resource]) -> None:
    with refused("requires", "empty"):
        topology.set_dependencies(three[0].pk, [[]], by=BY)


def test_alternatives_are_added_and_taken_away(three: list[Resource]) -> None:
    a, b, c = three
    topology.add_dependency(a.pk, b.pk, by=BY)
    topology.add_dependency(a.pk, c.pk, or_with=b.pk, by=BY)
    assert Dependency.objects.filter(resource=a, clause=0).count() == 2
    topology.remove_dependency(a.pk, b.pk, by=BY)
    topology.remove_dependency(a.pk, c.pk, by=BY)
    assert not Dependency.objects.exists()
    with refused("provider", "does not depend"):
        topology.remove_dependency(a.pk, b.pk, by=BY)


def test_a_chain_has_a_limit(evs1: Group) -> None:
    last = app(evs1, "R0")
    for number in range(1, MAX_DEPTH + 1):
        last = app(evs1, f"R{number}", requires=[[last.pk]])
    with refused("requires", "more than 100"):
        app(evs1, "one too many", requires=[[last.pk]])
    assert not Resource.objects.filter(name="one too many").exists()


def test_an_online_resource_gets_no_new_dependency_but_may_lose_one(three: list[Resource]) -> None:
    a, b, c = three
    topology.set_dependencies(a.pk, [[b.pk], [c.pk]], by=BY)
    set_state(a, ResourceState.ONLINE, running=True)
    topology.set_dependencies(a.pk, [[b.pk]], by=BY)
    with refused("requires", "A is Online"):
        topology.set_dependencies(a.pk, [[b.pk], [c.pk]], by=BY)
    with refused("requires", "A is Online"):
        topology.set_dependencies(a.pk, [[b.pk, c.pk]], by=BY)


def test_a_required_dependency_is_not_taken_away(evs1: Group) -> None:
    address(evs1, "127.1.0.1")
    name = network_name(evs1, "MAIL")
    with refused("requires", "must depend on: IP Address"):
        topology.set_dependencies(name.pk, [], by=BY)


def test_one_address_may_stand_in_for_another(evs1: Group) -> None:
    one, two = address(evs1, "127.1.0.1", "one"), address(evs1, "127.1.0.2", "two")
    name = network_name(evs1, "MAIL")
    topology.set_dependencies(name.pk, [[one.pk, two.pk]], by=BY)
    assert Dependency.objects.filter(resource=name, clause=0).count() == 2


def test_a_dependency_on_nothing_that_exists_is_refused(three: list[Resource]) -> None:
    with refused("provider", "does not exist"):
        topology.add_dependency(three[0].pk, 9999, by=BY)
