"""Dependency order as an indented tree and as layers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.service.queries.tree import Requires, branches, layers, providers, ranks

EXCHANGE: dict[int, Requires] = {
    1: (),  # IP Address
    2: ((1,),),  # Network Name
    3: (),  # Physical Disk
    4: ((2,), (3,)),  # System Attendant
    5: ((4,),),  # Information Store
    6: ((4,),),  # MTA
    7: ((5,),),  # SMTP
    8: ((5,),),  # HTTP
}


def test_a_resource_hangs_below_the_provider_that_comes_online_last() -> None:
    lines = {line.id: line for line in branches(EXCHANGE)}
    assert [line.id for line in branches(EXCHANGE)] == [3, 1, 2, 4, 6, 5, 7, 8]
    assert lines[4].depth == 2
    assert lines[3].guides == lines[1].guides == ()
    assert lines[7].guides == ("blank", "blank", "blank", "tee")
    assert lines[8].guides == ("blank", "blank", "blank", "elbow")


def test_a_provider_stands_in_the_column_just_before_what_needs_it() -> None:
    assert layers(EXCHANGE) == [[1], [2, 3], [4], [5, 6], [7, 8]]


def test_alternatives_count_as_providers_each_once() -> None:
    assert providers(((1, 2), (2,), (3,))) == (1, 2, 3)


def test_a_circle_is_shown_rather_than_followed_for_ever() -> None:
    circle: dict[int, Requires] = {1: ((2,),), 2: ((1,),), 3: ()}
    assert sorted(line.id for line in branches(circle)) == [1, 2, 3]
    assert sorted(id for column in layers(circle) for id in column) == [1, 2, 3]


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, Requires]:
    size = draw(st.integers(0, 14))
    graph: dict[int, Requires] = {}
    for id in range(1, size + 1):
        chosen = draw(st.lists(st.integers(1, id - 1), max_size=3, unique=True)) if id > 1 else []
        graph[id] = tuple((provider,) for provider in chosen)
    return graph


@given(graphs())
def test_every_resource_stands_once_in_the_tree_and_once_in_a_column(graph: dict[int, Requires]) -> None:
    assert sorted(line.id for line in branches(graph)) == sorted(graph)
    assert sorted(id for column in layers(graph) for id in column) == sorted(graph)


@given(graphs())
def test_no_resource_stands_in_a_column_before_or_with_its_providers(graph: dict[int, Requires]) -> None:
    column = {id: number for number, ids in enumerate(layers(graph)) for id in ids}
    for id, requires in graph.items():
        assert all(column[provider] < column[id] for provider in providers(requires))


@given(graphs())
def test_ranks_grow_along_every_dependency(graph: dict[int, Requires]) -> None:
    rank = ranks(graph)
    for id, requires in graph.items():
        assert all(rank[provider] < rank[id] for provider in providers(requires))
