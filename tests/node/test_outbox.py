"""What is to be told is told, however often a path fails."""

from __future__ import annotations

from monitoring.core.messages import GroupReport, Heartbeat, LogEntry, Report, ResourceReport, seal
from monitoring.core.states import ResourceState
from monitoring.node.outbox import Outbox


class World:
    """One group of three resources, whose sequence numbers grow."""

    def __init__(self) -> None:
        self.sequence = dict.fromkeys((1, 2, 3), 0)
        self.outbox = Outbox(5, self.compose)

    def compose(self, changes: set[tuple[int, int]] | None) -> list[GroupReport]:
        wanted = {1, 2, 3} if changes is None else {r for _, r in changes}
        reports = tuple(
            ResourceReport(r, ResourceState.ONLINE, self.sequence[r], 1, True) for r in sorted(wanted)
        )
        return [GroupReport(1, 1, 1, reports)]

    def change(self, resource: int) -> None:
        self.sequence[resource] += 1
        self.outbox.changed(1, resource)


def states(report: object) -> dict[int, int]:
    assert isinstance(report, Report)
    return {r.resource: r.sequence for g in report.groups for r in g.resources}


def test_changes_that_wait_travel_in_one_report_with_their_newest_states() -> None:
    world = World()
    world.change(1)
    world.change(1)
    world.change(2)
    (report,) = world.outbox.compose().messages
    assert states(report) == {1: 2, 2: 1}
    assert world.outbox.is_empty


def test_what_was_not_sent_is_told_in_the_next_report_as_it_is_then() -> None:
    world = World()
    world.change(1)
    batch = world.outbox.compose()
    world.change(1)
    world.change(3)
    world.outbox.not_sent(batch)
    (report,) = world.outbox.compose().messages
    assert states(report) == {1: 2, 3: 1}
    assert isinstance(report, Report)
    assert report.number == 2


def test_log_lines_keep_their_order_and_come_before_the_states_they_explain() -> None:
    world = World()
    for text in ("first", "second"):
        world.outbox.log(1, text)
    batch = world.outbox.compose()
    world.outbox.log(1, "third")
    world.outbox.not_sent(batch)
    world.change(1)
    *logs, report = world.outbox.compose().messages
    assert [entry.text for entry in logs if isinstance(entry, LogEntry)] == ["first", "second", "third"]
    assert isinstance(report, Report)


def test_a_new_heartbeat_takes_the_place_of_one_that_still_waits() -> None:
    world = World()
    world.outbox.beat(Heartbeat(5, 1, 0))
    world.outbox.beat(Heartbeat(5, 2, 0))
    assert world.outbox.compose().messages == [Heartbeat(5, 2, 0)]


def test_a_new_life_tells_no_states_of_the_old_one_but_its_log_lines() -> None:
    world = World()
    world.change(1)
    world.outbox.log(2, "the lease is over")
    world.outbox.begin_life(6)
    (entry,) = world.outbox.compose().messages
    assert isinstance(entry, LogEntry)
    assert (entry.incarnation, entry.text) == (6, "the lease is over")


def test_each_log_line_has_a_number_that_it_keeps_and_any_text_can_travel() -> None:
    world = World()
    for text in ("a" * 5000, "half a \ud83d", "third"):
        world.outbox.log(9, text, -1)
    batch = world.outbox.compose()
    world.outbox.begin_life(6)
    world.outbox.not_sent(batch)
    entries = [seal("N", entry, "k") and entry for entry in world.outbox.compose().messages]
    numbers = [entry.number for entry in entries if isinstance(entry, LogEntry)]
    assert numbers == [entry.number for entry in batch.logs]
    assert numbers == sorted(set(numbers))


def test_a_full_report_tells_everything_and_says_so() -> None:
    world = World()
    world.outbox.ask_full()
    (report,) = world.outbox.compose().messages
    assert isinstance(report, Report)
    assert report.full
    assert set(states(report)) == {1, 2, 3}
