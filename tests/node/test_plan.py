"""What the plan promises, whatever is wanted and whatever is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.states import ResourceState as S
from monitoring.node.plan import UP, Action, Known, Wish, plan

ONLINE, OFFLINE, FAILED = Known(S.ONLINE, True, 1), Known(S.OFFLINE, False, 1), Known(S.FAILED, False, 1)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[int, Wish], dict[int, Known]]:
    """Up to seven resources; each may depend on those before it, by AND of OR sets."""
    size = draw(st.integers(1, 7))
    wishes, known = {}, {}
    for r in range(size):
        clause = st.lists(st.integers(0, r - 1), min_size=1, max_size=2, unique=True).map(tuple)
        requires = draw(st.lists(clause, max_size=2).map(tuple)) if r else ()
        wishes[r] = Wish(draw(st.booleans()), draw(st.integers(1, 2)), requires)
        state = draw(st.sampled_from([S.ONLINE, S.OFFLINE, S.FAILED, S.ONLINE_PENDING, S.OFFLINE_PENDING]))
        running = state in UP or state is S.OFFLINE_PENDING or (state is S.FAILED and draw(st.booleans()))
        known[r] = Known(state, running, draw(st.integers(0, 2)), draw(st.booleans()) and state in UP)
    return wishes, known


@given(worlds())
def test_a_resource_comes_online_only_when_each_or_set_has_a_provider_online(world):
    wishes, known = world
    for r, action in plan(wishes, known).items():
        if action is Action.ONLINE:
            assert wishes[r].online
            assert all(any(known[p].state is S.ONLINE for p in clause) for clause in wishes[r].requires)


@given(worlds())
def test_a_provider_goes_offline_only_when_nothing_up_needs_it(world):
    wishes, known = world
    actions = plan(wishes, known)
    for r, action in actions.items():
        if action is not Action.OFFLINE:
            continue
        for dependent, wish in wishes.items():
            if known[dependent].is_down:
                continue
            for clause in wish.requires:
                if r in clause:
                    others = [p for p in clause if p != r and known[p].state is S.ONLINE and p not in actions]
                    assert others, "a dependent that is not down loses its last provider"


@given(worlds())
def test_a_failed_resource_is_retried_only_by_a_higher_attempt(world):
    wishes, known = world
    for r, action in plan(wishes, known).items():
        if known[r].state is S.FAILED and action is Action.ONLINE:
            assert wishes[r].attempt > known[r].attempt
            assert not known[r].running


@given(worlds())
def test_carrying_out_the_plan_ends_in_a_state_that_needs_no_action(world):
    """Every action succeeds, one at a time; pending operations end by themselves."""
    wishes, known = world
    for _ in range(60):
        actions = plan(wishes, known)
        pending = {
            r: k for r, k in known.items() if k.state.is_pending or (k.state is S.FAILED and k.running)
        }
        if not actions and not pending:
            break
        for r, k in pending.items():
            known[r] = ONLINE if k.state is S.ONLINE_PENDING and r not in actions else _down(k)
        for r, action in actions.items():
            if r not in pending:
                known[r] = ONLINE if action is Action.ONLINE else OFFLINE
    else:
        raise AssertionError("it does not settle")
    for r, wish in wishes.items():
        if known[r].state is S.ONLINE:
            assert wish.online
            assert all(any(known[p].state is S.ONLINE for p in clause) for clause in wish.requires)
        elif wish.online and known[r].state is not S.FAILED:
            assert any(all(known[p].state is not S.ONLINE for p in clause) for clause in wish.requires)


def _down(known: Known) -> Known:
    return FAILED if known.state is S.FAILED else OFFLINE


def test_independent_resources_start_at_the_same_time():
    wishes = {1: Wish(True, 1), 2: Wish(True, 1), 3: Wish(True, 1, ((1,), (2,)))}
    known = dict.fromkeys(wishes, OFFLINE)
    assert plan(wishes, known) == {1: Action.ONLINE, 2: Action.ONLINE}


def test_an_or_set_survives_the_loss_of_one_provider():
    wishes = {1: Wish(True, 1), 2: Wish(True, 1), 3: Wish(True, 1, ((1, 2),))}
    known = {1: FAILED, 2: ONLINE, 3: ONLINE}
    assert plan(wishes, known) == {}


def test_a_provider_that_fails_takes_its_dependent_down():
    wishes = {1: Wish(True, 1), 2: Wish(True, 1, ((1,),))}
    assert plan(wishes, {1: FAILED, 2: ONLINE}) == {2: Action.OFFLINE}


def test_an_online_that_is_no_longer_wanted_is_broken_off():
    assert plan({1: Wish(False, 1)}, {1: Known(S.ONLINE_PENDING, True, 1)}) == {1: Action.CANCEL}


def test_what_came_online_under_an_earlier_ownership_goes_down_first():
    assert plan({1: Wish(True, 1)}, {1: Known(S.ONLINE, True, 1, outdated=True)}) == {1: Action.OFFLINE}


def test_a_failed_resource_that_is_not_wanted_becomes_offline():
    assert plan({1: Wish(False, 1)}, {1: FAILED}) == {1: Action.CLEAR}
    assert plan({1: Wish(False, 1)}, {1: Known(S.FAILED, True, 1)}) == {}
