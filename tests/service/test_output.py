"""Output of resources: who is asked, what is kept, and who may see it."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.core.messages import LogEntry, Output, TellOutput, seal
from monitoring.core.model import Refused
from monitoring.core.states import NodeState
from monitoring.models import Event, Group, Node, Resource, ResourceOutput
from monitoring.service import inbox, output, publish
from tests.service.conftest import Make


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What leaves for the nodes."""
    messages: list[Any] = []

    def after_commit(held: Any) -> None:
        messages.extend((node, message) for node, _, message in held.messages)

    monkeypatch.setattr(publish, "after_commit", after_commit)
    return messages


@pytest.fixture
def resource(make: Make) -> Resource:
    return make("G").resources.get()


def test_the_owner_is_asked_and_one_question_is_enough_for_all(resource: Resource, sent: list[Any]) -> None:
    output.ask(resource.pk)
    output.ask(resource.pk)
    assert sent == [("NODE1", TellOutput(1, resource.group_id, resource.pk, 75_000))]


def test_nobody_is_asked_where_nobody_can_answer(
    resource: Resource, nodes: list[Node], sent: list[Any]
) -> None:
    Node.objects.filter(pk=nodes[0].pk).update(state=NodeState.DOWN)
    with pytest.raises(Refused, match="NODE1 cannot be asked"):
        output.ask(resource.pk)
    Group.objects.update(owner=None)
    with pytest.raises(Refused, match="it is on no node"):
        output.ask(resource.pk)
    assert sent == []


def told(node: Node, message: Output | LogEntry) -> None:
    inbox.receive(seal(node.name, message, node.signing_key))


def test_what_the_owner_tells_takes_the_place_of_what_was_known(
    resource: Resource, nodes: list[Node]
) -> None:
    told(nodes[0], Output(1, resource.pk, "ready\n", 500))
    told(nodes[0], Output(1, resource.pk, "ready\nmore\n", 0, True))
    known = output.known(resource.pk)
    assert (known.node, known.text, known.cut) == ("NODE1", "ready\nmore\n", True)
    assert ResourceOutput.objects.count() == 1


def test_another_node_or_an_earlier_life_tells_nothing_about_it(
    resource: Resource, nodes: list[Node]
) -> None:
    told(nodes[1], Output(2, resource.pk, "a lie\n", 0))
    told(nodes[0], Output(9, resource.pk, "of another life\n", 0))
    assert output.known(resource.pk).read_at is None


def test_last_words_stand_in_the_history_once(resource: Resource, nodes: list[Node]) -> None:
    entry = LogEntry(1, 0, "What G R printed before it failed", 0, resource.pk, 77, "no room\n")
    told(nodes[0], entry)
    told(nodes[0], entry)
    assert [event.output for event in Event.objects.all()] == ["no room\n"]
    stranger = LogEntry(2, 0, "What G R printed before it failed", 0, resource.pk, 78, "a lie")
    told(nodes[1], stranger)
    assert Event.objects.get(number_at_node=78).output == "", "it is not its own"


def test_an_answer_that_does_not_come_leaves_what_is_known(
    resource: Resource, nodes: list[Node], sent: list[Any]
) -> None:
    told(nodes[0], Output(1, resource.pk, "old\n", 500))
    assert output.fresh(resource.pk, 0.1).text == "old\n"
    assert len(sent) == 1
