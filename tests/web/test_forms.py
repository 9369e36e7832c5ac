"""The forms of the topology: what is typed is kept, what is wrong is said beside its field."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse

from monitoring.models import Dependency, Event, Group, Resource
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Property
from monitoring.service import topology
from monitoring.web.fields import PropertyField, read_duration, write_duration
from tests.web import seed
from tests.web.conftest import Browser

GROUP = {
    "name": "EVS1",
    "priority": "2000",
    "failover_threshold.use": "word",
    "failover_period_hours": "6",
    "failback_window_start": "-1",
    "failback_window_end": "-1",
    "reason": "",
}
RESOURCE = {
    "name": "EVS1 IP Address",
    "properties.Address": "127.0.1.1",
    "properties.SubnetMask": "255.0.0.0",
    "restart_action": "2",
    "restart_threshold": "3",
    "restart_period_ms": "15 min",
    "restart_delay_ms": "500 ms",
    "retry_period_ms.use": "own",
    "retry_period_ms": "1 h",
    "looks_alive_ms.use": "word",
    "is_alive_ms.use": "word",
    "pending_timeout_ms.use": "word",
    "deadlock_timeout_ms.use": "word",
}


@pytest.fixture(autouse=True)
def types(seeded: seed.Seeded) -> None:
    """The installed resource types, as they are after every migration."""
    topology.sync_types()


def _beside(response: HttpResponseBase, field: str) -> str:
    """The HTML of one field, with its errors."""
    assert response.status_code == 422 and isinstance(response, HttpResponse)
    return response.content.decode().split(f'id="field-{field}"', 1)[1].split('class="field', 1)[0]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("500", 500),
        ("500 ms", 500),
        ("5s", 5000),
        ("15 min", 900_000),
        ("1 h 30 min", 5_400_000),
        ("0.5 s", 500),
    ],
)
def test_times_are_read_with_their_unit(text: str, ms: int) -> None:
    assert read_duration(text) == ms
    assert read_duration(write_duration(ms)) == ms


@pytest.mark.parametrize("text", ["soon", "5 fortnights", "", "-5 s", "0.0001 s", "5 s!"])
def test_what_is_no_time_is_refused_with_an_example_or_the_units(text: str) -> None:
    with pytest.raises(ValidationError):
        read_duration(text)


def test_a_group_is_edited_and_the_history_says_by_whom(seeded: seed.Seeded, browser: Browser) -> None:
    group = seeded.groups["EVS1"]
    sent = GROUP | {"failover_threshold.use": "own", "failover_threshold": "5", "reason": "too nervous"}
    response = browser("administrator").post(reverse("group_settings", args=[group.pk]), sent)
    assert response.status_code == 302
    group.refresh_from_db()
    assert group.failover_threshold == 5
    newest = Event.objects.latest("seq")
    assert newest.requested_by == "administrator" and "FailoverThreshold" in newest.text


def test_a_special_number_is_offered_in_words_and_taken_back(seeded: seed.Seeded, browser: Browser) -> None:
    group = seeded.groups["EVS1"]
    page = browser("administrator").get(reverse("group_settings", args=[group.pk])).content.decode()
    assert "One less than there are nodes" in page and "4294967295" not in page
    Group.objects.filter(pk=group.pk).update(failover_threshold=3)
    browser("administrator").post(reverse("group_settings", args=[group.pk]), GROUP)
    group.refresh_from_db()
    assert group.failover_threshold == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("failover_period_hours", "2000", "2000 is not within 0 to 1193."),
        ("failover_period_hours", "six", "Enter a whole number."),
        ("name", "FILES", "exists already"),
        ("name", "", "This field is required."),
    ],
)
def test_a_wrong_property_of_a_group_is_said_beside_it_and_kept(
    seeded: seed.Seeded, browser: Browser, field: str, value: str, said: str
) -> None:
    group = seeded.groups["EVS1"]
    sent = GROUP | {field: value, "description": "what I typed"}
    response = browser("administrator").post(reverse("group_settings", args=[group.pk]), sent)
    place = _beside(response, field)
    assert said in place and (not value or f'value="{value}"' in place)
    assert "what I typed" in response.content.decode()
    group.refresh_from_db()
    assert group.name == "EVS1"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("properties.Address", "300.1.1.1", "not an IP address"),
        ("properties.Address", "127.0.1.2", "belongs to EVS2 IP Address"),
        ("properties.SubnetMask", "255.255.255.255", "not allowed as a subnet mask"),
        ("restart_period_ms", "soon", "is no length of time"),
        ("looks_alive_ms", "1 ms", "1 ms is too short: at least 10 ms."),
        ("retry_period_ms", "1 min", "RestartPeriod"),
    ],
)
def test_a_wrong_property_of_a_resource_is_said_beside_it_and_kept(
    seeded: seed.Seeded, browser: Browser, field: str, value: str, said: str
) -> None:
    resource = seeded.resources["EVS1 IP Address"]
    sent = RESOURCE | {field: value, f"{field}.use": "own"}
    response = browser("administrator").post(reverse("resource_settings", args=[resource.pk]), sent)
    place = _beside(response, field)
    assert said in place and f'value="{value}"' in place


def test_the_types_value_is_shown_with_what_it_is(seeded: seed.Seeded, browser: Browser) -> None:
    resource = seeded.resources["EVS1 IP Address"]
    text = browser("administrator").get(reverse("resource_settings", args=[resource.pk])).content.decode()
    assert "The type&#x27;s: " in text and "4294967295" not in text
    assert 'value="15 min"' in text and 'value="1 h"' in text


def test_a_secret_is_not_shown_and_stays_where_it_is_left_empty() -> None:
    prop = Property("Password", secret=True, required=True)
    kept = PropertyField(prop, creating=False)
    assert kept.clean("") is None
    assert "hunter2" not in kept.widget.render("properties.Password", "hunter2")
    with pytest.raises(ValidationError):
        PropertyField(prop, creating=True).clean("")


def test_preferred_owners_are_ordered_step_by_step_and_saved_at_the_end(
    seeded: seed.Seeded, browser: Browser
) -> None:
    group, client = seeded.groups["EVS1"], browser("administrator")
    address = reverse("group_owners", args=[group.pk])
    one, two = seeded.nodes["NODE1"].pk, seeded.nodes["NODE2"].pk
    step = client.post(address, {"owner": [one, two], "step": f"up:{two}"}, headers={"HX-Request": "true"})
    text = step.content.decode()
    assert text.index(f'name="owner" value="{two}"') < text.index(f'name="owner" value="{one}"')
    assert [p.node_id for p in group.preferences.all()] == [one, two]  # nothing was saved yet
    client.post(address, {"owner": [two, one]})
    assert [p.node_id for p in group.preferences.all()] == [two, one]
    removed = client.post(address, {"owner": [two, one], "step": f"remove:{one}"})
    assert f'name="owner" value="{one}"' not in removed.content.decode()
    assert f'value="add:{one}"' in removed.content.decode()


def test_dependencies_are_added_as_alternatives_and_removed(seeded: seed.Seeded, browser: Browser) -> None:
    index, report = seeded.resources["FILES Index"], seeded.resources["FILES Report"]
    disk = seeded.resources["FILES Disk"]
    client, address = browser("administrator"), reverse("resource_dependencies", args=[report.pk])
    client.post(address, {"provider": index.pk, "or_with": disk.pk})
    clauses = Dependency.objects.filter(resource=report).values_list("provider", "clause")
    assert len(clauses) == 2 and len({clause for _, clause in clauses}) == 1
    client.post(address, {"remove": disk.pk})
    assert [d.provider for d in Dependency.objects.filter(resource=report)] == [index]


def test_a_dependency_that_would_close_a_circle_is_refused_in_words(
    seeded: seed.Seeded, browser: Browser
) -> None:
    share, index = seeded.resources["FILES Share"], seeded.resources["FILES Index"]
    address = reverse("resource_dependencies", args=[share.pk])
    response = browser("administrator").post(address, {"provider": index.pk}, follow=True)
    assert "A circle" in response.content.decode()
    assert not Dependency.objects.filter(resource=share, provider=index).exists()


def test_a_resource_without_any_possible_owner_is_refused(seeded: seed.Seeded, browser: Browser) -> None:
    resource = seeded.resources["FILES Report"]
    address = reverse("resource_owners", args=[resource.pk])
    response = browser("administrator").post(address, {}, follow=True)
    assert "Tick at least one node" in response.content.decode()
    client, node = browser("administrator"), seeded.nodes["NODE2"].pk
    client.post(address, {"owner": [node]})
    assert [n.pk for n in resource.possible_owners.all()] == [node]
    client.post(address, {"owner": [n.pk for n in seeded.nodes.values()]})
    assert not resource.possible_owners.exists()  # all nodes, later ones too


def test_a_resource_is_created_from_its_types_own_form(seeded: seed.Seeded, browser: Browser) -> None:
    group, client = seeded.groups["FILES"], browser("administrator")
    choice = client.get(reverse("resource_create", args=[group.pk])).content.decode()
    assert "?type=IP%20Address" in choice
    address = reverse("resource_create", args=[group.pk]) + "?type=IP+Address"
    sent = RESOURCE | {"name": "FILES IP", "properties.Address": "not one"}
    assert "not an IP address" in _beside(client.post(address, sent), "properties.Address")
    disk = seeded.resources["FILES Disk"].pk
    response = client.post(address, sent | {"properties.Address": "127.0.1.77", "requires": [disk]})
    assert response.status_code == 302
    made = Resource.objects.get(name="FILES IP")
    assert made.properties["Address"] == "127.0.1.77"
    assert [d.provider_id for d in made.dependencies.all()] == [disk]


def test_deleting_what_others_need_is_refused_in_words(seeded: seed.Seeded, browser: Browser) -> None:
    disk = seeded.resources["FILES Disk"]
    Resource.objects.filter(pk=disk.pk).update(state=3, running=False)
    response = browser("administrator").post(reverse("resource_delete", args=[disk.pk]), follow=True)
    assert "depends on FILES Disk" in response.content.decode()
    assert Resource.objects.filter(pk=disk.pk).exists()


def test_a_group_is_created_and_deleted(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("administrator")
    assert "exists already" in _beside(client.post(reverse("group_empty"), {"name": "evs1"}), "name")
    client.post(reverse("group_empty"), {"name": "BATCH"})
    group = Group.objects.get(name="BATCH")
    client.post(reverse("group_delete", args=[group.pk]))
    assert not Group.objects.filter(name="BATCH").exists()


def test_every_type_has_its_icon_among_the_vendored_ones() -> None:
    sprite = (settings.BASE_DIR / "static/vendor/lucide/icons.svg").read_text()
    assert [dll.icon for dll in registry.all_types().values() if f'id="{dll.icon}"' not in sprite] == []
