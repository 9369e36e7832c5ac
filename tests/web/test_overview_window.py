"""The overview of many groups: a window of them, views of it, and what of a change travels."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest
from django.test import Client

from monitoring.core.states import GroupState
from monitoring.live.topics import Change, Topic
from monitoring.models import Cluster, Group, Node
from monitoring.models.roles import Role
from monitoring.service.queries.arrangement import View, arrange
from monitoring.web import overview
from monitoring.web.overview import render_changes
from tests.web.conftest import Browser
from tests.web.seed import Seeded
from tests.web.test_overview import many


@pytest.fixture(autouse=True)
def nothing_was_sent() -> Iterator[None]:
    overview._shown.clear()
    yield
    overview._shown.clear()


@pytest.fixture
def crowd(seeded: Seeded) -> Seeded:
    """Two hundred groups on two nodes, beside those that were seeded."""
    many(200)
    return seeded


def cards(html: str) -> set[int]:
    return {int(number) for number in re.findall(r'<article [^>]*id="group-(\d+)"', html)}


def rows(html: str, key: str) -> list[int]:
    """The window of one list, as the page is told."""
    found = re.search(rf'data-list="cards-{key}" data-shown="([\d ]*)"', html)
    return [int(number) for number in found[1].split()] if found else []


def test_few_groups_are_all_there(browser: Browser, seeded: Seeded) -> None:
    html = browser("viewer").get("/").content.decode()
    assert cards(html) == {group.pk for group in seeded.groups.values()}
    assert "Show more" not in html


def test_of_many_groups_the_first_of_each_list_are_there_and_the_rest_are_counted(
    browser: Browser, crowd: Seeded
) -> None:
    html = browser("viewer").get("/").content.decode()
    assert len(cards(html)) == 64 + 64 + 1  # FILES needs attention
    assert html.count("Show more of 37") == 2
    assert "101 online" in html


def test_a_list_that_is_opened_shows_more_of_itself_and_the_others_stay(
    browser: Browser, crowd: Seeded
) -> None:
    node = crowd.nodes["NODE1"].pk
    html = browser("viewer").get(f"/?rows={node}:124").content.decode()
    assert len(rows(html, str(node))) == 101
    assert len(rows(html, str(crowd.nodes["NODE2"].pk))) == 64


def test_the_filter_finds_what_is_outside_of_the_window(browser: Browser, crowd: Seeded) -> None:
    hidden = Group.objects.get(name="G0199")
    client = browser("viewer")
    assert hidden.pk not in cards(client.get("/").content.decode())
    html = client.get("/?text=g0199+online").content.decode()
    assert cards(html) == {hidden.pk}
    assert "1 of 203 groups" in html
    nothing = client.get("/?text=g0199+failed").content.decode()
    assert '<p class="empty">No group fits this filter.</p>' in nothing


def test_states_are_counted_and_can_be_chosen(browser: Browser, crowd: Seeded) -> None:
    Group.objects.filter(name="G0150").update(last_state=GroupState.PARTIAL_ONLINE)
    html = browser("viewer").get("/?state=3&state=2").content.decode()
    assert cards(html) == {Group.objects.get(name="G0150").pk, crowd.groups["FILES"].pk}
    arranged = arrange(View.parse("state=3&state=2"))
    assert [(facet.state, facet.count, facet.chosen) for facet in arranged.facets] == [
        (GroupState.FAILED, 1, True),
        (GroupState.PARTIAL_ONLINE, 1, True),
        (GroupState.ONLINE, 201, False),
    ]


def test_what_is_wrong_comes_first_and_what_is_under_way_next(crowd: Seeded) -> None:
    Group.objects.filter(name="G0198").update(last_state=GroupState.PENDING, transit_kind="move")
    Group.objects.filter(name="G0196").update(last_state=GroupState.PARTIAL_ONLINE)
    names = dict(Group.objects.values_list("id", "name"))
    first = next(s for s in arrange(View()).sections if s.node == crowd.nodes["NODE1"].pk)
    assert [names[id] for id in first.shown[:3]] == ["G0196", "G0198", "EVS1"]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("by=state", ["state-2", "state-0"]),
        ("by=none", ["attention", "all"]),
        ("by=none&text=evs", ["attention", "all"]),
        ("by=type", ["attention", "type-exchange-virtual-server", "type-generic-application"]),
    ],
)
def test_groups_stand_together_by_what_one_asks_for(crowd: Seeded, query: str, keys: list[str]) -> None:
    assert [section.key for section in arrange(View.parse(query)).sections] == keys


def test_the_latest_change_comes_first_where_one_asks_for_it(crowd: Seeded) -> None:
    Group.objects.filter(name="G0100").update(state_since=9e9)
    section = next(s for s in arrange(View.parse("by=none&sort=since")).sections if s.key == "all")
    assert section.shown[0] == Group.objects.get(name="G0100").pk
    orders = [card.order for card in section.cards]
    assert orders == sorted(orders)


def test_a_view_is_written_in_one_way_whatever_is_asked() -> None:
    same = ["by=state&text=a++B&state=2&state=0", "state=0&state=2&state=2&text=+a+b&by=state&x=y&sort=moon"]
    assert {View.parse(query).query for query in same} == {"by=state&text=a+b&state=0&state=2"}
    for plain in ("", "by=node", "by=;drop&state=99&state=x&rows=a&rows=a:b&rows=:1&sort="):
        assert View.parse(plain).query == ""
    assert View.parse("rows=3:99999&rows=3:7&rows=4:9000").opened == (("3", 7), ("4", 2000))
    long = View.parse("text=" + "a" * 5000 + "".join(f"&rows=k{n}:5" for n in range(500)))
    assert len(long.query) < 1000


def test_a_page_watches_its_view(browser: Browser, crowd: Seeded) -> None:
    html = browser("viewer").get("/?state=2&by=type").content.decode()
    assert 'data-topic="overview?by=type&amp;state=2"' in html
    assert Topic.parse("overview?state=2&by=type") == Topic("overview", view="by=type&state=2")
    assert Topic.parse("overview") == Topic("overview")
    assert Topic.parse("history?by=type") is None


def told(query: str, groups: set[int], since: int, catching_up: bool = False) -> str:
    change = Change(since + 1, since, groups=frozenset(groups), catching_up=catching_up)
    return render_changes(query, change, Role.VIEWER)


def test_a_change_outside_of_the_window_brings_no_card(crowd: Seeded) -> None:
    told("", set(), 10)
    hidden = Group.objects.get(name="G0199").pk
    assert cards(told("", {hidden}, 11)) == set()
    assert hidden in cards(told("text=g0199", {hidden}, 11))


def test_only_what_differs_travels(crowd: Seeded) -> None:
    first = told("", set(), 10)
    assert 'id="health"' in first and 'class="column-head' in first
    shown = Group.objects.get(name="G0001")
    html = told("", {shown.pk}, 11)
    assert cards(html) == {shown.pk}
    assert 'id="health"' not in html and 'class="column-head' not in html
    assert len(html) < 20_000
    Node.objects.filter(name="NODE1").update(paused=True)
    html = told("", set(), 12)
    assert f'id="node-{crowd.nodes["NODE1"].pk}-head"' in html
    assert f'id="node-{crowd.nodes["NODE2"].pk}-head"' not in html


def test_a_page_that_came_in_between_is_told_all_that_sums_up(crowd: Seeded) -> None:
    told("", set(), 10)
    told("", set(), 9, catching_up=True)
    assert 'id="health"' in told("", set(), 11)


def test_a_page_that_missed_nothing_is_told_nothing(crowd: Seeded) -> None:
    change = Change(10, 10, catching_up=True)
    assert render_changes("", change, Role.VIEWER) == ""


def test_a_group_that_comes_into_the_window_is_sent_and_named_there(crowd: Seeded) -> None:
    told("", set(), 10)
    late, node = Group.objects.get(name="G0199"), crowd.nodes["NODE2"].pk
    last = rows(told("", set(), 11), str(node))[-1]
    Group.objects.filter(pk=late.pk).update(last_state=GroupState.PENDING, transit_kind="move")
    html = told("", {late.pk}, 12)
    assert cards(html) == {late.pk}
    assert rows(html, str(node))[0] == late.pk
    assert last not in rows(html, str(node))
    Group.objects.filter(pk=late.pk).update(last_state=GroupState.ONLINE, transit_kind="")
    html = told("", {late.pk}, 13)
    assert cards(html) == {last}  # it left the window, and who stood there before comes back


def test_the_overview_travels_compressed_and_a_page_that_takes_passwords_does_not(
    browser: Browser, crowd: Seeded
) -> None:
    client = browser("viewer")
    answer = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"Needs attention" in gzip.decompress(answer.content)
    assert len(answer.content) < 60_000
    for path in ("/login/", "/password/"):
        assert "Content-Encoding" not in client.get(path, headers={"Accept-Encoding": "gzip"}).headers


def test_static_files_travel_compressed_to_whoever_takes_that(db: None) -> None:
    Cluster.objects.create()
    packed = Client().get("/static/css/app.css", headers={"Accept-Encoding": "gzip"})
    plain = Client().get("/static/css/app.css")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    both = [b"".join(answer) for answer in (packed, plain)]
    assert gzip.decompress(both[0]) == both[1]
    assert len(both[0]) < len(both[1]) / 2
