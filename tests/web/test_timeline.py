"""The state timeline: lanes of spans, drawn, zoomed and moved by the address."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring.core.states import GroupState
from monitoring.models import Dependency, Group
from monitoring.service import clock
from monitoring.service.queries import timeline as read
from monitoring.service.queries.timeline import Lane, Span, Timeline
from monitoring.web import lanes, timeline
from tests.web import seed
from tests.web.conftest import Browser

PAGE = "/history/timeline/"
ON, FAILED, PENDING = GroupState.ONLINE, GroupState.FAILED, GroupState.PENDING


def _span(since: float, until: float | None, state: GroupState, node: str = "NODE1") -> Span:
    return Span(int(since) + 1, since, until, state, ON, node, None, "")


def _drawn(*spans: Span, until: float = 1000.0) -> lanes.DrawnLane:
    return lanes.draw(Lane(1, "WEB", spans), Timeline(0.0, until, (), ()), until)


def test_spans_stand_where_their_time_is() -> None:
    drawn = _drawn(_span(-50, 250, ON), _span(250, 500, FAILED), _span(500, None, ON, "NODE2"))
    assert [(m.x, m.width, m.look) for m in drawn.marks] == [
        (0, 25, "online"),
        (25, 25, "failed"),
        (50, 50, "online"),
    ]
    assert [(s.x, s.width, s.node) for s in drawn.stays] == [(0, 50, "NODE1"), (50, 50, "NODE2")]


def test_what_is_too_thin_is_gathered_under_the_worst_of_it() -> None:
    thin = [_span(500 + n, 501 + n, FAILED if n == 1 else PENDING) for n in range(4)]
    drawn = _drawn(_span(0, 500, ON), *thin, _span(504, None, ON))
    assert [(mark.look, mark.count) for mark in drawn.marks] == [("online", 1), ("failed", 4), ("online", 1)]
    assert drawn.marks[1].until == 504


def test_a_lane_has_a_bounded_number_of_marks_however_much_happened() -> None:
    many = [_span(n / 10, (n + 1) / 10, FAILED if n % 2 else ON) for n in range(10_000)]
    assert len(_drawn(*many).marks) <= 300


def test_a_lane_begins_with_the_state_from_before_and_ends_with_the_present_one(seeded: seed.Seeded) -> None:
    now = clock.now()
    found = read.timeline(now - 86_400, now, now)
    files = next(lane for lane in found.lanes if lane.name == "FILES")
    assert [span.state for span in files.spans] == [ON, PENDING, FAILED]
    assert files.spans[0].since < found.since and files.spans[-1].until is None
    (told,) = read.with_causes([files])
    assert "failed 4 times" in told.spans[1].cause and told.spans[1].record == seeded.records[-1].pk
    earlier = read.timeline(now - 86_400, now - 3600, now).lanes
    assert all(lane.spans[-1].until == now - 3600 for lane in earlier)


def test_a_deleted_group_ends_with_its_last_change(seeded: seed.Seeded) -> None:
    now = clock.now()
    Dependency.objects.all().delete()
    seeded.groups["FILES"].resources.all().delete()
    seeded.groups["FILES"].delete()  # the history keeps its name
    lane = next(lane for lane in read.timeline(now - 86_400, now, now).lanes if lane.name == "FILES")
    assert lane.group is None and lane.spans[-1].until == lane.spans[-1].since


def test_spans_tell_and_lead_to_the_failover_or_to_the_events_of_their_time(
    seeded: seed.Seeded, browser: Browser
) -> None:
    text = browser("viewer").get(PAGE).content.decode()
    assert f'href="/history/{seeded.records[-1].pk}/"' in text
    assert "FILES: Failed on NODE2, from " in text and "still so" in text
    year = browser("viewer").get(PAGE, {"span": 31_536_000}).content.decode()
    assert f"/history/events/?group={seeded.groups['EVS2'].pk}&amp;since=" in year


def test_lanes_are_chosen_by_the_address(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")

    def names(**asked: int | str) -> list[str]:
        return [lane.name for lane in client.get(PAGE, asked).context["lanes"]]

    assert names() == ["EVS1", "EVS2", "FILES"]
    assert names(show="trouble") == ["EVS1", "FILES"]
    assert names(group=seeded.groups["EVS2"].pk) == ["EVS2"]
    assert names(node=seeded.nodes["NODE1"].pk) == ["EVS1", "FILES"]
    assert client.get(PAGE, {"end": "yesterday"}).status_code == 422
    assert client.get(PAGE, {"span": "7"}).status_code == 422


def test_zoom_and_pan_stay_within_the_past(seeded: seed.Seeded) -> None:
    now = clock.now()

    def addresses(span: int, until: float) -> dict[str, str | None]:
        return {way.name: way.address for way in timeline.ways({"group": "3"}, span, until, now)}

    at_end = addresses(86_400, now)
    assert at_end["later"] is None and at_end["now"] is None
    assert "group=3" in str(at_end["earlier"]) and "end=" in str(at_end["earlier"])
    past = addresses(86_400, now - 40_000)
    assert "end=" not in str(past["later"]) and past["now"] == f"{PAGE}?group=3&span=86400"
    assert addresses(3600, now)["in"] is None and addresses(31_536_000, now)["out"] is None
    middle = timeline.local(now - 40_000 - 43_200 + 10_800).replace(":", "%3A")
    assert f"end={middle}" in str(past["in"])
    assert datetime.fromisoformat(timeline.local(now)).replace(
        tzinfo=timezone.get_current_timezone()
    ).timestamp() == pytest.approx(now, abs=1)


def test_the_timeline_asks_the_same_for_many_groups(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    asked = []
    for count in (0, 300):
        Group.objects.bulk_create(Group(name=f"X{n}") for n in range(count))
        with CaptureQueriesContext(connection) as queries:
            response = client.get(PAGE)
        asked.append(len(queries))
    assert asked[0] == asked[1]
    assert len(response.context["lanes"]) == timeline.PAGE and "Next groups" in response.content.decode()


def test_programs_get_the_states_of_a_group_with_their_causes(browser: Browser, seeded: seed.Seeded) -> None:
    client = browser("viewer")
    since = f"{datetime.fromtimestamp(clock.now() - 9 * 86_400, UTC):%Y-%m-%dT%H:%M:%SZ}"
    found = client.get("/api/v1/timeline", {"group": "FILES", "since": since}).json()
    (lane,) = found["groups"]
    assert lane["group"] == "FILES"
    assert lane["spans"][-1]["state"] == "Failed"
    assert lane["spans"][-1]["until"] is None
    assert all(before["until"] == after["since"] for before, after in pairwise(lane["spans"]))
    assert all(span["cause"] for span in lane["spans"])
    wrong = client.get("/api/v1/timeline", {"since": "yesterday"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "since")
    assert client.get("/api/v1/timeline", {"group": "FILSE"}).json()["field"] == "group"


def test_the_command_line_tells_the_same(seeded: seed.Seeded) -> None:
    out = io.StringIO()
    call_command("cluster", "timeline", "--group", "FILES", stdout=out)
    assert "FILES" in out.getvalue()
    assert "Failed" in out.getvalue()
