"""What is kept of the times of calls, and when they are slow enough to warn."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.node.slow import CALM_CALLS, CALM_SECONDS, Slowness, slow_after
from monitoring.node.times import BUCKETS, STRETCH, Times, bounds_of, bucket_of, quantiles


@given(st.floats(min_value=0, max_value=1.5e6))
def test_a_time_lies_within_the_bounds_of_its_bucket(ms: float) -> None:
    low, high = bounds_of(bucket_of(ms))
    assert low * 0.999999 <= ms <= high * 1.000001


@given(st.floats(min_value=0))
def test_there_is_a_bucket_for_every_time(ms: float) -> None:
    assert 0 <= bucket_of(ms) < BUCKETS


@pytest.mark.parametrize("seed", range(5))
def test_median_and_p99_are_off_by_a_tenth_at_most(seed: int) -> None:
    times, randomly = Times(), random.Random(seed)
    told = [randomly.lognormvariate(3, 1) for _ in range(2 * STRETCH)]
    for ms in told:
        times.add(ms)
    told.sort()
    assert times.quantiles(0.5, 0.99) == pytest.approx([told[99], told[197]], rel=0.1)
    assert (times.slowest_ms, times.calls) == (told[-1], 200)


def test_what_was_more_than_two_stretches_ago_is_forgotten() -> None:
    times = Times()
    times.add(9000.0)
    for _ in range(STRETCH):
        times.add(2.0)
    assert times.slowest_ms == 9000.0
    for _ in range(STRETCH):
        times.add(2.0)
    assert times.slowest_ms == 2.0
    assert STRETCH <= times.calls <= 2 * STRETCH


def test_counts_of_two_resources_add_up() -> None:
    one, other = bytearray(BUCKETS), bytearray(BUCKETS)
    for ms in (1.0, 2.0, 3.0):
        one[bucket_of(ms)] += 1
        other[bucket_of(ms * 100)] += 1
    both = [a + b for a, b in zip(one, other, strict=True)]
    assert quantiles(both, 0.5, 1.0) == pytest.approx([3.0, 300.0], rel=0.2)
    assert quantiles(bytearray(BUCKETS), 0.5) == [0.0]


def test_nothing_is_usual_before_ten_calls() -> None:
    times = Times()
    for _ in range(9):
        times.add(20.0)
    assert times.usual_ms is None
    times.add(20.0)
    assert times.usual_ms == pytest.approx(20.0, rel=0.1)


@pytest.mark.parametrize(
    ("usual_ms", "deadlock_s", "seconds"),
    [
        (20.0, 300.0, 2.0),  # ten times as long is nothing that one would see
        (500.0, 300.0, 5.0),
        (60_000.0, 300.0, 150.0),  # half of what fails it
        (None, 300.0, 150.0),
        (20.0, 1.0, 0.5),
    ],
)
def test_a_call_is_slow_from_ten_times_the_median_on_or_half_of_deadlocktimeout(
    usual_ms: float | None, deadlock_s: float, seconds: float
) -> None:
    assert slow_after(usual_ms, deadlock_s) == seconds


def test_a_slow_call_warns_with_what_is_usual() -> None:
    assert Slowness().returned(4.8, 20.0, 300.0, 0.0) == "took 4.8 s, usually 20 ms"
    assert Slowness().returned(1.9, 20.0, 300.0, 0.0) is None
    assert Slowness().returned(160.0, None, 300.0, 0.0) == "took 160 s of the 300 s that it may take"
    assert Slowness().hangs(12.0, 20.0, 0.0) == "has not returned for 12 s, usually 20 ms"


def test_a_warning_ends_after_calls_that_were_well_below_for_a_minute() -> None:
    slowness, now = Slowness(), 0.0
    slowness.hangs(12.0, 20.0, now)
    told = []
    while slowness.warns:
        now += 5.0
        told.append(slowness.returned(0.02, 20.0, 300.0, now))
    assert told == [None] * 11 + [""]
    assert now >= CALM_SECONDS


def test_what_is_slow_now_and_then_warns_all_the_time() -> None:
    slowness, told = Slowness(), []
    for number in range(200):
        seconds = 3.0 if number % 7 == 0 else 1.5 if number % 3 == 0 else 0.02
        told.append(slowness.returned(seconds, 20.0, 300.0, number * 10.0))
    assert "" not in told
    assert slowness.warns


def test_seldom_calls_end_a_warning_as_well() -> None:
    slowness = Slowness()
    slowness.returned(4.0, 20.0, 300.0, 0.0)
    told = [slowness.returned(0.02, 20.0, 300.0, 60.0 * n) for n in range(1, CALM_CALLS + 1)]
    assert told == [None] * (CALM_CALLS - 1) + [""]
