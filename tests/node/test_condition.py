"""What a resource shows about itself, and when its node tells of it."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from monitoring.core.messages import FACTS, Fact
from monitoring.core.states import ResourceState
from monitoring.node.condition import Condition


class Told(Condition):
    """Counts what is told."""

    def __init__(self) -> None:
        self.times = 0
        numbers = itertools.count(1)
        super().__init__(1, "R", asyncio.new_event_loop(), lambda: next(numbers), self._count)
        self._set(ResourceState.ONLINE_PENDING, running=True)
        self._set(ResourceState.ONLINE, running=True)
        self.times = 0

    def _count(self, resource: int) -> None:
        self.times += 1

    def shown(self) -> list[str]:
        return [fact.text for fact in self.report().facts or ()]

    def go(self, state: ResourceState) -> None:
        self._set(state)


@pytest.fixture
def resource() -> Told:
    return Told()


def test_a_new_fact_is_told_at_once_and_the_same_one_never_again(resource: Told) -> None:
    for _ in range(3):
        resource.show(Fact("Space", "1 GiB"))
    assert (resource.shown(), resource.times) == (["1 GiB"], 1)


def test_new_words_of_a_fact_wait_for_company(resource: Told) -> None:
    resource.show(Fact("Space", "1 GiB"))
    resource.show(Fact("Space", "2 GiB"))
    assert resource.times == 1
    resource.tell_facts()
    resource.tell_facts()
    assert (resource.shown(), resource.times) == (["2 GiB"], 2)


def test_the_begin_and_the_end_of_a_warning_do_not_wait(resource: Told) -> None:
    resource.show(Fact("Space", "1 GiB"))
    resource.show(Fact("Space", "9 GiB", 1))
    resource.show(Fact("Space", "1 GiB"))
    assert resource.times == 3


def test_an_empty_text_takes_a_fact_away(resource: Told) -> None:
    resource.show(Fact("Space", "1 GiB"))
    resource.show(Fact("Space", ""))
    resource.show(Fact("Other", ""))
    assert (resource.shown(), resource.times) == ([], 2)


@pytest.mark.parametrize("state", [ResourceState.OFFLINE, ResourceState.FAILED])
def test_what_is_down_shows_nothing(resource: Told, state: ResourceState) -> None:
    resource.show(Fact("Space", "1 GiB"))
    resource.go(state)
    resource.show(Fact("Space", "2 GiB"))
    assert resource.shown() == []


def test_a_resource_that_an_agent_found_is_not_said_to_show_nothing() -> None:
    numbers = itertools.count(1)
    found = Condition(1, "R", asyncio.new_event_loop(), lambda: next(numbers), lambda resource: None)
    found._set(ResourceState.ONLINE, running=True)
    assert found.report().facts is None


def test_facts_without_end_are_not_kept(resource: Told) -> None:
    for number in range(FACTS + 5):
        resource.show(Fact(f"F{number}", "is"))
    assert len(resource.shown()) == FACTS
