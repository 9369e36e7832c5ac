"""Levels in order, all devices of a level, delays and retries: pure policy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.fencing.levels import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    RETRY_PAUSE,
    Confirmed,
    Exhausted,
    Step,
    Tried,
    Try,
    next_move,
    pause_before_round,
)

START = 100.0
IPMI = Step(1, 1, "IPMI", retries=1)
PDU_A = Step(2, 2, "PDU-A", retries=0)
PDU_B = Step(3, 2, "PDU-B", retries=0)
STEPS = (PDU_B, IPMI, PDU_A)


def ok(step: Step, at: float = START) -> Tried:
    return Tried(step.id, True, at)


def failed(step: Step, at: float = START) -> Tried:
    return Tried(step.id, False, at)


def test_the_first_device_of_the_lowest_level_is_tried_first():
    assert next_move(STEPS, [], START) == Try(IPMI, 1, START)


def test_a_delay_passes_before_the_first_try_only():
    slow = Step(1, 1, "IPMI", delay=5.0, retries=1)
    assert next_move([slow], [], START) == Try(slow, 1, START + 5)
    assert next_move([slow], [failed(slow, START + 7)], START) == Try(slow, 2, START + 7 + RETRY_PAUSE)


def test_a_device_is_tried_again_before_its_level_is_given_up():
    assert next_move(STEPS, [failed(IPMI)], START) == Try(IPMI, 2, START + RETRY_PAUSE)
    assert next_move(STEPS, [failed(IPMI), failed(IPMI)], START) == Try(PDU_A, 1, START)


def test_one_success_is_enough_for_a_level_of_one():
    assert next_move(STEPS, [failed(IPMI), ok(IPMI)], START) == Confirmed(1, ("IPMI",))


def test_all_devices_of_a_level_have_to_confirm():
    gone = [failed(IPMI), failed(IPMI)]
    assert next_move(STEPS, [*gone, ok(PDU_A)], START) == Try(PDU_B, 1, START)
    assert next_move(STEPS, [*gone, ok(PDU_A), ok(PDU_B)], START) == Confirmed(2, ("PDU-A", "PDU-B"))


def test_nothing_is_known_when_no_level_is_left():
    tried = [failed(IPMI), failed(IPMI), ok(PDU_A), failed(PDU_B)]
    assert next_move(STEPS, tried, START) == Exhausted()
    assert next_move([], [], START) == Exhausted()


def test_a_device_that_was_taken_out_meanwhile_confirms_nothing():
    assert next_move([PDU_A], [ok(IPMI)], START) == Try(PDU_A, 1, START)


def test_rounds_come_less_and_less_often_and_never_stop():
    pauses = [pause_before_round(n) for n in range(1, 40)]
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


steps = st.lists(
    st.builds(
        Step,
        id=st.integers(1, 9),
        level=st.integers(1, 3),
        device=st.sampled_from("ABC"),
        delay=st.floats(0, 9),
        retries=st.integers(0, 3),
    ),
    unique_by=lambda step: step.id,
    max_size=6,
)


@given(steps, st.lists(st.booleans(), max_size=40))
def test_a_round_ends_and_confirms_only_what_every_device_of_a_level_confirmed(
    chosen: list[Step], answers: list[bool]
):
    tried: list[Tried] = []
    now = START
    for answer in [*answers, *[False] * 60]:
        move = next_move(chosen, tried, START)
        if not isinstance(move, Try):
            break
        assert move.at >= START
        now = max(now, move.at)
        tried.append(Tried(move.step.id, answer, now))
    good = {one.step for one in tried if one.ok}
    levels = {step.level for step in chosen}
    whole = [n for n in levels if all(step.id in good for step in chosen if step.level == n)]
    assert isinstance(move, Confirmed if whole else Exhausted)
    for step in chosen:
        assert len([one for one in tried if one.step == step.id]) <= step.retries + 1
