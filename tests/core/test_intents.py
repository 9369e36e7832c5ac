"""What operators ask for: accepted or refused, and the newest intent wins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitoring.core import nodes
from monitoring.core.intents import request
from monitoring.core.model import GroupView, Intent, NodeView, Refused
from monitoring.core.reconcile import reconcile
from monitoring.core.state import group_state
from monitoring.core.states import GroupState, NodeState, ResourceState, Stage, TransitKind
from tests.core.build import NOW, ask, group, online, wants, with_state, world


def test_a_move_stops_everything_then_starts_it_under_a_new_epoch():
    moving = ask(group(), "move", world(), node=2)
    assert wants(moving) == {"Disk": False, "Service": False}
    assert moving.send
    there = reconcile(with_state(moving.group, ResourceState.OFFLINE), world(), NOW + 1)
    assert (there.group.owner, there.group.epoch) == (2, 4)
    assert wants(there) == {"Disk": True, "Service": True}
    assert there.release == (1,)
    done = reconcile(with_state(there.group, ResourceState.ONLINE), world(), NOW + 2)
    assert done.group.transit is None
    assert [(o.operation, o.state) for o in done.outcomes] == [(99, "done")]


def test_a_move_to_where_the_group_is_does_nothing():
    decision = ask(group(), "move", world(), node=1)
    assert decision.group.transit is None
    assert decision.outcomes[0].state == "done"


def test_a_move_to_a_paused_node_is_refused_by_field():
    with pytest.raises(Refused, match="paused") as caught:
        ask(group(), "move", world("A", "B", paused="B"), node=2)
    assert caught.value.field == "node"


def test_a_newer_move_takes_the_place_of_one_under_way():
    first = ask(group(), "move", world("A", "B", "C"), node=2)
    second = ask(first.group, "move", world("A", "B", "C"), node=3)
    assert [e.state for e in second.ended] == ["superseded"]
    assert second.group.transit is not None
    assert second.group.transit.target == 3


def test_offline_takes_the_place_of_a_move_and_the_group_stays():
    moving = ask(group(), "move", world(), node=2)
    stopped = ask(moving.group, "offline", world())
    done = reconcile(with_state(stopped.group, ResourceState.OFFLINE), world(), NOW + 1)
    assert done.group.owner == 1
    assert not done.group.persistent_online
    assert [o.state for o in done.outcomes] == ["done"]


def test_what_an_operator_stopped_stays_stopped_after_a_failover():
    subject = group(online(1, "Disk"), online(2, "Service", persistent_online=False))
    lost = reconcile(subject, world("A", "B", down="A"), NOW)
    assert lost.group.owner == 2
    assert wants(lost) == {"Disk": True, "Service": False}


def test_a_group_that_is_offline_moves_and_stays_offline():
    subject = with_state(group(persistent_online=False), ResourceState.OFFLINE)
    moving = ask(subject, "move", world(), node=2)
    there = reconcile(with_state(moving.group, ResourceState.OFFLINE), world(), NOW + 1)
    done = reconcile(with_state(there.group, ResourceState.OFFLINE), world(), NOW + 2)
    assert done.group.owner == 2
    assert done.group.transit is None
    assert not any(want for _, want, _ in done.group.wanted)


def test_online_where_the_owner_is_paused_goes_to_another_node():
    subject = with_state(group(persistent_online=False), ResourceState.OFFLINE)
    decision = ask(subject, "online", world("A", "B", paused="A"))
    assert decision.group.transit is not None
    assert decision.group.transit.target == 2


def test_a_resource_of_a_stopped_group_is_not_started_alone():
    subject = with_state(group(persistent_online=False), ResourceState.OFFLINE)
    with pytest.raises(Refused, match="bring the group online"):
        ask(subject, "resource-online", world(), resource=2)


def test_bringing_a_resource_online_brings_what_it_needs():
    rows = (
        replace(online(1, "Disk"), persistent_online=False, state=ResourceState.OFFLINE, running=False),
        replace(online(2, "Service", requires=((1,),)), persistent_online=False, state=ResourceState.OFFLINE),
    )
    assert wants(ask(group(*rows), "resource-online", world(), resource=2)) == {"Disk": True, "Service": True}


def test_a_resource_that_is_stopped_takes_what_needs_it_along():
    assert wants(ask(group(), "resource-offline", world(), resource=1)) == {"Disk": False, "Service": False}


def test_the_loss_of_one_alternative_leaves_the_dependent_online():
    rows = (online(1, "A"), online(2, "B"), online(3, "Service", requires=((1, 2),)))
    decision = ask(group(*rows), "resource-offline", world(), resource=1)
    assert wants(decision) == {"A": False, "B": True, "Service": True}


def test_a_restart_of_a_resource_stops_it_then_starts_it():
    stopping = ask(group(), "resource-restart", world(), resource=2)
    assert wants(stopping) == {"Disk": True, "Service": False}
    rows = tuple(
        replace(r, state=ResourceState.OFFLINE, running=False) if r.id == 2 else r
        for r in stopping.group.resources
    )
    down = replace(stopping.group, resources=rows, applied_serial=stopping.group.serial)
    starting = reconcile(down, world(), NOW + 1)
    assert wants(starting) == {"Disk": True, "Service": True}
    done = reconcile(with_state(starting.group, ResourceState.ONLINE), world(), NOW + 2)
    assert [o.state for o in done.outcomes] == ["done"]


def test_failback_waits_for_its_window_even_across_midnight():
    more = {"preferred": (2,), "auto_failback": True, "failback_to": 2, "failback_window": (22, 4)}
    noon = reconcile(group(**more), replace(world(), hour=12, seconds_to_next_hour=600), NOW)
    assert noon.group.transit is None
    assert noon.wake_at == NOW + 600
    night = reconcile(group(**more), replace(world(), hour=23), NOW)
    assert night.group.transit is not None
    assert night.group.transit.kind is TransitKind.FAILBACK


def test_failback_needs_a_list_and_the_permission():
    for more in ({"auto_failback": True}, {"preferred": (2,)}):
        decision = reconcile(group(failback_to=2, **more), world(), NOW)
        assert decision.group.transit is None
        assert decision.group.failback_to is None


def test_draining_is_refused_where_no_other_node_is_up():
    with pytest.raises(Refused, match="No other node"):
        around = world("A", "B", down="B")
        nodes.check("drain", around.nodes[1], around, draining=False, hosts=1)


def test_a_lost_owner_means_failover_at_once_without_asking_it():
    lost = reconcile(group(), world("A", "B", down="A"), NOW)
    assert lost.group.owner == 2
    assert lost.group.transit is not None
    assert lost.group.transit.stage is Stage.STARTING
    assert lost.release == ()


def test_a_silent_owner_is_waited_for():
    around = world()
    around = replace(around, nodes={**around.nodes, 1: NodeView(1, "A", NodeState.JOINING)})
    assert reconcile(group(), around, NOW).group.owner == 1


def test_group_states_follow_the_first_rule_that_fits():
    states = ResourceState
    for found, wanted in (
        ((states.FAILED, states.ONLINE_PENDING), GroupState.FAILED),
        ((states.ONLINE, states.OFFLINE_PENDING), GroupState.PENDING),
        ((states.ONLINE, states.OFFLINE), GroupState.PARTIAL_ONLINE),
        ((states.ONLINE, states.ONLINE), GroupState.ONLINE),
        ((states.OFFLINE, states.OFFLINE), GroupState.OFFLINE),
    ):
        rows = tuple(replace(online(n, f"R{n}"), state=state) for n, state in enumerate(found, start=1))
        assert group_state(rows) is wanted
    assert group_state(()) is GroupState.OFFLINE


def fail_resource_2(**changes: Any) -> GroupView:
    """The group after an operator's operation 7 let its resource 2 fail, and `changes` of that resource."""
    asked = request(group(), Intent(7, "resource-fail", "alice", resource=2), world(), NOW).group
    return asked.with_resource(replace(asked.by_id[2], **changes))


