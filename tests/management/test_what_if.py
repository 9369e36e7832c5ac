"""What if, on the command line."""

from __future__ import annotations

import pytest

from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Group, Node, PreferredOwner
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


def test_it_tells_where_a_group_goes_and_why(run: Run, running: Group) -> None:
    answer = run("what-if", "--drain", "NODE1")
    assert answer.code == 0
    assert "1 group moves. Not touched: 0." in answer.out
    assert "NODE1 > NODE2" in answer.out
    (group,) = run("what-if", "--fail", "NODE1", "--fail", "NODE2", "--json").json["groups"]
    assert (group["verdict"], group["down"]) == ("stays down", ["Queue"])


def test_without_a_question_it_tells_the_single_points_of_failure(run: Run, running: Group) -> None:
    assert run("what-if").out.strip() == "No node's loss alone would leave a group down."
    Node.objects.filter(name="NODE2").update(state=NodeState.DOWN)
    assert run("what-if").out.strip() == "If NODE1 fails, EVS1 stays down: NODE2 is down."


def test_a_name_that_does_not_exist_is_bad_input(run: Run, running: Group) -> None:
    answer = run("what-if", "--disk", "Qeue")
    assert answer.code == 2
    assert "Did you mean Queue?" in answer.err


def test_balance_suggests_moves_with_reasons_and_does_them_when_told(run: Run, running: Group) -> None:
    Group.objects.filter(pk=running.pk).update(last_state=0)
    home = Node.objects.get(name="NODE2")
    PreferredOwner.objects.all().delete()
    assert run("balance").out.startswith("Nothing to move.")
    PreferredOwner.objects.create(group=running, node=home, position=0)
    answer = run("balance")
    assert "NODE1 > NODE2" in answer.out
    assert "EVS1 is away from its preferred owner NODE2" in answer.out
    assert run("balance", "--do", "EVS1").out.strip() == "Move EVS1 was asked for."
    assert run("balance", "EVS9", "--do").code == 2
