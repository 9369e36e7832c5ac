"""Actions of the command line: they wait for the outcome and tell it by their exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Group, Node, Operation
from tests.management.conftest import Run
from tests.topology.build import app, set_state

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(evs1: Group) -> Group:
    """EVS1 online on NODE1, NODE2 up beside it."""
    Node.objects.update(state=NodeState.UP, incarnation=1)
    set_state(app(evs1, "Queue"), ResourceState.ONLINE, running=True)
    Group.objects.filter(pk=evs1.pk).update(owner=Node.objects.get(name="NODE1"), persistent_online=True)
    return evs1


def test_no_wait_returns_once_it_is_accepted(run: Run, running: Group) -> None:
    answer = run("move", "EVS1", "node2", "--no-wait", "--json", "--reason", "new memory")
    assert answer.code == 0
    assert (answer.json["kind"], answer.json["state"], answer.json["reason"]) == (
        "move",
        "running",
        "new memory",
    )
    assert answer.json["requested_by"].endswith("(command line)")


def test_an_action_that_takes_too_long_has_failed_to_be_done(run: Run, running: Group) -> None:
    answer = run("move", "EVS1", "NODE2", "--timeout", "0.2")
    assert answer.code == 1
    assert "is under way" in answer.out


def test_what_is_done_at_once_is_told_at_once(run: Run, running: Group) -> None:
    answer = run("move", "EVS1", "NODE1")
    assert (answer.code, answer.out.strip()) == (0, "EVS1 is on NODE1 already.")
    assert run("pause", "NODE2").code == 0
    assert Node.objects.get(name="NODE2").paused
    assert run("resume", "NODE2", "--failback").code == 0
    assert Operation.objects.filter(kind="resume", options={"failback": "policy"}).exists()


def test_what_the_cluster_refuses_has_failed(run: Run, running: Group) -> None:
    run("pause", "NODE2")
    answer = run("move", "EVS1", "NODE2")
    assert answer.code == 1
    assert answer.err.startswith("node: ")


def test_the_later_intent_is_told_what_was_under_way(run: Run, running: Group) -> None:
    run("move", "EVS1", "NODE2", "--no-wait")
    answer = run("offline", "EVS1", "--no-wait")
    assert "move to NODE2" in answer.err


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("failed", 1), ("superseded", 1)])
def test_it_waits_for_the_outcome(
    run: Run, running: Group, state: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def meanwhile(seconds: float) -> None:
        """The cluster service works while the command line sleeps."""
        looks.append(seconds)
        if len(looks) == 3:
            Operation.objects.filter(kind="move").update(state=state, outcome=f"It is {state}.")

    monkeypatch.setattr("monitoring.management.waiting.time.sleep", meanwhile)
    answer = run("move", "EVS1", "NODE2")
    assert (answer.code, answer.out.strip()) == (code, f"It is {state}.")
    assert len(looks) == 3


@pytest.mark.parametrize(
    "words", [["move"], ["fly", "EVS1"], ["move", "EVS1", "--timeout", "soon"], ["resource", "kill", "Queue"]]
)
def test_a_command_that_makes_no_sense_is_bad_input(cluster: object, words: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, "manage.py", "cluster", *words], capture_output=True, check=False
    )
    assert answer.returncode == 2
    assert b"usage: manage.py cluster" in answer.stderr