def test_a_simulated_failure_is_asked_for_again_until_its_node_has_carried_it_out():
    asked = request(group(), Intent(7, "resource-fail", "alice", resource=2), world(), NOW)
    assert asked.fail == ((2, 7),)  # a node simulates one of an operation once
    assert asked.outcomes == ()
    assert reconcile(asked.group, world(), NOW + 0.5).fail == ()
    again = reconcile(asked.group, world(), NOW + 1.5)
    assert (again.fail, again.outcomes) == (((2, 7),), ())
    failed = fail_resource_2(state=ResourceState.FAILED, failure="simulated", simulated=7)
    done = reconcile(failed, world(), NOW + 2)
    assert [(o.operation, o.state) for o in done.outcomes] == [(7, "done")]
    assert done.group.by_id[2].simulate == 0


def test_a_simulated_failure_that_was_carried_out_is_done_even_where_the_resource_is_back():
    back = fail_resource_2(state=ResourceState.ONLINE, simulated=7)
    assert [o.state for o in reconcile(back, world(), NOW + 2).outcomes] == ["done"]


@pytest.mark.parametrize("state", [ResourceState.FAILED, ResourceState.OFFLINE])
def test_what_is_down_by_other_means_cannot_be_let_fail_and_that_is_what_its_operator_hears(
    state: ResourceState,
):
    outcome = reconcile(fail_resource_2(state=state), world(), NOW + 2).outcomes[0]
    assert (outcome.state, f"was {state.label} before" in outcome.text) == ("failed", True)


def test_a_second_simulated_failure_takes_the_place_of_one_that_was_not_carried_out():
    second = request(fail_resource_2(), Intent(8, "resource-fail", "bob", resource=2), world(), NOW + 2)
    assert [(o.operation, o.state) for o in second.outcomes] == [(7, "superseded")]
    assert second.fail == ((2, 8),)


def test_a_target_that_is_paused_before_all_is_up_ends_the_move_as_failed():
    moving = ask(group(), "move", world(), node=2)
    there = reconcile(with_state(moving.group, ResourceState.OFFLINE), world(), NOW + 1)
    rows = tuple(
        replace(r, state=ResourceState.ONLINE, running=True) if r.id == 1 else r
        for r in there.group.resources
    )
    paused = world("A", "B", paused="B")
    told = reconcile(replace(there.group, resources=rows), paused, NOW + 2)
    done = reconcile(replace(told.group, applied_serial=told.group.serial), paused, NOW + 3)
    assert [e.state for e in done.ended] == ["failed"]
    assert "paused before Service" in done.outcomes[0].text


def test_a_group_without_an_owner_comes_online_at_once_where_it_is_asked_to():
    homeless = replace(
        with_state(group(persistent_online=False), ResourceState.OFFLINE),
        owner=None,
        serial=0,
        applied_serial=0,
    )
    decision = ask(homeless, "online", world())
    assert decision.group.owner == 1
    assert decision.send
    assert wants(decision) == {"Disk": True, "Service": True}
