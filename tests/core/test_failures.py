"""The failure of a resource: restarts, failover, giving up (semantics 4.2 and 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitoring.core.model import NEVER
from monitoring.core.reconcile import reconcile
from monitoring.core.states import ResourceState, RestartAction, Stage, TransitKind
from tests.core.build import NOW, failed, group, online, with_state, world


def fail_times(times: int, **more):
    """A resource that fails `times` times, a second apart, restarted where the decision says so."""
    subject, now, decision = group(online(1, "Service", **more)), NOW, None
    for _ in range(times):
        decision = reconcile(failed(subject, 1), world(), now)
        if decision.group.transit is None and decision.group.by_id[1].restart_at is not None:
            now = decision.group.by_id[1].restart_at
            decision = reconcile(decision.group, world(), now)
            subject = with_state(decision.group, ResourceState.ONLINE)
        now += 1.0
    assert decision is not None
    return decision


def test_a_failure_is_followed_by_a_restart_after_the_delay():
    decision = reconcile(failed(group(), 2), world(), NOW)
    assert decision.group.by_id[2].restart_at == NOW + 0.5
    assert decision.wake_at == NOW + 0.5
    later = reconcile(decision.group, world(), NOW + 0.5)
    assert later.group.by_id[2].attempt == 2
    assert later.send


def test_with_threshold_three_the_fourth_failure_fails_the_group_over():
    assert fail_times(3).group.transit is None
    transit = fail_times(4).group.transit
    assert transit is not None
    assert (transit.kind, transit.source, transit.target) == (TransitKind.FAILOVER, 1, 2)


def test_threshold_zero_means_no_restart():
    assert fail_times(1, restart_threshold=0).group.transit is not None


def test_failures_before_the_period_do_not_count():
    old = tuple(NOW - 901 - n for n in range(3))
    subject = group(online(1, "Service", failures=old))
    decision = reconcile(failed(subject, 1), world(), NOW)
    assert decision.group.transit is None
    assert decision.group.by_id[1].failures == (NOW,)


def test_restart_no_notify_never_moves_the_group_and_is_tried_again_each_period():
    decision = fail_times(4, restart_action=RestartAction.RESTART_NO_NOTIFY)
    resource = decision.group.by_id[1]
    assert decision.group.transit is None
    assert resource.retry_at is not None
    again = reconcile(decision.group, world(), resource.retry_at)
    assert again.group.by_id[1].attempt == resource.attempt + 1
    assert again.group.by_id[1].retry_at == resource.retry_at + 3600


def test_a_retry_that_fails_leaves_the_resource_failed_until_the_next():
    decision = fail_times(4, restart_action=RestartAction.RESTART_NO_NOTIFY)
    at = decision.group.by_id[1].retry_at
    assert at is not None
    retried = reconcile(decision.group, world(), at)
    broken = reconcile(failed(retried.group, 1), world(), at + 1)
    assert broken.group.by_id[1].restart_at is None
    assert broken.group.by_id[1].retry_at == at + 1 + 3600


def test_never_means_no_retry():
    more = {"restart_action": RestartAction.RESTART_NO_NOTIFY, "retry_period_ms": NEVER}
    assert fail_times(4, **more).group.by_id[1].retry_at is None


def test_dont_restart_leaves_the_resource_failed():
    decision = fail_times(1, restart_action=RestartAction.DONT_RESTART)
    assert decision.group.transit is None
    assert decision.group.by_id[1].restart_at is None


def test_the_failover_after_the_threshold_gives_up_and_what_stays_online_stays():
    subject = group(failover_threshold=2, failovers=(NOW - 10, NOW - 5))
    subject = subject.with_resource(replace(subject.by_id[2], restart_threshold=0))
    decision = reconcile(failed(subject, 2), world(), NOW)
    assert decision.group.given_up
    assert decision.group.transit is None
    assert [e.code for e in decision.events] == [1069, 1254, 1205, 0]
    assert decision.group.by_id[1].state is ResourceState.ONLINE


def test_the_default_threshold_is_one_less_than_there_are_nodes():
    subject = group(online(1, "Service", restart_threshold=0), failovers=(NOW - 5,))
    assert reconcile(failed(subject, 1), world("A", "B"), NOW).group.given_up
    assert not reconcile(failed(subject, 1), world("A", "B", "C"), NOW).group.given_up


def test_failovers_before_the_period_do_not_count():
    subject = group(online(1, "Service", restart_threshold=0), failovers=(NOW - 6 * 3600 - 1,))
    assert reconcile(failed(subject, 1), world(), NOW).group.transit is not None


def test_a_failed_resource_on_a_paused_node_is_not_restarted_there_but_fails_over():
    decision = reconcile(failed(group(), 2), world("A", "B", paused="A"), NOW)
    assert decision.group.transit is not None
    assert decision.group.transit.target == 2


def test_a_failure_while_the_group_is_stopping_is_told_and_nothing_follows():
    moving = reconcile(failed(group(online(1, "Service", restart_threshold=0)), 1), world(), NOW).group
    again = reconcile(failed(moving, 1, "again"), world(), NOW + 1)
    assert again.group.transit == moving.transit
    assert again.group.by_id[1].restart_at is None


def test_counts_start_anew_on_another_node():
    moving = fail_times(4).group
    stopped = with_state(moving, ResourceState.OFFLINE)
    there = reconcile(stopped, world(), NOW + 60)
    assert there.group.owner == 2
    assert there.group.by_id[1].failures == ()


@pytest.mark.parametrize("running", [True, False])
def test_a_failover_waits_until_nothing_runs_any_more(running):
    moving = fail_times(4).group
    rows = tuple(replace(r, state=ResourceState.FAILED, running=running) for r in moving.resources)
    answered = replace(moving, resources=rows, applied_serial=moving.serial)
    decision = reconcile(answered, world(), NOW + 60)
    assert (decision.group.owner == 1) is running


def test_a_group_that_comes_up_nowhere_goes_on_to_the_next_node():
    subject = group(online(1, "Service", restart_threshold=0))
    around = world("A", "B", "C")
    moving = reconcile(failed(subject, 1), around, NOW)
    there = reconcile(with_state(moving.group, ResourceState.OFFLINE), around, NOW + 1)
    assert there.group.transit is not None
    assert there.group.transit.stage is Stage.STARTING
    further = reconcile(failed(there.group, 1), around, NOW + 2)
    assert further.ended[0].state == "continued"
    assert further.group.transit is not None
    assert further.group.transit.target == 3
