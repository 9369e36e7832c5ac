"""The arithmetic of the lease."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.node.lease import Lease


def test_there_is_no_lease_before_the_first_answer():
    lease = Lease()
    lease.sent(1, 10.0)
    assert not lease.held(10.0)
    assert not lease.over(99.0)


def test_a_lease_runs_from_the_moment_its_heartbeat_was_sent_however_late_the_answer():
    lease = Lease()
    lease.sent(1, 10.0)
    assert lease.answered(1, 0.5, 3.0)
    assert lease.held(12.99)
    assert not lease.held(13.0)


def test_an_old_or_doubled_answer_or_one_to_nothing_renews_nothing():
    lease = Lease()
    lease.sent(1, 10.0)
    lease.sent(2, 11.0)
    assert lease.answered(2, 0.5, 3.0)
    assert not lease.answered(1, 0.5, 3.0)
    assert not lease.answered(2, 0.5, 3.0)
    assert not lease.answered(7, 0.5, 3.0)
    assert lease.ends == 14.0


def test_a_shorter_lease_holds_from_the_answer_that_says_so():
    lease = Lease()
    lease.sent(1, 10.0)
    lease.answered(1, 0.5, 60.0)
    lease.sent(2, 11.0)
    lease.answered(2, 0.5, 2.0)
    assert lease.ends == 13.0


def test_the_second_path_is_due_after_a_third_of_the_lease_without_an_answer():
    lease = Lease()
    lease.sent(1, 10.0)
    lease.answered(1, 0.5, 3.0)
    assert not lease.silent(11.4)
    assert lease.silent(11.5)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.floats(0.1, 5.0)), max_size=60))
def test_the_lease_never_ends_later_than_the_newest_heartbeat_sent_plus_its_length(steps):
    lease, now = Lease(), 0.0
    sent: dict[int, float] = {}
    for is_beat, number, value in steps:
        now += value
        if is_beat and number not in sent and number > max(sent, default=0):
            lease.sent(number, now)
            sent[number] = now
        elif not is_beat and lease.answered(number, 0.5, value):
            assert lease.ends == sent[number] + value
    assert lease.ends is None or lease.ends <= max(sent.values()) + 5.0
