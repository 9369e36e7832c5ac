"""What browsers and strangers send to the live feed: passed over, and it goes on."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitoring.live import feed
from monitoring.live.topics import Change, Topic
from tests.fuzz import strategies as fuzz

WORDS = st.sampled_from(["seq", "groups", "nodes", "resources", "operations", "type"])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@example({"\ud800": None})
@given(st.one_of(fuzz.ANYTHING, st.dictionaries(WORDS, st.one_of(fuzz.ANYTHING, st.lists(st.integers())))))
def test_what_is_no_announcement_is_passed_over(message: Any) -> None:
    change = feed.announced(message)
    if change is not None:
        ids = change.groups | change.nodes | change.resources
        assert all(type(id) is int and 0 < id < 2**63 for id in ids)
        assert 0 <= change.seq < 2**63


def test_an_announcement_says_where_to_look() -> None:
    told = {
        "type": "live.changed",
        "seq": 7,
        "groups": [1, 2],
        "nodes": [],
        "resources": [3],
        "operations": [],
    }
    assert feed.announced(told) == Change(7, 7, frozenset({1, 2}), frozenset(), frozenset({3}))


@settings(max_examples=300, deadline=None)
@given(fuzz.TEXTS)
def test_any_topic_is_known_or_refused(text: str) -> None:
    topic = Topic.parse(text)
    assert topic is None or topic.subject is None or 0 <= topic.subject < 10**18
