"""The check of the chaos run finds what it is there to find."""

from __future__ import annotations

from tests.chaos import verdict
from tests.chaos.verdict import Ownership, Service


def served(node: str, first: float, last: float, epoch: int = 1, group: str = "G") -> Service:
    return Service(group, node, epoch, first, last, "beat")


def test_two_nodes_one_after_the_other_are_no_overlap() -> None:
    assert verdict.overlaps([served("A", 0, 1), served("B", 1.001, 2), served("A", 2.001, 3)]) == []


def test_two_nodes_at_the_same_moment_are_one() -> None:
    found = verdict.overlaps([served("B", 0.99, 2), served("A", 0, 1)])
    assert len(found) == 1
    assert "for 0.010 s" in found[0]


def test_an_old_owner_that_wakes_up_long_after_another_took_over_is_found() -> None:
    # It slept meanwhile, so that it served in two short moments only: at 0 and at 9.
    found = verdict.overlaps([served("A", 0, 9), served("B", 4, 5), served("C", 6, 7)])
    assert len(found) == 2


def test_two_processes_of_one_node_may_serve_at_once() -> None:
    assert verdict.overlaps([served("A", 0, 2), served("A", 1, 3)]) == []


def test_two_groups_are_nothing_to_each_other() -> None:
    assert verdict.overlaps([served("A", 0, 2), served("B", 1, 3, group="H")]) == []


def test_an_owner_with_an_older_epoch_than_the_one_before_is_found() -> None:
    assert verdict.old_epochs([served("A", 0, 1, epoch=2), served("B", 2, 3, epoch=1)])
    assert not verdict.old_epochs([served("A", 0, 1, epoch=1), served("B", 2, 3, epoch=2)])


HISTORY = [Ownership("G", "A", 0.0), Ownership("G", "B", 5.0)]


def test_service_within_the_ownership_that_the_history_tells_of_is_right() -> None:
    assert verdict.not_in_history([served("A", 1, 4), served("B", 5.1, 9)], HISTORY) == []


def test_service_by_one_whom_the_history_does_not_name_then_is_found() -> None:
    assert "says B" in verdict.not_in_history([served("A", 6, 7)], HISTORY)[0]
    assert "says A then B" in verdict.not_in_history([served("C", 4, 7)], HISTORY)[0]


def test_service_beyond_the_ownership_is_found() -> None:
    assert verdict.not_in_history([served("A", 1, 6)], HISTORY)
    assert verdict.not_in_history([served("B", 4, 6)], HISTORY)


def test_service_before_any_ownership_is_found() -> None:
    assert "nobody" in verdict.not_in_history([served("A", -2, -1)], HISTORY)[0]


def test_a_gap_and_a_doubled_number_are_found() -> None:
    assert verdict.gaps_in_numbers([1, 2, 3], 3) == []
    assert verdict.gaps_in_numbers([1, 3], 3) == ["event 2 is missing"]
    assert verdict.gaps_in_numbers([1, 2, 2], 2) == ["1 numbers were given twice"]
    assert verdict.gaps_in_numbers([1, 2], 3) == ["event 3 is missing"]


def test_a_mail_that_is_in_no_mailbox_or_in_another_is_found() -> None:
    acknowledged = {"one": "G", "two": "G", "three": "H"}
    found = verdict.missing(acknowledged, {"G": ["one", "three"], "H": []})
    assert found == ["two to G", "three to H"]


def test_the_longest_time_without_service_is_told() -> None:
    assert verdict.longest_gap([0.0, 0.5, 3.0, 3.1]) == 2.5
    assert verdict.longest_gap([]) == 0.0
