"""The command line shows what the API says, names what it does not know, and tells by exit code."""

from __future__ import annotations

import pytest

from monitoring.core.states import ResourceState
from monitoring.models import FailoverRecord, Group, Node, ResourceOutput
from monitoring.service import clock
from tests.management.conftest import Run
from tests.topology.build import app, set_state

pytestmark = pytest.mark.django_db


def test_status_shows_nodes_and_groups_at_a_glance(run: Run, evs1: Group) -> None:
    set_state(app(evs1, "Queue"), ResourceState.ONLINE)
    answer = run("status")
    assert answer.code == 0
    head, _, *rest = answer.out.splitlines()
    assert head == "CLUSTER: 0 of 2 nodes up, 0 of 1 groups online"
    assert rest[0].split() == ["NODE", "STATE", "FOR", "GROUPS", "DESCRIPTION"]
    assert any(line.startswith("EVS1   Offline") and "1 of 1 online" in line for line in rest)


def test_json_is_what_the_api_says(run: Run, evs1: Group) -> None:
    app(evs1, "Queue")
    found = run("status", "--json").json
    assert [node["name"] for node in found["nodes"]] == ["NODE1", "NODE2"]
    assert found["groups"][0]["state"] == "Offline"
    assert run("resources", "--json", "--group", "EVS1").json[0]["type"] == "Generic Application"


def test_listings_are_filtered(run: Run, evs1: Group, evs2: Group) -> None:
    Group.objects.filter(pk=evs2.pk).update(last_state=0, owner=Node.objects.get(name="NODE2"))
    assert [group["name"] for group in run("groups", "--state", "online", "--json").json] == ["EVS2"]
    assert [group["name"] for group in run("groups", "--node", "node2", "--json").json] == ["EVS2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["offline", "EVS9"], "group: There is no group named 'EVS9'. Did you mean EVS1?"),
        (["move", "EVS1", "NODE"], "node: There is no node named 'NODE'. Did you mean NODE2 or NODE1?"),
        (["pause", "NODE7"], "node: There is no node named 'NODE7'. Did you mean NODE2 or NODE1?"),
        (["resource", "fail", "SMPT"], "resource: There is no resource named 'SMPT'. Did you mean SMTP?"),
        (["groups", "--state", "up"], "state: There is no state named 'up'."),
        (["history", "--kind", "fax"], "kind: There is no kind named 'fax'."),
    ],
)
def test_what_does_not_exist_is_bad_input_and_named(
    run: Run, evs1: Group, words: list[str], message: str
) -> None:
    app(evs1, "SMTP")
    answer = run(*words)
    assert answer.code == 2
    assert answer.err.startswith(message)


def test_the_slowest_probes_are_listed_first(run: Run, evs1: Group) -> None:
    for name, p99 in (("Queue", 30.0), ("Store", 4800.0)):
        row = app(evs1, name)
        times = {"at": 0.0, "calls": 150, "last_ms": 7.25, "p50_ms": 4.0, "p99_ms": p99, "slowest_ms": p99}
        row.newest_times = {"IsAlive": times}
        row.save()
    answer = run("probes", "--group", "EVS1")
    head, first, second = answer.out.splitlines()
    assert head.split()[:3] == ["RESOURCE", "TYPE", "CALL"]
    assert first.split()[0] == "Store"
    assert "IsAlive  7.25 ms  4 ms  4.8 s" in first
    assert "30 ms" in second
    assert run("probes", "--json").json[0]["probe"]["p99_ms"] == 4800.0


def test_history_ends_with_the_newest(run: Run, evs1: Group) -> None:
    for number, kind in enumerate(("move", "failover")):
        FailoverRecord.objects.create(
            group=evs1,
            group_name="EVS1",
            kind=kind,
            source="NODE1",
            target="NODE2",
            cause=f"cause {number}",
            started=1000.0 + number,
            finished=1002.5 + number,
            state="done",
        )
    lines = run("history", "--group", "evs1").out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["0", "1"]
    assert "NODE1 > NODE2  2.5 s  done" in lines[2]
    assert [row["kind"] for row in run("history", "--kind", "move", "--json").json] == ["move"]
    assert [row["cause"] for row in run("history", "--limit", "1", "--json").json] == ["cause 1"]


def test_history_of_events_tells_who_did_what(run: Run, evs1: Group) -> None:
    assert run("history", "--events", "--limit", "1").out.rstrip().endswith("alice created the group EVS1.")


def test_a_node_is_added_with_the_key_that_its_agent_needs(run: Run) -> None:
    added = run("add-node", "NODE3")
    assert added.out.strip() == Node.objects.get(name="NODE3").key == run("node-key", "node3").out.strip()
    again = run("add-node", "node3")
    assert (again.code, again.err.strip()) == (2, "name: A node named NODE3 exists already.")


def test_an_empty_database_is_one_clear_line(run: Run, cluster: object) -> None:
    from monitoring.models import Cluster

    Cluster.objects.all().delete()
    answer = run("status")
    assert (answer.code, answer.err.strip()) == (1, "There is no cluster in this database yet.")


def test_output_is_printed_as_it_is_and_what_is_known_of_it_beside(run: Run, evs1: Group) -> None:
    resource = app(evs1, "Queue")
    ResourceOutput.objects.create(
        resource=resource, node_name="NODE1", read_at=clock.now(), written_at=clock.now(), text="ready\n"
    )
    answer = run("output", "queue", "--timeout", "0")
    assert (answer.code, answer.out) == (0, "ready\n")
    assert "Read on NODE1" in answer.err
    assert run("output", "Queue", "--timeout", "0", "--json").json["text"] == "ready\n"


def test_a_failover_is_told_whole_and_notes_are_written_on_it(run: Run, evs1: Group) -> None:
    now = clock.now()
    record = FailoverRecord.objects.create(
        group=evs1,
        group_name="EVS1",
        kind="move",
        source="NODE1",
        target="NODE2",
        cause="asked for by alice",
        requested_by="alice",
        started=now - 10,
        stopped=now - 9,
        finished=now - 7,
        state="done",
        outcome="EVS1 is online on NODE2 after 3.0 s.",
        down_since=now - 10,
        up_at=now - 7,
    )
    number = str(record.pk)
    assert run("note", number, "The cable was loose.").code == 0
    note = run("failover", number, "--json").json["notes"][0]["id"]
    assert run("change-note", str(note), "It was the switch.").out.strip() == f"Note {note} was changed."
    told = run("failover", number).out
    assert f"move {number} of EVS1 from NODE1 to NODE2: done" in told
    assert "EVS1 was moved to NODE2." in told and "Phases: offline 1.0 s, online 2.0 s" in told
    assert "Without service: 3.0 s." in told and told.rstrip().endswith("It was the switch.")
    run("delete-note", str(note))
    assert "switch" not in run("failover", number).out
    empty, missing = run("note", number, " "), run("failover", "999")
    assert (empty.code, empty.err.strip()) == (1, "text: Write something.")
    assert missing.code == 2 and missing.err.strip() == "number: There is no failover record 999."
