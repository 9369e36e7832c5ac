"""Groups and resources are added, changed and deleted from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.models import Dependency, Event, Group, Resource
from tests.management.conftest import Run

pytestmark = pytest.mark.django_db

APPLICATION = (
    *("--group", "WEB", "--type", "Generic Application"),
    *("--set", "CommandLine=sleep 1000", "--set", "CurrentDirectory=/"),
)


@pytest.fixture(autouse=True)
def web(run: Run) -> Group:
    answer = run("add-group", "WEB", "--setting", "FailoverThreshold=3", "--prefer", "NODE2", "NODE1")
    assert (answer.code, answer.out.strip()) == (0, "WEB was added."), answer.err
    for name in ("A", "B", "C"):
        assert run("add-resource", name, *APPLICATION).code == 0
    return Group.objects.get(name="WEB")


def needs(name: str) -> list[tuple[str, int]]:
    rows = Dependency.objects.filter(resource__name=name).order_by("clause", "provider__name")
    return [(row.provider.name, row.clause) for row in rows]


def test_a_group_is_made_with_its_settings_and_preferred_owners(web: Group) -> None:
    assert web.failover_threshold == 3
    assert [row.node.name for row in web.preferences.all()] == ["NODE2", "NODE1"]


def test_what_a_resource_needs_is_an_and_of_ors(run: Run) -> None:
    answer = run("add-resource", "D", *APPLICATION, "--needs", "A", "--needs", "B", "C", "--owners", "NODE1")
    assert answer.code == 0, answer.err
    assert needs("D") == [("A", 0), ("B", 1), ("C", 1)]
    assert [node.name for node in Resource.objects.get(name="D").possible_owners.all()] == ["NODE1"]
    assert run("change-resource", "D", "--needs", "--owners").code == 0
    assert needs("D") == []
    assert not Resource.objects.get(name="D").possible_owners.exists()


def test_a_change_leaves_what_it_does_not_name(run: Run) -> None:
    answer = run(
        *("change-resource", "B", "--rename", "B2", "--setting", "RestartThreshold=9"),
        *("--setting", "SeparateMonitor=yes", "--set", "UseNetworkName=no", "--reason", "tests"),
    )
    assert (answer.code, answer.out.strip()) == (0, "B2 was changed."), answer.err
    row = Resource.objects.get(name="B2")
    assert (row.restart_threshold, row.separate_monitor) == (9, True)
    assert row.properties["CommandLine"] == "sleep 1000"
    assert "Reason: tests" in Event.objects.order_by("seq").last().text  # type: ignore[union-attr]
    assert run("change-group", "WEB", "--rename", "WEB2").code == 0
    assert Group.objects.get().preferences.count() == 2


def test_a_secret_comes_from_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "command").write_text("sleep 77\n")
    assert run("change-resource", "A", "--set-from", f"CommandLine={tmp_path / 'command'}").code == 0
    assert Resource.objects.get(name="A").properties["CommandLine"] == "sleep 77"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("change-resource", "A", "--set", "Port=1"), "properties.Port"),
        (("change-resource", "A", "--setting", "RestartThreshold=many"), "restart_threshold"),
        (("change-resource", "A", "--set-from", "CommandLine=/nowhere"), "file"),
        (("change-resource", "A", "--needs", "Z"), "requires"),
        (("change-resource", "Z"), "resource"),
        (("change-group", "WEB", "--prefer", "NODE9"), "preferred_owners"),
        (("add-group", "web"), "name"),
        (("delete-group", "WEB"), "group"),
    ],
)
def test_bad_input_names_its_field_and_ends_with_2(run: Run, command: tuple[str, ...], named: str) -> None:
    before = Event.objects.count()
    answer = run(*command)
    assert answer.code == 2
    assert answer.err.startswith(f"{named}: "), answer.err
    assert Event.objects.count() == before


def test_a_group_goes_with_all_that_it_holds_where_that_is_said(run: Run) -> None:
    assert run("delete-resource", "C").code == 0
    assert run("delete-group", "WEB", "--with-resources").code == 0
    assert not Group.objects.exists() and not Resource.objects.exists()


def test_a_group_from_a_template_is_told_before_it_is_made(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    words = [
        *("add-group", "CACHE", "--template", "redis"),
        *("--set", "ip.Address=127.0.9.2", "--set", "ip.SubnetMask=8", "--set", f"disk.Path={tmp_path}"),
        *("--set-from", f"server.Password={secret}"),
    ]
    told = run(*words, "--dry-run")
    assert told.code == 0, told.err
    assert "CACHE Redis (Redis Server), after CACHE Disk, CACHE IP Address" in told.out
    assert "Password = True" in told.out and "correct horse" not in told.out
    assert not Group.objects.filter(name="CACHE").exists()
    assert run(*words).code == 0
    assert Resource.objects.get(name="CACHE Redis").properties["Password"] == "correct horse"
    refused = run("add-group", "NEXT", *words[2:], "--dry-run")
    assert refused.code == 2 and "belongs to CACHE Disk" in refused.err
