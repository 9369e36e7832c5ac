"""What holds for every group, whatever its state: found wrong by hypothesis, if by anybody."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.core.intents import request
from monitoring.core.model import GroupView, Intent, NodeView, Refused, ResourceView, Transit, World
from monitoring.core.reconcile import reconcile
from monitoring.core.state import satisfied
from monitoring.core.states import NodeState, ResourceState, RestartAction, Stage, TransitKind
from tests.core.build import NOW

SHAPES: tuple[dict[int, tuple[tuple[int, ...], ...]], ...] = (
    {},
    {2: ((1,),)},
    {2: ((1,),), 3: ((2,),)},
    {3: ((1, 2),)},
    {3: ((1,), (2,))},
)
states = st.sampled_from([s for s in ResourceState if s is not ResourceState.UNKNOWN])
node_states = st.sampled_from(
    [NodeState.UP, NodeState.UP, NodeState.PAUSED, NodeState.DOWN, NodeState.JOINING]
)
times = st.none() | st.sampled_from([NOW - 5, NOW, NOW + 5])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    nodes = {}
    for number in (1, 2, 3):
        state = draw(node_states)
        nodes[number] = NodeView(number, f"NODE{number}", state, lost=state is NodeState.DOWN)
    return World(nodes=nodes, hour=draw(st.integers(0, 23)))


@st.composite
def resources(draw: st.DrawFn) -> tuple[ResourceView, ...]:
    shape = draw(st.sampled_from(SHAPES))
    made = []
    for rid in (1, 2, 3):
        state = draw(states)
        made.append(
            ResourceView(
                id=rid,
                name=f"R{rid}",
                type_name="T",
                requires=shape.get(rid, ()),
                persistent_online=draw(st.booleans()),
                state=state,
                running=draw(st.booleans()) or not state.is_down,
                attempt=draw(st.integers(1, 3)),
                failure="it ended" if state is ResourceState.FAILED and draw(st.booleans()) else "",
                failures=(NOW - 1,) * draw(st.integers(0, 4)),
                restart_at=draw(times),
                retry_at=draw(times),
                restart_action=draw(st.sampled_from(list(RestartAction))),
                restart_threshold=draw(st.integers(0, 3)),
                simulate=draw(st.sampled_from([0, 0, 7])),
                simulate_at=draw(st.sampled_from([None, NOW - 5, NOW - 0.2])),
                simulated=draw(st.sampled_from([0, 6, 7])),
            )
        )
    return tuple(made)


@st.composite
def groups(draw: st.DrawFn) -> GroupView:
    serial = draw(st.integers(0, 3))
    owner = draw(st.sampled_from([None, 1, 2, 3]))
    transit = None
    if owner is not None and draw(st.booleans()):
        stage = draw(st.sampled_from(list(Stage)))
        target = owner if stage is Stage.STARTING else draw(st.integers(1, 3))
        kind = draw(st.sampled_from(list(TransitKind)))
        transit = Transit(kind, owner, target, stage, "a cause", "", NOW - 1, operation=1)
    rows = draw(resources())
    return GroupView(
        id=1,
        name="G",
        owner=owner,
        epoch=draw(st.integers(1, 5)),
        serial=serial,
        applied_serial=draw(st.integers(0, serial)),
        persistent_online=draw(st.booleans()),
        resources=rows,
        preferred=tuple(draw(st.permutations((1, 2, 3)))[: draw(st.integers(0, 3))]),
        possible=frozenset({1, 2, 3}),
        failover_threshold=draw(st.integers(0, 3)),
        failovers=(NOW - 1,) * draw(st.integers(0, 3)),
        auto_failback=draw(st.booleans()),
        failback_to=draw(st.sampled_from([None, 1, 2])),
        given_up=draw(st.booleans()),
        transit=transit,
        wanted=draw(st.just(()) | st.just(tuple((r.id, True, r.attempt) for r in rows))),
        sent_at=draw(times),
    )


@settings(max_examples=500, deadline=None)
@given(groups(), worlds())
def test_a_group_changes_hands_only_when_nothing_of_it_can_run_at_its_owner(group: GroupView, world: World):
    after = reconcile(group, world, NOW).group
    if after.owner != group.owner and group.owner is not None:
        owner = world.nodes[group.owner]
        down = all(r.state.is_down and not r.running for r in group.resources)
        stopping = group.transit is not None and group.transit.stage is Stage.STOPPING
        acknowledged = group.applied_serial == group.serial > 0
        assert owner.lost or (down and stopping and acknowledged)
        assert after.epoch > group.epoch


@settings(max_examples=500, deadline=None)
@given(groups(), worlds())
def test_epochs_and_serials_only_grow_and_a_new_epoch_is_never_taken_for_acknowledged(
    group: GroupView, world: World
):
    after = reconcile(group, world, NOW).group
    assert after.epoch >= group.epoch
    assert after.serial >= group.serial
    if after.epoch > group.epoch:
        assert after.applied_serial == 0


@settings(max_examples=500, deadline=None)
@given(groups(), worlds())
def test_what_is_asked_for_holds_together_and_respects_the_operators_word(group: GroupView, world: World):
    after = reconcile(group, world, NOW).group
    if after.wanted == group.wanted:
        return
    up = {rid for rid, want, _ in after.wanted if want}
    for rid in up:
        assert satisfied(after.by_id[rid].requires, up)
        assert after.by_id[rid].persistent_online
    assert not up or after.persistent_online


@settings(max_examples=500, deadline=None)
@given(groups(), worlds())
def test_nothing_new_is_asked_to_come_online_where_it_may_not(group: GroupView, world: World):
    after = reconcile(group, world, NOW).group
    if after.owner is not None and world.nodes[after.owner].state is not NodeState.UP:
        down = {r.id for r in after.resources if r.state is ResourceState.OFFLINE}
        if after.wanted != group.wanted:
            assert not [rid for rid, want, _ in after.wanted if want and rid in down]


@settings(max_examples=500, deadline=None)
@given(groups(), worlds())
def test_deciding_again_about_the_same_state_changes_and_tells_nothing(group: GroupView, world: World):
    first = reconcile(group, world, NOW)
    second = reconcile(first.group, world, NOW)
    third = reconcile(second.group, world, NOW)
    assert not third.events
    assert not third.send
    assert third.group == replace(second.group)


@settings(max_examples=500, deadline=None)
@given(
    groups(),
    worlds(),
    st.sampled_from(["move", "online", "offline", "restart"]),
    st.sampled_from([None, 1, 2]),
)
def test_an_intent_is_refused_with_a_field_or_recorded(
    group: GroupView, world: World, kind: str, node: int | None
):
    try:
        accepted = request(group, Intent(99, kind, "alice", node=node), world, NOW)
    except Refused as refused:
        assert refused.field in ("node", "group")
        assert refused.message
        return
    after = accepted.group
    running = {
        after.operation.operation if after.operation else 0,
        after.transit.operation if after.transit else 0,
    }
    ended = {outcome.operation for outcome in accepted.outcomes}
    assert 99 in running | ended
