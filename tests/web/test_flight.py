"""The page of one failover: what it tells, to whom, and what it costs."""

from __future__ import annotations

import pytest
from django.urls import reverse

from monitoring.models import FailoverRecord, Phase
from monitoring.service import clock
from monitoring.service.queries.flight import Flight, flight
from monitoring.web import waterfall
from tests.web import seed
from tests.web.conftest import Browser


def _of(record: FailoverRecord) -> Flight:
    found = flight(record.pk, clock.now())
    assert found is not None
    return found


def _html(browser: Browser, record: FailoverRecord, role: str = "viewer", query: str = "") -> str:
    response = browser(role).get(reverse("record", args=[record.pk]) + query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_failover_opens_to_its_phases_with_times_beside_the_bars(
    seeded: seed.Seeded, browser: Browser
) -> None:
    record = seeded.records[-2]
    response = browser("viewer").get(reverse("record", args=[record.pk]))
    lanes = response.context["waterfall"].lanes
    assert len(lanes) == 12
    assert all(len(lane.bars) == 2 and lane.offline and lane.online for lane in lanes)
    assert lanes[0].name in ("EVS1 IP Address", "EVS1 Disk")  # providers come online first
    text = response.content.decode()
    assert text.count('class="bar offline') >= 12 + 1  # and the legend
    assert "owner changed" in text and "EVS1 SMTP failed 4 times within 15 min" in text


def test_bars_lie_within_the_axis_in_their_order(seeded: seed.Seeded) -> None:
    drawn = waterfall.draw(_of(seeded.records[-2]), clock.now())
    assert drawn.handover is not None
    for lane in drawn.lanes:
        down, up = sorted(lane.bars, key=lambda bar: bar.x)
        assert (down.direction, up.direction) == ("offline", "online")
        assert down.x >= 0 and down.x + down.width <= drawn.handover + 0.5
        assert drawn.handover <= up.x and up.x + up.width <= 100.01


def test_a_phase_under_way_grows_until_now(seeded: seed.Seeded) -> None:
    record = seeded.records[-2]
    FailoverRecord.objects.filter(pk=record.pk).update(state="running", finished=None)
    Phase.objects.filter(record=record, resource_name="EVS1 Search", direction="online").update(
        finished=None, outcome=""
    )
    drawn = waterfall.draw(_of(record), record.started + 10)
    running = [bar for lane in drawn.lanes for bar in lane.bars if bar.running]
    assert len(running) == 1 and running[0].x + running[0].width == pytest.approx(100, abs=0.1)


def test_the_critical_path_goes_through_the_resources_that_the_last_one_waited_for(
    seeded: seed.Seeded,
) -> None:
    found = _of(seeded.records[-2])
    by_id = {one.id: one for one in found.phases}
    path = [by_id[id] for id in found.critical]
    downs = [one.resource_name.removeprefix("EVS1 ") for one in path if one.direction == "offline"]
    ups = [one.resource_name.removeprefix("EVS1 ") for one in path if one.direction == "online"]
    assert downs[1:3] == ["Information Store", "System Attendant"]
    assert ups[-3:-1] == ["System Attendant", "Information Store"]
    ends = [one.finished or 0 for one in path]
    assert ends == sorted(ends) and ends[-1] == max(one.finished or 0 for one in found.phases)
