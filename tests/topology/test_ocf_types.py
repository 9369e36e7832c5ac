"""OCF agents as types of the cluster: they are known, checked across resources, refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from monitoring.models import Cluster, Event, Group, ResourceType
from monitoring.resource_dlls import registry
from monitoring.service import topology
from tests.resource_dlls.ocf_agents import actions, use_root, write_agent
from tests.topology.build import BY


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "ocf"
    write_agent(root, "Checked")
    promotable = actions() + '<action name="promote"/><action name="demote"/>'
    write_agent(root, "Promoted", offered=promotable)
    use_root(monkeypatch, root, tmp_path / "cache")
    yield root
    monkeypatch.undo()
    registry.refresh()


def create(group: Group, name: str, type_name: str = "ocf:test:Checked", **properties: object) -> None:
    topology.create_resource(group.pk, type_name, {"name": name}, properties=properties, by=BY)


def test_each_agent_is_a_type_with_the_times_that_it_recommends(cluster: Cluster) -> None:
    type_ = ResourceType.objects.get(name="ocf:test:Checked")
    assert (type_.looks_alive_ms, type_.pending_timeout_ms) == (10_000, 20_000)
    assert type_.description == "Test resource."


def test_many_new_types_are_one_line_of_the_history(cluster: Cluster, agents: Path) -> None:
    for number in range(30):
        write_agent(agents, f"Agent{number:02}")
    registry.refresh()
    before = Event.objects.count()
    assert len(topology.sync_types()) == 30
    (event,) = Event.objects.order_by("seq")[before:]
    assert "added the resource types ocf:test:Agent00, " in event.text
    assert event.text.endswith("and 10 more.")
    assert topology.sync_types() == []


def test_a_unique_parameter_of_two_resources_is_refused_beside_its_field(evs1: Group, evs2: Group) -> None:
    create(evs1, "first", folder="/srv/a")
    with pytest.raises(ValidationError) as refused:
        create(evs2, "second", folder="/srv/a")
    assert refused.value.message_dict == {
        "properties.folder": ["/srv/a belongs to first in the group EVS1 already."]
    }
    create(evs2, "second", folder="/srv/b")


def test_a_required_parameter_is_asked_for_beside_its_field(evs1: Group) -> None:
    with pytest.raises(ValidationError) as refused:
        create(evs1, "first")
    assert refused.value.message_dict == {"properties.folder": ["A value is required."]}


def test_a_type_that_cannot_be_used_is_refused_with_the_reason(evs1: Group) -> None:
    with pytest.raises(ValidationError) as refused:
        create(evs1, "first", "ocf:test:Promoted", folder="/srv/a")
    (text,) = refused.value.message_dict["type"]
    assert text.startswith("ocf:test:Promoted cannot be used. It does its work only where")
