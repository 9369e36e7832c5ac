"""The history: filters, pages behind a key, an opened failover, the export."""

from __future__ import annotations

import csv
import io
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from monitoring.core.states import Severity
from monitoring.live.topics import Change
from monitoring.models import Dependency, Event, FailoverRecord, Group
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries import history as read
from monitoring.service.queries.csv_text import harmless
from monitoring.web import export, history
from tests.web import seed
from tests.web.conftest import Browser


def _rows(browser: Browser, tab: str, **filters: object) -> list[read.EventRow | read.RecordRow]:
    response = browser("viewer").get(f"{reverse(tab)}?{urlencode(filters)}")
    assert response.status_code == 200
    return list(response.context["page"].rows)


def test_failovers_are_listed_newest_first_with_cause_outcome_and_who_asked(
    seeded: seed.Seeded, browser: Browser
) -> None:
    rows = _rows(browser, "history")
    assert [row.id for row in rows] == sorted((r.pk for r in seeded.records), reverse=True)  # type: ignore[union-attr]
    text = browser("viewer").get(reverse("history")).content.decode()
    assert "NODE2 missed its heartbeats for 3 s and its lease has run out." in text
    assert "FILES Share cannot come online on NODE2; no other node is left." in text
    assert "the cluster" in text and "Patches of the month" in text


def test_failovers_are_narrowed_by_group_node_kind_and_time(seeded: seed.Seeded, browser: Browser) -> None:
    group = seeded.groups["EVS2"].pk
    assert {row.group_name for row in _rows(browser, "history", group=group)} == {"EVS2"}
    assert {row.kind for row in _rows(browser, "history", kind="drain")} == {"drain"}  # type: ignore[union-attr]
    assert len(_rows(browser, "history", within="3600")) == 1
    node = seeded.nodes["NODE1"].pk
    assert len(_rows(browser, "history", node=node, kind="failover")) == 3
    assert len(_rows(browser, "history", since="2999-01-01 00:00")) == 0


def test_events_are_narrowed_by_severity_kind_and_node(seeded: seed.Seeded, browser: Browser) -> None:
    errors = _rows(browser, "history_events", severity=2)
    assert {row.code for row in errors} == {1069, 1254}  # type: ignore[union-attr]
    passages = _rows(browser, "history_events", kind="passage")
    assert {row.code for row in passages} == {1153, 1254}  # type: ignore[union-attr]
    asked = _rows(browser, "history_events", kind="asked")
    assert {row.requested_by for row in asked} == {"operator", "administrator"}
    node = seeded.nodes["NODE2"].pk
    assert {row.node for row in _rows(browser, "history_events", node=node, severity=1)} == {node}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("filters", "field", "said"),
    [
        ({"since": "yesterday"}, "since", "&#x27;yesterday&#x27; is no time."),
        (
            {"since": "2030-01-02 00:00", "until": "2030-01-01 00:00"},
            "until",
            "before the start of the range",
        ),
        ({"group": "999999"}, "group", "This group does not exist any more."),
        ({"kind": "nonsense"}, "kind", "nonsense is not one of the available choices"),
    ],
)
def test_a_wrong_filter_is_said_beside_its_field(
    seeded: seed.Seeded, browser: Browser, filters: dict[str, str], field: str, said: str
) -> None:
    response = browser("viewer").get(f"{reverse('history')}?{urlencode(filters)}")
    assert response.status_code == 422
    place = response.content.decode().split(f'id="field-{field}"', 1)[1].split('class="field', 1)[0]
    assert said in place
    assert list(response.context["page"].rows) == []
    file = browser("viewer").get(f"{reverse('failovers_csv')}?{urlencode(filters)}")
    assert file.status_code == 400 and f"{field}: " in file.content.decode()


def test_the_address_of_a_filter_holds_only_what_is_filled_in(seeded: seed.Seeded, browser: Browser) -> None:
    group = seeded.groups["EVS1"].pk
    response = browser("viewer").get(
        reverse("history"), {"group": str(group), "node": "", "kind": "move"}, headers={"HX-Request": "true"}
    )
    assert response.headers["HX-Push-Url"] == f"{reverse('history')}?group={group}&kind=move"


def test_a_long_history_goes_on_behind_the_last_row(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    first = client.get(reverse("history_events"))
    following = client.get(first.context["next"])
    rows = [row.seq for row in (*first.context["page"].rows, *following.context["page"].rows)]
    assert rows == list(range(rows[0], rows[0] - len(rows), -1))
    assert b'id="event-list"' in first.content
    assert b'id="event-list"' not in following.content  # new lines are put into the first page only


def test_the_history_of_what_was_deleted_stays(seeded: seed.Seeded, browser: Browser) -> None:
    record = seeded.records[2]
    assert record.group is not None
    Dependency.objects.all().delete()
    record.group.resources.all().delete()
    Group.objects.filter(pk=record.group.pk).delete()
    response = browser("viewer").get(reverse("record", args=[record.pk]))
    assert response.status_code == 200
    assert b"EVS2 SMTP" in response.content
    assert b"Failover of EVS2" in browser("viewer").get(reverse("history")).content


def test_new_rows_are_pushed_to_an_open_history_and_running_ones_again(seeded: seed.Seeded) -> None:
    newest = Event.objects.count()
    running = seeded.records[0]
    FailoverRecord.objects.filter(pk=running.pk).update(state="running", finished=None)
    html = history.render_changes(None, Change(seq=newest, since=newest - 2), Role.VIEWER)
    assert html.count('data-parent="event-list"') == 2
    assert f'id="record-{running.pk}"' in html
    assert 'id="history-news"' in html
    quiet = history.render_changes(None, Change(seq=newest, since=newest), Role.VIEWER)
    assert 'data-parent="event-list"' not in quiet


def _csv(browser: Browser, address: str) -> list[dict[str, str]]:
    response = browser("viewer").get(address)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/csv")
    text = b"".join(response).decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")  # Django's sync test client
def test_the_export_holds_what_the_filter_shows_and_all_of_it(
    seeded: seed.Seeded, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK", 20)
    rows = _csv(browser, reverse("events_csv"))
    assert [int(row["number"]) for row in rows] == list(range(len(seeded.lines), 0, -1))
    moves = _csv(browser, reverse("failovers_csv") + "?kind=move")
    assert {row["kind"] for row in moves} == {"Move"}
    assert all(float(row["seconds"]) > 0 and row["from"] and row["to"] for row in moves)


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_calculate_is_made_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_plain_cells_are_exported_as_they_are() -> None:
    assert harmless("EVS1 - moved") == "EVS1 - moved"
    assert harmless(-3) == -3


def test_names_in_a_line_link_to_their_pages_and_nothing_in_it_is_markup(
    seeded: seed.Seeded, browser: Browser
) -> None:
    smtp = seeded.resources["EVS1 SMTP"]
    Event.objects.create(
        seq=Event.objects.count() + 1,
        at=clock.now(),
        severity=Severity.ERROR,
        text="EVS1 SMTP of EVS1 said <b>no</b>.",
        group=smtp.group,
        group_name="EVS1",
        resource=smtp,
        resource_name=smtp.name,
    )
    text = browser("viewer").get(reverse("history_events")).content.decode()
    assert f'<a href="{reverse("resource", args=[smtp.pk])}">EVS1 SMTP</a> of <a href=' in text
    assert "said &lt;b&gt;no&lt;/b&gt;." in text
