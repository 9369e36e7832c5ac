"""The cluster as it was at a moment, as far as the history holds it."""

from __future__ import annotations

from datetime import UTC, datetime

from monitoring.service import clock
from monitoring.service.queries import moment
from tests.web import seed
from tests.web.conftest import Browser
from tests.web.test_availability import _run
from tests.web.test_overview import many


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_states_and_owners_are_those_of_the_moment(seeded: seed.Seeded) -> None:
    now = clock.now()
    groups = {was.name: (was.state, was.node) for was in moment.moment(now - 92_000).groups}
    assert groups == {"EVS1": ("Online", "NODE2"), "EVS2": ("Online", "NODE2"), "FILES": ("Online", "NODE1")}
    smtp = next(was for was in moment.moment(now - 92_000).resources if was.name == "EVS1 SMTP")
    assert (smtp.state, smtp.node) == ("Online", "NODE2")
    before = moment.moment(now - 900_000)
    assert {was.state for was in (*before.groups, *before.resources, *before.nodes)} == {""}


def test_two_moments_differ_in_what_changed_between_them(seeded: seed.Seeded) -> None:
    now = clock.now()
    found = moment.differences(moment.moment(now - 3600), moment.moment(now))
    (files,) = (one for one in found if one.kind == "group")
    assert (files.before.state, files.before.node) == ("Online", "NODE1")
    assert (files.after.state, files.after.node) == ("Failed", "NODE2")


def test_page_api_and_command_line_tell_the_same(seeded: seed.Seeded, browser: Browser) -> None:
    client, now = browser("viewer"), clock.now()
    asked = {"at": _time(now - 3600), "to": _time(now - 1)}
    page = client.get("/history/moment/", {name: text[:-1] for name, text in asked.items()})
    text = page.content.decode()
    assert "What is different" in text and "Failed on NODE2" in text and "Names are those of today" in text
    api = client.get("/api/v1/moment", asked).json()
    assert [one["after"]["state"] for one in api["differences"] if one["kind"] == "group"] == ["Failed"]
    assert "Failed on NODE2" in _run("moment", asked["at"], "--to", asked["to"])[1]
    assert "EVS1" in _run("moment", asked["at"])[1]
    assert client.get("/history/moment/", {"at": "noon"}).status_code == 422
    assert client.get("/api/v1/moment", {"at": "noon"}).json()["field"] == "at"
    assert client.get("/api/v1/moment", {"at": _time(now + 9000)}).status_code == 400
    assert _run("moment", "noon")[0] == 2


def test_a_moment_with_many_things_is_paged(browser: Browser, seeded: seed.Seeded) -> None:
    many(450)
    client = browser("viewer")
    first = client.get("/history/moment/").content.decode()
    assert ("G0000" in first, "G0449" in first) == (True, False)
    address = first.split('class="pager"')[1].split('href="')[1].split('"')[0]
    assert address == "/history/moment/?page=2"
    last = client.get("/history/moment/?page=3").content.decode()
    assert ("G0449" in last, "page=4" in last) == (True, True)  # resources are two of each
    assert client.get("/history/moment/?page=x").status_code == 200
