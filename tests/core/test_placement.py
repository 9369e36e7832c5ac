"""Which node next (semantics 4.4), and which cannot be."""

from __future__ import annotations

from dataclasses import replace

from monitoring.core import placement
from monitoring.core.model import Load
from tests.core.build import group, online, world

SIX = world(*"ABCDEF")


def node_of(choice: tuple[int, str] | None) -> int:
    """The node chosen; there has to be one, and a rule that chose it."""
    assert choice is not None
    assert choice[1]
    return choice[0]


def test_a_failure_goes_to_the_next_preferred_owner_and_not_back_to_the_top():
    subject = group(preferred=(1, 3, 5))
    assert node_of(placement.after_failure(replace(subject, owner=3), SIX)) == 5
    assert node_of(placement.after_failure(replace(subject, owner=5), SIX)) == 2


def test_the_list_wraps_at_its_end():
    assert node_of(placement.after_failure(replace(group(preferred=(1, 3, 5)), owner=6), SIX)) == 1


def test_an_operators_best_is_the_first_preferred_owner_available():
    subject = replace(group(preferred=(1, 3, 5)), owner=5)
    assert node_of(placement.best(subject, SIX, 5)) == 1
    assert node_of(placement.best(subject, world(*"ABCDEF", paused="A"), 5)) == 3


def test_without_a_list_the_emptiest_node_takes_a_lost_nodes_group():
    loads = (Load(2, 2), Load(3, 2), Load(4, 3))
    around = replace(world("A", "B", "C"), loads_of=lambda: loads)
    assert node_of(placement.after_node_loss(group(), around)) == 3


def test_paused_down_and_impossible_nodes_are_refused_with_the_reason():
    around = world("A", "B", "C", "D", paused="B", down="C")
    found = {c.name: c.refusal for c in placement.candidates(group(possible=frozenset({1, 2, 3})), around)}
    assert "paused" in found["B"]
    assert "down" in found["C"]
    assert "possible owner" in found["D"]
    assert "already" in found["A"]


def test_anti_affine_groups_share_a_node_only_where_no_other_is_left():
    subject = group(anti_affinity=frozenset({"mail"}))
    loads = (Load(2, 2, frozenset({"mail"})),)
    around = replace(world("A", "B", "C"), loads_of=lambda: loads)
    assert placement.available(subject, around, besides=1) == [3]
    around = replace(world("A", "B"), loads_of=lambda: loads)
    assert placement.available(subject, around, besides=1) == [2]
    assert placement.available(subject, replace(around, enforced_anti_affinity=True), besides=1) == []


def test_three_and_two_storage_groups_do_not_fit_on_one_node():
    subject = group(online(1, "Store", storage_groups=2))
    around = replace(world(), loads_of=lambda: (Load(2, 2, storage_groups=3),))
    assert "5 storage groups" in placement.refusal(subject, 2, around)
    assert placement.refusal(group(online(1, "Store", storage_groups=1)), 2, around) == ""
