"""Output of processes is shown to operators and administrators, on pages, live and in the API."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from monitoring.live.topics import Change
from monitoring.models import Event, ResourceOutput
from monitoring.models.roles import Role
from monitoring.service import clock, journal
from monitoring.service.lock import cluster_lock
from monitoring.web import history, resources
from tests.web import seed
from tests.web.conftest import Browser

SAID = "<b>no room</b> on the disk"
SHOWN = "&lt;b&gt;no room&lt;/b&gt; on the disk"


@pytest.fixture
def printed(seeded: seed.Seeded) -> int:
    """A resource that has printed something, and printed it before a failure."""
    resource = seeded.resources["EVS1 SMTP"]
    now = clock.now()
    ResourceOutput.objects.create(
        resource=resource, node_name="NODE1", read_at=now, written_at=now - 60, text=f"{SAID}\n"
    )
    with cluster_lock() as held:
        journal.add(held, "What it printed", group=resource.group, resource=resource, output=SAID)
    return resource.pk


@pytest.mark.parametrize(("role", "sees"), [("viewer", 0), ("operator", 2), ("administrator", 2)])
def test_the_page_shows_it_to_who_may_see_it(printed: int, browser: Browser, role: str, sees: int) -> None:
    text = browser(role).get(reverse("resource", args=[printed])).content.decode()
    assert text.count(SHOWN) == sees
    assert ("resource-output" in text) is bool(sees)
    history_page = browser(role).get(reverse("history_events")).content.decode()
    assert history_page.count(SHOWN) == bool(sees)


@pytest.mark.parametrize(("role", "sees"), [(Role.VIEWER, 0), (Role.OPERATOR, 2)])
def test_what_was_just_read_is_pushed_to_who_may_see_it(printed: int, role: Role, sees: int) -> None:
    seq = Event.objects.latest("seq").seq
    change = Change(seq, seq - 1, resources=frozenset([printed]))
    assert resources.render_changes(printed, change, role).count(SHOWN) == sees
    assert history.render_changes(None, change, role).count(SHOWN) == bool(sees)
    ResourceOutput.objects.update(read_at=clock.now() - 60)
    assert "resource-output" not in resources.render_changes(printed, change, role)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 200)])
def test_only_who_may_see_it_may_ask_for_it(printed: int, browser: Browser, role: str, status: int) -> None:
    client = browser(role)
    address = reverse("resource_output", args=[printed])
    assert client.post(address, headers={"HX-Request": "true"}).status_code == status
    assert (ResourceOutput.objects.get().asked_at is not None) is (status == 200)


def test_the_api_gives_it_to_who_may_see_it(printed: int, browser: Browser) -> None:
    address = "/api/v1/resources/EVS1 SMTP/output?wait=0"
    assert browser("viewer").get(address).status_code == 403
    answer = json.loads(browser("operator").get(address).content)
    assert (answer["node"], answer["text"], answer["notice"]) == ("NODE1", f"{SAID}\n", "")
    for role, said in (("viewer", ""), ("operator", SAID)):
        events = json.loads(browser(role).get("/api/v1/events?limit=1").content)["events"]
        assert events[0]["output"] == said


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")  # Django's sync test client
def test_exports_leave_it_out(printed: int, browser: Browser) -> None:
    answer = browser("administrator").get(reverse("events_csv"))
    assert "no room" not in "".join(part.decode() for part in answer)
