"""The page of one failover: what it tells, to whom, and what it costs."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.live.topics import Change
from monitoring.models import Event, FailoverNote, FailoverRecord, Phase, ResourceOutput
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries.flight import Flight, flight
from monitoring.web import flight as pages
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


def test_a_page_asks_the_same_number_of_questions_for_every_failover(
    seeded: seed.Seeded, browser: Browser
) -> None:
    client = browser("operator")
    asked = []
    for record in (seeded.records[2], seeded.records[-1], seeded.records[-2]):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("record", args=[record.pk])).status_code == 200
        asked.append(len(queries))
    assert len(set(asked)) == 1 and asked[0] <= 25


def test_what_processes_printed_is_for_operators(seeded: seed.Seeded, browser: Browser) -> None:
    record = seeded.records[-2]
    Event.objects.filter(record=record, code=1153).update(output="panic: disk full")
    smtp = seeded.resources["EVS1 SMTP"]
    ResourceOutput.objects.create(
        resource=smtp, node_name="NODE2", read_at=clock.now(), written_at=record.started, text="421 closing"
    )
    shown = _html(browser, record, "operator")
    assert "panic: disk full" in shown and "421 closing" in shown
    hidden = _html(browser, record, "viewer")
    assert "panic" not in hidden and "421" not in hidden


def test_lines_are_narrowed_to_a_resource_and_what_is_pushed_leaves_them_so(
    seeded: seed.Seeded, browser: Browser
) -> None:
    record = seeded.records[-2]
    all_of_it = _html(browser, record)
    assert "EVS1 POP3</a> changed from" not in all_of_it and 'id="record-lines"' in all_of_it
    assert "EVS1 POP3</a> changed from" in _html(browser, record, query="?resource=*")
    narrowed = _html(browser, record, query="?resource=EVS1+SMTP")
    lines = narrowed.split('id="record-lines-kept"')[1]
    assert "changed from" in lines and "EVS1</a> goes from" not in lines
    assert len(re.findall(r'<li id="line-', lines)) < len(re.findall(r'<li id="line-', all_of_it)) + 10
    assert 'href="/history/moment/?at=' in lines


def test_a_failover_that_is_not_there_is_not_found_and_gives_no_fragment(
    seeded: seed.Seeded, browser: Browser
) -> None:
    assert browser("viewer").get(reverse("record", args=[9999])).status_code == 404
    assert pages.render_changes(9999, Change(seq=1, since=0), Role.VIEWER) == ""


def test_a_change_is_pushed_only_where_it_concerns_the_failover(seeded: seed.Seeded) -> None:
    record = seeded.records[-2]
    newest = Event.objects.latest("seq").seq
    group = frozenset({record.group_id or 0})
    quiet = Change(seq=newest, since=newest, groups=group)
    assert pages.render_changes(record.pk, quiet, Role.VIEWER) == ""
    FailoverRecord.objects.filter(pk=record.pk).update(down_since=record.started, up_at=None)
    html = pages.render_changes(record.pk, quiet, Role.VIEWER)
    for part in pages.PARTS:
        assert f'id="record-{part}"' in html
    assert pages.render_changes(record.pk, Change(seq=newest, since=newest), Role.VIEWER) == ""


def test_the_summary_to_share_holds_the_story_and_an_address(seeded: seed.Seeded, browser: Browser) -> None:
    record = seeded.records[-2]
    FailoverRecord.objects.filter(pk=record.pk).update(down_since=record.started, up_at=record.started + 2)
    html = _html(browser, record)
    summary = (
        html.split('<textarea id="share-summary"')[1].split(">", 1)[1].split("</textarea>")[0].split("\n")
    )
    assert summary[0] == "Failover of EVS1 from NODE2 to NODE1"
    assert summary[-2:] == ["Without service: 2.0 s.", f"http://testserver/history/{record.pk}/"]
    assert 'data-copy="share-link" hidden' in html  # a button that only a script can answer


def test_notes_are_written_changed_and_deleted_by_their_author(seeded: seed.Seeded, browser: Browser) -> None:
    record = seeded.records[-2]
    mine, other = browser("operator"), browser("administrator")
    add = reverse("note_add", args=[record.pk])
    assert mine.post(add, {"text": " The <cable> was loose. "}).status_code == 302
    note = FailoverNote.objects.get(record=record)
    assert (note.author, note.text) == ("operator", "The <cable> was loose.")
    assert "The &lt;cable&gt; was loose." in _html(browser, record)
    change = reverse("note_change", args=[note.pk])
    assert "Only operator may change this note." in other.get(change).content.decode()
    refused = other.post(change, {"text": "mine now"})
    assert refused.status_code == 422
    assert other.post(reverse("note_delete", args=[note.pk])).status_code == 422
    note.refresh_from_db()
    assert note.text == "The <cable> was loose."
    assert mine.post(change, {"text": "It was the switch."}).status_code == 302
    assert mine.post(reverse("note_delete", args=[note.pk])).status_code == 302
    note.refresh_from_db()
    assert note.text == "" and note.deleted_at is not None
    said = Event.objects.filter(record=record, code=9004).order_by("seq").values_list("text", flat=True)
    end = f"note {note.pk} on failover {record.pk} of EVS1."
    assert list(said) == [f"operator {verb} {end}" for verb in ("wrote", "changed", "deleted")]
    assert "Only" not in _html(browser, record) and "The switch" not in _html(browser, record)


def test_a_note_without_a_text_is_refused_beside_its_field(seeded: seed.Seeded, browser: Browser) -> None:
    add = reverse("note_add", args=[seeded.records[-2].pk])
    for text, said in (("  ", "Write something."), ("x" * 4001, "at most 4000 characters")):
        answer = browser("operator").post(add, {"text": text}, headers={"HX-Request": "true"})
        html = answer.content.decode()
        assert answer.status_code == 422 and said in html
        assert 'aria-describedby="note-error"' in html
    assert browser("viewer").get(add).status_code == 403


def test_a_note_from_a_dialog_comes_back_as_the_part_of_the_page_that_it_changes(
    seeded: seed.Seeded, browser: Browser
) -> None:
    add = reverse("note_add", args=[seeded.records[-2].pk])
    answer = browser("operator").post(add, {"text": "Seen."}, headers={"HX-Request": "true"})
    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#record-notes", "outerHTML")
    assert "closeDialog" in json.loads(answer["HX-Trigger"])
    assert "Seen." in answer.content.decode() and 'data-own="operator"' in answer.content.decode()


def test_programs_get_the_whole_story_and_write_notes(seeded: seed.Seeded, browser: Browser) -> None:
    record = seeded.records[-2]
    client, path = browser("operator"), f"/api/v1/records/{record.pk}"
    FailoverRecord.objects.filter(pk=record.pk).update(down_since=record.started, up_at=record.started + 2)

    def post(to: str, **body: str) -> tuple[int, dict[str, object]]:
        answer = client.post(f"{path}/{to}", json.dumps(body), "application/json")
        return answer.status_code, answer.json()

    status, note = post("notes/add", text="Seen.")
    assert status == 201 and note["author"] == "operator"
    assert post(f"notes/{note['id']}/change", text="Seen twice.")[1]["text"] == "Seen twice."
    assert post("notes/add", text=" ")[1]["field"] == "text"
    assert post("notes/777/delete")[0] == 404
    found = client.get(path).json()
    assert found["record"]["without_service_s"] == found["without_service"]["seconds"] == 2.0
    assert found["chain"][-1]["about"] == "outcome" and found["stages"][-1]["name"] == "online"
    assert found["critical_path"][-1]["direction"] == "online" and len(found["phases"]) == 24
    assert [one["text"] for one in found["notes"]] == ["Seen twice."]
    theirs = browser("administrator").post(f"{path}/notes/{note['id']}/delete", "{}", "application/json")
    assert theirs.status_code == 403
    assert post(f"notes/{note['id']}/delete")[1]["text"] == ""
