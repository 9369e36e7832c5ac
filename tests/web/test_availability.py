"""The report of availability: as a page, as files, in the API and on the command line."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.models import Event, Group, OutageMark
from monitoring.web import availability
from tests.web import seed
from tests.web.conftest import Browser

PAGE = "/history/availability/"


def _outage(seeded: seed.Seeded, group: str) -> int:
    """Number of the newest outage of a group."""
    lines = Event.objects.filter(group=seeded.groups[group], code=1674, state_from="Online")
    return int(lines.order_by("-seq").values_list("seq", flat=True)[0])


def test_the_page_tells_each_group_of_each_month_and_who_served(
    seeded: seed.Seeded, browser: Browser
) -> None:
    response = browser("viewer").get(PAGE)
    text = response.content.decode()
    assert response.status_code == 200
    assert {one.name for one in response.context["report"].rows} == {"EVS1", "EVS2", "FILES"}
    assert "down now" in text and "Mean time to recover" in text and "NODE2 missed its heartbeats" in text
    outages = text.split('id="outages-title"')[1].split("</main>")[0]
    assert "data-dialog" not in outages  # a viewer marks nothing
    assert (
        reverse("outage_mark", args=[_outage(seeded, "FILES")])
        in browser("operator").get(PAGE).content.decode()
    )


def test_the_filter_is_in_the_address_and_wrong_months_are_told_beside_it(
    seeded: seed.Seeded, browser: Browser
) -> None:
    client = browser("viewer")
    one = client.get(PAGE, {"group": seeded.groups["EVS2"].pk})
    assert {row.name for row in one.context["rows"]} == {"EVS2"}
    assert f"group={seeded.groups['EVS2'].pk}" in str(one.context["files"])
    wrong = client.get(PAGE, {"since": "May"})
    assert wrong.status_code == 422 and "is no month. Write it as 2030-01." in wrong.content.decode()
    empty = client.get(PAGE, {"since": "1999-01", "until": "1999-02"})
    assert empty.status_code == 200 and "No group was in service in this time" in empty.content.decode()


def test_the_least_available_come_first_where_that_is_asked(seeded: seed.Seeded, browser: Browser) -> None:
    rows = browser("viewer").get(PAGE, {"order": "worst"}).context["rows"]
    shares = [row.row.availability for row in rows]
    assert shares == sorted(shares)


def test_the_page_asks_the_same_for_many_groups(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    asked = []
    for count in (0, 300):
        made = Group.objects.bulk_create(Group(name=f"X{n}") for n in range(count))
        first = Event.objects.order_by("-seq").values_list("seq", flat=True)[0] + 1
        at = Event.objects.get(code=1674, group=seeded.groups["EVS1"], state_from="Offline").at
        Event.objects.bulk_create(
            Event(
                seq=first + n,
                at=at,
                code=1674,
                text="up",
                group=group,
                group_name=group.name,
                node_name="NODE1",
                state_from="Offline",
                state_to="Online",
            )
            for n, group in enumerate(made)
        )
        with CaptureQueriesContext(connection) as queries:
            response = client.get(PAGE)
        assert response.status_code == 200
        asked.append(len(queries))
    assert asked[0] == asked[1]
    assert len(response.context["rows"]) == availability.ROWS and "Show all" in response.content.decode()
    assert len(client.get(PAGE, {"all": "1"}).context["rows"]) > 300


def test_files_hold_the_same_report(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    rows = list(csv.DictReader(io.StringIO(client.get(reverse("availability_csv")).content.decode())))
    found = json.loads(client.get(reverse("availability_json")).content)
    assert [(r["month"], r["group"]) for r in rows] == [(m["month"], m["group"]) for m in found["months"]]
    assert all("NODE" in row["served"] and row["availability"].endswith("%") for row in rows)
    api = client.get("/api/v1/availability").json()
    assert [m["group"] for m in api["months"]] == [m["group"] for m in found["months"]]
    told = [[(o["outage"], o["planned"], o["cause"]) for o in one["outages"]] for one in (api, found)]
    assert told[0] == told[1] != []
    assert client.get(reverse("availability_csv"), {"since": "no"}).status_code == 400


def test_an_outage_is_marked_on_the_page(seeded: seed.Seeded, browser: Browser) -> None:
    client, number = browser("operator"), _outage(seeded, "EVS1")
    address = reverse("outage_mark", args=[number])
    assert "This outage was" in client.get(address).content.decode()
    assert client.post(address, {"planned": "yes", "reason": " "}).status_code == 422
    answer = client.post(address, {"planned": "yes", "reason": "fire <drill>"})
    assert answer.status_code == 302 and answer.headers["Location"] == PAGE
    assert OutageMark.objects.get().requested_by == "operator"
    assert "fire &lt;drill&gt;" in client.get(PAGE).content.decode()
    assert client.get(reverse("outage_mark", args=[1])).status_code == 404


def test_an_outage_is_marked_by_the_api(seeded: seed.Seeded, browser: Browser) -> None:
    client, number = browser("operator"), _outage(seeded, "FILES")

    def post(outage: int, **body: object) -> tuple[int, dict[str, object]]:
        answer = client.post(
            f"/api/v1/outages/{outage}/mark", json.dumps(body), content_type="application/json"
        )
        return answer.status_code, answer.json()

    assert post(number, planned=True, reason="a test")[0] == 200
    assert post(1, planned=True, reason="a test")[0] == 404
    assert post(number, planned=True)[0] == 400
    found = client.get("/api/v1/availability", {"group": "files"}).json()
    assert found["outages"][0]["marked"]["reason"] == "a test" and found["outages"][0]["planned"]
    assert client.get("/api/v1/availability", {"since": "x"}).json()["field"] == "since"


def _run(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("cluster", *words, stdout=out, stderr=err, no_color=True)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_the_command_line_reports_and_marks(seeded: seed.Seeded) -> None:
    code, out, _ = _run("availability", "--group", "evs1")
    assert code == 0 and out.splitlines()[0].startswith("MONTH") and "EVS1" in out and "NODE1" in out
    number = str(_outage(seeded, "EVS1"))
    assert number in _run("availability", "--outages")[1]
    code, out, _ = _run("mark-outage", number, "planned", "--reason", "a drill")
    assert (code, out.strip()) == (0, f"Outage {number} of EVS1 is marked as planned.")
    assert "a drill" in _run("availability", "--outages")[1]
    assert json.loads(_run("availability", "--json")[1])["outages"]
    assert _run("availability", "--csv")[1].startswith("month,group,")
    code, _, err = _run("mark-outage", "1", "planned", "--reason", "a drill")
    assert code == 1 and "No outage began with event 1" in err
    code, _, err = _run("availability", "--since", "May")
    assert code == 2 and "'May' is no month. Write it as 2030-01." in err


@pytest.mark.parametrize("tab", ["/history/", "/history/events/", PAGE])
def test_the_tabs_keep_the_group(seeded: seed.Seeded, browser: Browser, tab: str) -> None:
    group = seeded.groups["EVS1"].pk
    text = browser("viewer").get(tab, {"group": group}).content.decode()
    for other in ("/history/", "/history/events/", PAGE):
        assert f'href="{quote(other)}?group={group}"' in text
