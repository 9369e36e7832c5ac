"""Search over the history by words, bounded; the history as JSON."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from monitoring.service.queries import history
from tests.web import seed
from tests.web.conftest import Browser


def _found(text: str) -> list[str]:
    return [row.text for row in history.events(history.Filter(text=text), limit=1000).rows]


def test_all_words_must_occur_in_the_text_or_in_a_name_whatever_their_case(seeded: seed.Seeded) -> None:
    assert _found("smtp SIGNAL") and all(
        "SMTP" in text and "signal" in text for text in _found("smtp SIGNAL")
    )
    assert len(_found("evs1")) > len(_found("evs1 failed")) > 0
    assert _found("evs1 nowhere") == []
    records = history.records(history.Filter(text="heartbeats node2")).rows
    assert [row.group_name for row in records] == ["EVS2"]


def test_what_means_something_to_the_database_is_only_text(seeded: seed.Seeded) -> None:
    assert _found("%") == _found("_") == _found("\\") == _found("' OR 1=1 --") == []


def test_a_search_looks_through_a_part_at_a_time_and_goes_on_below(
    seeded: seed.Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = history.Filter(text="EVS2 is Online on NODE2")
    whole = [row.seq for row in history.events(wanted, limit=1000).rows]
    monkeypatch.setattr(history, "SEARCHED", 20)
    seen: list[int] = []
    before, pages = None, 0
    while True:
        page = history.events(wanted, before, limit=1000)
        seen += [row.seq for row in page.rows]
        pages, before = pages + 1, page.next
        if before is None:
            break
    assert seen == whole != [] and pages == -(-len(seeded.lines) // 20)


def test_the_page_the_api_and_the_files_search_alike(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    asked = {"text": "smtp failed on"}
    numbers = [row.seq for row in history.events(history.Filter(text=asked["text"])).rows]
    assert [row.seq for row in client.get(reverse("history_events"), asked).context["page"].rows] == numbers
    assert [row["seq"] for row in client.get("/api/v1/events", asked).json()["events"]] == numbers
    since = client.get("/api/v1/events", {**asked, "since": "0"}).json()["events"]
    assert [row["seq"] for row in since] == numbers[::-1]
    assert "Nothing fits this filter" in client.get(reverse("history"), {"text": "nowhere"}).content.decode()


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")  # Django's sync test client
def test_the_history_is_exported_as_json(seeded: seed.Seeded, browser: Browser) -> None:
    def read(name: str, **asked: str) -> list[dict[str, object]]:
        response = browser("viewer").get(reverse(name), asked)
        assert response.headers["Content-Type"] == "application/json"
        found: list[dict[str, object]] = json.loads(b"".join(response))
        return found

    events = read("events_json")
    assert [row["seq"] for row in events] == list(range(len(seeded.lines), 0, -1))
    assert "output" not in events[0]
    assert [row["group"] for row in read("failovers_json", text="heartbeats")] == ["EVS2"]
    assert read("failovers_json", text="nowhere") == []
