"""Geometry of the drawings: everything lies on its plane, axes have round marks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from monitoring.models import Group
from monitoring.service import clock
from monitoring.service.queries import groups
from monitoring.service.queries.resources import ProbePoint
from monitoring.web import charts
from monitoring.web.times import clock_ticks
from tests.web import seed

points = st.lists(
    st.builds(
        ProbePoint,
        at=st.floats(0, 3600),
        mean_ms=st.floats(0, 1e5),
        max_ms=st.floats(0, 1e6),
        calls=st.integers(0, 1000),
        failures=st.integers(0, 3),
    ),
    max_size=20,
)


@given(points)
def test_probe_times_stay_on_the_plane_whatever_they_are(found: list[ProbePoint]) -> None:
    found.sort(key=lambda point: point.at)
    drawn = charts.series("IsAlive", found, 0, 3600, ())
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", drawn.band)]
    assert all(0 <= x <= 1000 for x in numbers[::2])
    assert drawn.rows[0].at == 100 and drawn.rows[-1].at == pytest.approx(0, abs=0.01)
    assert len(drawn.rows) <= 7
    assert all(0 <= one.x <= one.middle <= one.x + one.width <= 100.001 for one in drawn.samples)


@given(st.floats(0.01, 1e7), st.integers(2, 10))
def test_marks_of_an_axis_are_round_numbers(span: float, wanted: int) -> None:
    step = charts.nice_step(span, wanted)
    digits = f"{step:e}".split("e")[0]
    assert float(digits) in (1, 2, 5)
    assert step >= span / wanted * 0.99


@pytest.mark.parametrize("span", [3600.0, 21_600.0, 86_400.0, 604_800.0])
def test_marks_of_the_clock_are_round_in_local_time(span: float) -> None:
    until = datetime(2030, 6, 1, 12, 34, 56, tzinfo=UTC).timestamp()
    with timezone.override(ZoneInfo("Asia/Kolkata")):  # half an hour off UTC
        ticks = clock_ticks(until - span, until)
    assert 2 <= len(ticks) <= 8
    assert all(0 <= tick.at <= 100 for tick in ticks)
    if span < 604_800:
        assert all(tick.label.endswith(("0", "5")) for tick in ticks)


def test_the_graph_draws_each_resource_once_and_each_dependency(seeded: seed.Seeded) -> None:
    detail = groups.group_detail(seeded.groups["EVS1"].pk, clock.now())
    assert detail is not None
    drawn = charts.graph(detail)
    assert len(drawn.boxes) == 12 and len(drawn.links) == len(detail.edges) == 11
    places = {(box.x, box.y) for box in drawn.boxes}
    assert len(places) == 12
    assert all(0 <= x <= drawn.width - drawn.box_width and 0 <= y < drawn.height for x, y in places)
    assert not any(link.open for link in drawn.links)


def test_an_empty_group_draws_nothing(seeded: seed.Seeded) -> None:
    detail = groups.group_detail(Group.objects.create(name="EMPTY").pk, clock.now())
    assert detail is not None
    assert charts.graph(detail).boxes == ()
