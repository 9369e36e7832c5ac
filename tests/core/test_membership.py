"""When a node is surely gone: what an observer may conclude from heartbeats, and when it may not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.membership import Grants, LeaseTerms, Watch

TERMS = LeaseTerms(interval=0.5, lease=3.0, margin=0.5)


def seen(watch: Watch, at: float, **numbers: int) -> Watch:
    """A look at which nodes 1, 2 … (named a, b …) have these heartbeat numbers."""
    rows = [(ord(name) - ord("a") + 1, 1, number) for name, number in numbers.items()]
    return watch.look(rows, at, TERMS)


def watched(until: float, silent_from: float) -> Watch:
    """Two nodes seen twice a second; the first says nothing new from `silent_from` on."""
    watch, at = Watch.start(0.0), 0.0
    while at <= until:
        number = int(at * 2)
        watch = seen(watch, at, a=min(number, int(silent_from * 2)), b=number)
        at += 0.5
    return watch


def test_a_silent_node_is_lost_once_lease_and_margin_are_over_and_not_before():
    assert not watched(13.0, silent_from=10.0).lost(1, 13.4, TERMS, granted=3.0)
    assert watched(13.5, silent_from=10.0).lost(1, 13.5, TERMS, granted=3.0)


def test_a_node_that_was_granted_more_is_lost_later():
    assert not watched(42.0, silent_from=10.0).lost(1, 43.0, TERMS, granted=33.0)
    assert watched(44.0, silent_from=10.0).lost(1, 44.0, TERMS, granted=33.0)


def test_where_nobody_is_heard_nobody_is_lost():
    watch = watched(10.0, silent_from=10.0)
    for at in (11.0, 20.0, 300.0):
        watch = seen(watch, at, a=20, b=20)
        assert watch.contact_lost(at, TERMS) == (at > 11.5)
        assert not watch.lost(1, at, TERMS, granted=3.0)


def test_a_lease_made_shorter_counts_once_the_longer_one_is_over():
    grants, over = Grants().look([(1, 30.0, 3.0)], 100.0)
    assert over == frozenset()
    grants, over = grants.look([(1, 30.0, 3.0)], 129.9)
    assert over == frozenset()
    _, over = grants.look([(1, 30.0, 3.0)], 130.0)
    assert over == {1}


def test_an_answer_that_still_granted_the_longer_lease_starts_the_wait_anew():
    grants, _ = Grants().look([(1, 30.0, 3.0)], 100.0)
    grants, over = grants.look([(1, 60.0, 3.0)], 131.0)
    assert over == frozenset()
    assert grants.look([(1, 60.0, 3.0)], 190.9)[1] == frozenset()
    assert grants.look([(1, 60.0, 3.0)], 191.0)[1] == {1}


@given(st.lists(st.tuples(st.sampled_from([3.0, 10.0, 30.0]), st.floats(0.1, 40.0)), min_size=1, max_size=30))
def test_a_longer_lease_is_never_forgotten_before_it_is_over(steps: list[tuple[float, float]]):
    """Whatever an operator sets, and however often: `granted` is what the node may hold at least."""
    grants, granted, at = Grants(), 3.0, 0.0
    ends = 0.0
    for setting, pause in steps:
        granted = max(granted, setting)  # an answer goes out at this moment
        ends = max(ends, at + setting)
        at += pause
        grants, over = grants.look([(1, granted, setting)], at)
        if over:
            assert at >= ends or setting == granted
            granted = setting
