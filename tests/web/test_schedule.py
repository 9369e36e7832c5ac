"""The pages of what is scheduled: calendar, form with what is foreseen, and what is done with one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.models import Event, Operation, Schedule, ScheduleRun
from monitoring.service import clock
from monitoring.service.schedules import edits
from tests.web.conftest import Browser
from tests.web.seed import Seeded

DAY = timedelta(days=1)


def text(at: float, form: str = "%Y-%m-%d") -> str:
    return f"{datetime.fromtimestamp(at, UTC):{form}}"


def tomorrow(form: str = "%Y-%m-%dT%H:%M") -> str:
    return text(clock.now() + 86_400, form)


def wanted(**changed: str) -> dict[str, str]:
    """A drain of NODE2, as the form sends it."""
    return {
        "kind": "drain",
        "node": "NODE2",
        "at": tomorrow(),
        "repeat": "once",
        "zone": "UTC",
        "tolerance_minutes": "15",
        "failback": "none",
        **changed,
    }


@pytest.mark.parametrize("view", ["month", "week"])
def test_the_calendar_shows_what_is_to_come_on_its_day_and_what_was_run(
    browser: Browser, seeded: Seeded, view: str
) -> None:
    at = seeded.schedule.next_at
    assert at is not None
    html = browser("viewer").get("/schedule/", {"view": view, "day": text(at)}).content.decode()
    day = html.split(f'<time datetime="{text(at)}">')[1].split("</li>")[0]
    assert "Move EVS1 to NODE2" in day
    run = ScheduleRun.objects.get()
    html = browser("viewer").get("/schedule/", {"view": view, "day": text(run.due_at)}).content.decode()
    day = html.split(f'<time datetime="{text(run.due_at)}">')[1].split("</li>")[0]
    assert "missed" in day


def test_a_window_stands_on_every_day_that_it_goes_on(browser: Browser) -> None:
    client = browser("operator")
    end = text(clock.now() + 3 * 86_400, "%Y-%m-%dT%H:%M")
    answer = client.post("/schedule/new/", wanted(kind="maintenance", ends=end))
    assert answer.status_code == 302
    day = text(clock.now() + 2 * 86_400)
    html = client.get("/schedule/", {"day": day}).content.decode()
    within = html.split(f'<time datetime="{day}">')[1].split('class="day')[0]
    assert "Maintenance of the cluster" in within


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(browser: Browser) -> None:
    answer = browser("operator").post(
        "/schedule/new/", wanted(node="", zone="Europe/Bonn", reason="Kernel updates")
    )
    assert answer.status_code == 422
    html = answer.content.decode()
    node = html.split('id="field-node"')[1].split('id="field-')[0]
    zone = html.split('id="field-zone"')[1].split('id="field-')[0]
    assert "Choose the node." in node
    assert "There is no time zone Europe/Bonn." in zone
    assert "Kernel updates" in html


def test_fields_that_do_not_belong_to_what_is_chosen_do_not_count(browser: Browser) -> None:
    sent = wanted(kind="restart", group="EVS1", ends=tomorrow(), nth="last", days="mon", until="2020-01-01")
    assert browser("operator").post("/schedule/new/", sent).status_code == 302
    row = Schedule.objects.latest("pk")
    assert (row.node, row.minutes, row.days, row.until) == (None, None, [], "")
    assert row.requested_by == "operator"


def test_what_would_happen_is_shown_while_it_is_typed_and_nothing_is_changed(
    browser: Browser, seeded: Seeded
) -> None:
    client = browser("operator")
    before = Event.objects.count()
    html = client.get("/schedule/preview/", wanted()).content.decode()
    assert "EVS2 goes to NODE1." in html
    assert tomorrow("%H:%M") in html
    other = client.get("/schedule/preview/", wanted(at="2020-01-01T02:00")).content.decode()
    assert "This time is over." in other
    assert (Schedule.objects.count(), Event.objects.count()) == (1, before)


def test_times_of_the_preview_are_by_the_clocks_of_its_zone(browser: Browser) -> None:
    html = browser("operator").get(
        "/schedule/preview/", wanted(at="2100-07-01T02:00", zone="Europe/Berlin")
    ).content.decode()  # fmt: skip
    assert "<strong>02:00</strong>" in html
    assert "CEST" in html


def test_the_form_may_be_filled_in_beforehand(browser: Browser) -> None:
    query = {"kind": "move", "group": "EVS1", "node": "NODE2", "day": "2100-01-01"}
    html = browser("operator").get("/schedule/new/", query).content.decode()
    assert '<option value="EVS1" selected>' in html
    assert 'value="2100-01-01T02:00"' in html
    assert browser("operator").get("/schedule/new/?kind=evict&day=x&at=%00&node=%FF").status_code == 200


def test_run_now_asks_first_and_then_does_it_as_an_operators_click(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    address = f"/schedule/{seeded.schedule.pk}/run/"
    assert "in your name" in client.get(address).content.decode()
    before = Operation.objects.count()
    assert client.post(address).status_code == 302
    operation = Operation.objects.latest("pk")
    assert (Operation.objects.count(), str(operation)) == (before + 1, "Move EVS1")
    assert operation.requested_by == "operator"


def test_what_is_refused_is_said_in_the_dialog(browser: Browser, seeded: Seeded) -> None:
    answer = browser("operator").post(f"/schedule/{seeded.schedule.pk}/end/", headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert "No window of it is open." in answer.content.decode()


def test_a_change_shows_what_there_is_and_takes_its_place(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    address = f"/schedule/{seeded.schedule.pk}/edit/"
    assert '<option value="EVS1" selected>' in client.get(address).content.decode()
    assert client.post(address, wanted()).status_code == 302
    row = Schedule.objects.get()
    assert (row.kind, row.node_name, row.group) == ("drain", "NODE2", None)


def test_a_failure_is_loud_until_somebody_takes_note(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    loud = "The cluster service was not running at its time."
    html = client.get("/schedule/").content.decode()
    assert loud in html.split('id="schedule-failures"')[1].split('id="calendar"')[0]
    run = ScheduleRun.objects.get()
    assert client.post(f"/schedule/runs/{run.pk}/note/").status_code == 302
    html = client.get("/schedule/").content.decode()
    assert loud not in html.split('id="schedule-failures"')[1].split('id="calendar"')[0]
    assert "operator took note." in html


def test_many_schedules_cost_as_many_queries_as_one(browser: Browser, seeded: Seeded) -> None:
    client = browser("viewer")
    asked = []
    for count in (1, 200):
        row = Schedule.objects.get(pk=seeded.schedule.pk)
        while Schedule.objects.count() < count:
            row.pk = None
            row.save()
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/schedule/").status_code == 200
        asked.append(len(queries))
    assert asked[0] == asked[1]


@pytest.mark.parametrize("page", ["/groups/{group}/", "/nodes/{node}/"])
def test_what_is_to_come_stands_on_the_page_of_what_it_is_about(
    browser: Browser, seeded: Seeded, page: str
) -> None:
    address = page.format(group=seeded.groups["EVS1"].pk, node=seeded.nodes["NODE2"].pk)
    client = browser("operator")
    html = client.get(address).content.decode()
    assert f'href="/schedule/{seeded.schedule.pk}/skip/"' in html
    assert 'data-until="' in html
    edits.pause(seeded.schedule.pk, "operator")
    assert "/skip/" not in client.get(address).content.decode()


def test_a_drain_of_its_node_stands_on_the_page_of_a_group(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    client.post("/schedule/new/", wanted())
    html = client.get(f"/groups/{seeded.groups['EVS2'].pk}/").content.decode()
    assert "Drain NODE2" in html
    assert "Drain NODE2" not in client.get(f"/groups/{seeded.groups['EVS1'].pk}/").content.decode()


def test_the_overview_shows_what_comes_within_a_day_and_failures_loudly(
    browser: Browser, seeded: Seeded
) -> None:
    client = browser("operator")
    html = client.get("/").content.decode()
    assert "The cluster service was not running at its time." in html.split('id="schedule-loud"')[1]
    card = html.split(f'id="group-{seeded.groups["EVS1"].pk}"')[1].split("</article>")[0]
    assert "moves to NODE2 in" not in card
    Schedule.objects.update(next_at=clock.now() + 7300)
    html = client.get("/").content.decode()
    card = html.split(f'id="group-{seeded.groups["EVS1"].pk}"')[1].split("</article>")[0]
    assert "moves to NODE2 in" in card
    assert ">2 h</time>" in card


def test_what_is_confirmed_may_be_done_later_instead(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    html = client.get(f"/groups/{seeded.groups['EVS1'].pk}/restart/").content.decode()
    assert 'href="/schedule/new/?kind=restart&amp;group=EVS1"' in html
    html = client.get(f"/resources/{seeded.resources['EVS1 SMTP'].pk}/restart/").content.decode()
    assert "/schedule/new/" not in html
