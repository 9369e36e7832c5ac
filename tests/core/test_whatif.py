"""What if: the answer is what the decisions would do, and says by which rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitoring.core.homes import load_of, single_points
from monitoring.core.model import GroupView, World
from monitoring.core.states import RestartAction
from monitoring.core.whatif import Answer, Fate, Question, Verdict, ask
from tests.core.build import NOW, group, online, world


def named(name: str, gid: int, owner: int, stores: int = 0, **more: Any) -> GroupView:
    """A group of a disk and a service that needs it, online on `owner`."""
    disk, service = gid * 10, gid * 10 + 1
    rows = (online(disk, f"{name} Disk"), online(service, f"{name} Service", requires=((disk,),)))
    rows = (rows[0], replace(rows[1], storage_groups=stores))
    return replace(group(*rows, **more), id=gid, name=name, owner=owner)


def loaded(around: World, *groups: GroupView) -> World:
    return replace(around, loads_of=lambda: tuple(map(load_of, groups)))


def asked(around: World, *groups: GroupView, **question: set[int]) -> Answer:
    parts = {name: frozenset(ids) for name, ids in question.items()}
    return ask(Question(**parts), groups, loaded(around, *groups), NOW)


def fate(answer: Answer, name: str) -> Fate:
    return next(fate for fate in answer.fates if fate.name == name)


def test_a_group_of_a_lost_node_goes_to_the_next_preferred_owner_and_the_rule_is_told():
    answer = asked(world("A", "B", "C"), named("G", 1, 1, preferred=(1, 3)), fails={1})
    (found,) = answer.fates
    assert (found.verdict, found.source, found.owner) == (Verdict.MOVES, 1, 3)
    assert found.why == "C is the next preferred owner."
    assert found.hops[0].after_loss
    assert not found.down


def test_groups_of_a_lost_node_are_spread_one_after_the_other():
    groups = [named(f"G{n}", n, 1) for n in range(1, 5)]
    answer = asked(world("A", "B", "C"), *groups, fails={1})
    assert sorted(f.owner or 0 for f in answer.fates) == [2, 2, 3, 3]


def test_a_group_that_only_the_lost_node_may_run_stays_down():
    answer = asked(world("A", "B"), named("G", 1, 1, possible=frozenset({1})), fails={1})
    (found,) = answer.fates
    assert found.verdict is Verdict.DOWN
    assert found.down == ("G Disk", "G Service")
    assert "no other node may run it" in found.why.lower()


def test_two_nodes_that_fail_together_leave_nothing_to_each_other():
    groups = (named("G", 1, 1), named("H", 2, 2))
    answer = asked(world("A", "B", "C"), *groups, fails={1, 2})
    assert {f.owner for f in answer.fates} == {3}
    answer = asked(world("A", "B"), *groups, fails={1, 2})
    assert {f.verdict for f in answer.fates} == {Verdict.DOWN}


def test_a_drained_node_gives_its_groups_away_and_keeps_what_nobody_can_take():
    groups = (named("G", 1, 1), named("BOUND", 2, 1, possible=frozenset({1})))
    answer = asked(world("A", "B"), *groups, drained={1})
    assert (fate(answer, "G").verdict, fate(answer, "G").owner) == (Verdict.MOVES, 2)
    stays = fate(answer, "BOUND")
    assert (stays.verdict, stays.owner, stays.down) == (Verdict.STAYS, 1, ())
    assert "No other node can take BOUND." in stays.why


def test_a_drain_that_would_be_refused_is_told_and_moves_nothing():
    answer = asked(world("A", "B"), named("G", 1, 1), named("H", 2, 2), fails={2}, drained={1})
    assert answer.refused == ("No other node is up that could take the groups of A.",)
    assert fate(answer, "G").verdict is Verdict.STAYS
    assert (fate(answer, "H").verdict, fate(answer, "H").owner) == (Verdict.MOVES, 1)


def test_a_node_that_fails_does_not_take_the_groups_of_one_that_is_drained():
    groups = (named("G", 1, 1), named("H", 2, 2))
    answer = asked(world("A", "B", "C"), *groups, fails={2}, drained={1})
    assert {f.owner for f in answer.fates} == {3}


def test_a_disk_that_breaks_everywhere_is_restarted_failed_over_and_left():
    answer = asked(world("A", "B"), named("G", 1, 1), disks={10})
    (found,) = answer.fates
    assert found.verdict is Verdict.DOWN
    assert found.down == ("G Disk", "G Service")
    assert [(hop.source, hop.target) for hop in found.hops] == [(1, 2)]
    assert "G is left failed on B: 1 failover in 6 h are used up." in found.why
    assert found.restarts == 3.0  # three restarts on each of two nodes, half a second before each


def test_what_does_not_need_the_broken_disk_stays_up():
    lonely = online(12, "G Watcher")
    subject = named("G", 1, 1)
    subject = group(*subject.resources, lonely)
    answer = asked(world("A"), replace(subject, id=1, name="G"), disks={10})
    (found,) = answer.fates
    assert found.verdict is Verdict.PARTLY
    assert found.down == ("G Disk", "G Service")


def test_a_disk_that_is_not_to_be_restarted_leaves_the_group_where_it_is():
    subject = named("G", 1, 1)
    subject = subject.with_resource(replace(subject.resources[0], restart_action=RestartAction.DONT_RESTART))
    (found,) = asked(world("A", "B"), subject, disks={10}).fates
    assert (found.owner, found.hops) == (1, ())
    assert found.verdict is Verdict.DOWN


def test_a_node_that_would_hold_too_many_storage_groups_takes_one_and_refuses_the_next():
    groups = (named("E1", 1, 1, stores=2), named("E2", 2, 1, stores=2), named("E3", 3, 2, stores=2))
    answer = asked(world("A", "B"), *groups, fails={1})
    assert fate(answer, "E1").verdict is Verdict.MOVES
    assert fate(answer, "E2").verdict is Verdict.DOWN
    assert "B would hold 6 storage groups; a node may hold 4." in fate(answer, "E2").why


def test_groups_that_should_be_apart_and_are_not_are_told():
    apart: dict[str, Any] = {"anti_affinity": frozenset({"mail"})}
    groups = (named("E1", 1, 1, **apart), named("E2", 2, 2, **apart))
    answer = asked(world("A", "B"), *groups, fails={1})
    assert answer.rules == ("B hosts 2 groups of mail, which should be kept apart.",)


def test_maintenance_and_a_priority_of_zero_keep_a_group_down_and_it_is_said_why():
    groups = (named("M", 1, 1, maintenance=True), named("P", 2, 1, priority=0))
    answer = asked(world("A", "B"), *groups, fails={1})
    assert "in maintenance" in fate(answer, "M").why
    assert "its priority says so" in fate(answer, "P").why
    assert {f.verdict for f in answer.fates} == {Verdict.DOWN}


def test_a_group_that_an_operator_took_offline_moves_and_stays_offline():
    subject = replace(named("G", 1, 1), persistent_online=False)
    (found,) = asked(world("A", "B"), subject, fails={1}).fates
    assert found.verdict is Verdict.MOVES
    assert found.why.endswith("It stays offline, as it was.")


def test_groups_that_the_question_does_not_touch_are_not_in_the_answer():
    answer = asked(world("A", "B"), named("G", 1, 1), named("H", 2, 2), fails={1})
    assert [f.name for f in answer.fates] == ["G"]
    assert asked(world("A", "B"), named("G", 1, 1)).fates == ()


def test_the_worst_comes_first():
    groups = (named("A1", 1, 1), named("Z1", 2, 1, possible=frozenset({1})))
    answer = asked(world("A", "B"), *groups, fails={1})
    assert [f.name for f in answer.fates] == ["Z1", "A1"]


def test_the_loss_of_a_node_that_leaves_a_group_without_a_home_is_told_by_name():
    groups = (named("G", 1, 1), named("BOUND", 2, 2, possible=frozenset({2})))
    (point,) = single_points(groups, world("A", "B"))
    assert (point.name, point.groups, point.why) == ("B", ("BOUND",), "no other node may run it")


def test_with_one_node_left_everything_hangs_on_it():
    groups = (named("G", 1, 1), named("H", 2, 1))
    (point,) = single_points(groups, world("A", "B", down="B"))
    assert (point.name, point.whole, point.why) == ("A", True, "B is down")
    (alone,) = single_points(groups, world("A"))
    assert alone.why == "there is no other node"


def test_no_line_where_every_group_has_a_second_home_or_is_not_to_come_back():
    groups = (named("G", 1, 1), replace(named("OFF", 2, 1, possible=frozenset({1})), persistent_online=False))
    assert single_points(groups, world("A", "B")) == ()
    assert single_points(groups, world("A", maintenance=True)) == ()


def test_the_line_and_the_question_agree_on_who_stays_down():
    """The quick look at all nodes and the whole play come from the same rules."""
    groups = tuple(
        named(
            f"G{n:02}",
            n,
            n % 3 + 1,
            stores=n % 3,
            possible=frozenset({n % 3 + 1, (n * n) % 3 + 1}),
            preferred=(1, 2) if n % 4 else (),
        )
        for n in range(1, 13)
    )
    around = loaded(replace(world("A", "B", "C"), max_storage_groups_per_node=8), *groups)
    told: dict[int, set[str]] = {1: set(), 2: set(), 3: set()}
    for point in single_points(groups, around):
        told[point.node] |= set(point.groups)
    for node in (1, 2, 3):
        answer = ask(Question(fails=frozenset({node})), groups, around, NOW)
        assert {f.name for f in answer.fates if f.verdict is Verdict.DOWN} == told[node]
    assert any(told.values()) and sum(map(len, told.values())) < 12
