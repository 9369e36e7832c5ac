"""What is suggested to be moved: it breaks no rule, makes it better, and then nothing more is suggested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.core import placement
from monitoring.core.balance import MOST, Balance, score, suggest
from monitoring.core.homes import load_of
from monitoring.core.model import GroupView, NodeView, ResourceView, World
from monitoring.core.states import NodeState


def group(
    number: int,
    owner: int | None,
    *,
    preferred: tuple[int, ...] = (),
    stores: int = 0,
    apart: str = "",
    possible: frozenset[int] = frozenset({1, 2, 3}),
    wanted: bool = True,
    maintenance: bool = False,
) -> GroupView:
    resources = (ResourceView(number, f"R{number}", "T", storage_groups=stores),)
    return GroupView(
        number,
        f"G{number}",
        owner,
        preferred=preferred,
        possible=possible,
        resources=resources,
        anti_affinity=frozenset({apart} - {""}),
        persistent_online=wanted,
        maintenance=maintenance,
    )


def world(groups: Sequence[GroupView], *states: NodeState, enforced: bool = False) -> World:
    nodes = {
        number: NodeView(number, f"NODE{number}", state, paused=state is NodeState.PAUSED)
        for number, state in enumerate(states or (NodeState.UP, NodeState.UP), 1)
    }
    loads = tuple(map(load_of, groups))
    return World(nodes, lambda: loads, enforced_anti_affinity=enforced)


def asked(*groups: GroupView, around: World | None = None, **more: dict[int, str]) -> Balance:
    return suggest(groups, around or world(groups), more.get("stays", {}), more.get("up_for", {}))


def told(found: Balance) -> list[str]:
    return [f"{move.name} {move.source}>{move.target} {move.kind}" for move in found.moves]


def test_a_group_that_is_away_goes_home_and_the_reason_says_so() -> None:
    found = asked(group(1, 2, preferred=(1, 2)), up_for={1: "3 h"})
    assert told(found) == ["G1 2>1 home"]
    assert found.moves[0].reasons[0] == "G1 is away from its preferred owner NODE1, which is up for 3 h."


def test_groups_without_a_wish_are_spread_with_the_fewest_moves() -> None:
    found = asked(*(group(number, 1) for number in range(1, 8)), group(9, 2))
    assert told(found) == ["G1 1>2 spread", "G2 1>2 spread", "G3 1>2 spread"]
    assert found.moves[0].reasons == ("NODE1 carries 7 groups, NODE2 1.",)
    assert [load.groups for load in found.before.values()] == [7, 1]
    assert [load.groups for load in found.after.values()] == [4, 4]


def test_nobody_is_moved_from_home_for_the_sake_of_spreading() -> None:
    assert told(asked(*(group(number, 1, preferred=(1,)) for number in range(1, 8)))) == []


def test_a_broken_rule_comes_first() -> None:
    groups = [group(1, 1, stores=3), group(2, 1, stores=2), group(3, 2)]
    found = asked(*groups)
    assert told(found)[0] == "G1 1>2 rule"
    assert found.moves[0].reasons[0] == "NODE1 holds 5 storage groups; a node may hold 4."
    apart = asked(group(1, 1, apart="web"), group(2, 1, apart="web"), group(3, 2))
    assert told(apart) == ["G1 1>2 rule"]
    assert apart.moves[0].reasons[0] == "G1 should be kept apart from G2 on NODE1."


def test_why_a_group_stays_away_from_home_is_told() -> None:
    full = asked(group(1, 2, preferred=(1,), stores=3), group(2, 1, preferred=(1,), stores=2))
    assert told(full) == []
    assert full.left[0].why == "NODE1 would hold 5 storage groups; a node may hold 4."
    away = [group(1, 2, preferred=(1,))]
    paused = asked(*away, around=world(away, NodeState.PAUSED, NodeState.UP))
    assert paused.left[0].why == "NODE1 is paused: nothing may come online there."
    kept = asked(*away, stays={1: "It is on its way."})
    assert (told(kept), kept.left[0].why) == ([], "It is on its way.")
    cared = asked(group(1, 2, preferred=(1,), maintenance=True))
    assert (told(cared), cared.left[0].why) == ([], "G1 is in maintenance.")


def test_what_has_place_only_when_another_has_left_waits_for_it() -> None:
    groups = [group(1, 2, preferred=(1,), stores=3), group(2, 1, preferred=(3,), stores=2)]
    found = asked(*groups, around=world(groups, *[NodeState.UP] * 3))
    assert told(found) == ["G2 1>3 home", "G1 2>1 home"]
    assert [move.waits_for for move in found.moves] == [(), ("G2",)]


def test_what_is_offline_or_on_a_paused_node_is_left_alone() -> None:
    groups = [group(number, 1, wanted=False) for number in range(1, 8)]
    assert told(asked(*groups)) == []
    groups = [group(number, 1) for number in range(1, 8)]
    assert told(asked(*groups, around=world(groups, NodeState.PAUSED, NodeState.UP))) == []


owners = st.sampled_from([1, 2, 3, None])
clusters = st.lists(
    st.builds(
        lambda owner, preferred, stores, apart, possible, wanted, maintenance: {
            "owner": owner,
            "preferred": tuple(preferred),
            "stores": stores,
            "apart": apart,
            "possible": possible,
            "wanted": wanted,
            "maintenance": maintenance,
        },
        owners,
        st.permutations([1, 2, 3]).flatmap(lambda order: st.integers(0, 3).map(lambda n: order[:n])),
        st.sampled_from([0, 0, 0, 1, 2, 3]),
        st.sampled_from(["", "", "a", "b"]),
        st.frozensets(st.sampled_from([1, 2, 3]), min_size=1),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=12,
)
states = st.lists(
    st.sampled_from([NodeState.UP, NodeState.UP, NodeState.PAUSED, NodeState.DOWN]), min_size=3, max_size=3
)


@settings(max_examples=300)
@given(clusters, states, st.booleans())
def test_each_move_keeps_the_rules_and_makes_it_better_and_after_all_nothing_is_suggested(
    rows: list[dict], kinds: list[NodeState], enforced: bool
) -> None:
    groups = [group(number, **row) for number, row in enumerate(rows, 1)]
    around = world(groups, *kinds, enforced=enforced)
    found = suggest(groups, around, {}, {})
    assert len(found.moves) < MOST
    assert len({move.group for move in found.moves}) == len(found.moves)
    start = score(groups, around)
    for move in found.moves:
        view = groups[move.group - 1]
        assert view.owner == move.source
        assert view.persistent_online
        assert not view.maintenance
        assert move.reasons
        if not move.waits_for:
            assert placement.refusal(view, move.target, around) == ""
    moved = {move.group: move.target for move in found.moves}
    after = [replace(view, owner=moved.get(view.id, view.owner)) for view in groups]
    then = world(after, *kinds, enforced=enforced)
    for view in after:
        if view.id in moved and view.owner is not None:  # allowed where it is, beside all others
            assert placement.refusal(view, view.owner, then) == ""
    assert score(after, then) <= start
    assert (score(after, then) < start) == bool(found.moves)
    assert suggest(after, then, {}, {}).moves == ()
