"""The page of oneself, and the sessions that one has open."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from monitoring.access import visits
from monitoring.models import Visit
from monitoring.service import clock
from tests.web import seed

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1"

pytestmark = pytest.mark.django_db


@pytest.fixture
def made() -> seed.Seeded:
    return seed.cluster(clock.now(), probes=False)


def signed_in(name: str = "operator", agent: str = FIREFOX, address: str = "192.0.2.7") -> Client:
    client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=agent)
    given = {"username": name, "password": seed.PASSWORD}
    assert client.post("/login/", given).status_code == 302
    return client


def lives(client: Client) -> bool:
    return client.get("/groups/").status_code == 200


def number_of(client: Client) -> int:
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    return Visit.objects.values_list("pk", flat=True).get(session=key)


def test_a_session_is_listed_with_its_browser_and_address(made: seed.Seeded) -> None:
    here, _ = signed_in(), signed_in(agent=EDGE, address="198.51.100.9")
    page = here.get("/account/").content.decode()
    assert "Firefox on Linux" in page and "192.0.2.7" in page and "this session" in page
    assert "Edge on Windows" in page and "198.51.100.9" in page


def test_only_ones_own_sessions_are_listed(made: seed.Seeded) -> None:
    signed_in("administrator", agent=EDGE)
    assert "Edge" not in signed_in("viewer").get("/account/").content.decode()


def test_another_session_of_ones_own_can_be_ended(made: seed.Seeded) -> None:
    here, there = signed_in(), signed_in()
    here.post("/account/sessions/end/", {"session": number_of(there)})
    assert lives(here) and not lives(there)


def test_all_other_sessions_can_be_ended_at_once(made: seed.Seeded) -> None:
    here, others, colleague = signed_in(), [signed_in(), signed_in()], signed_in("viewer")
    here.post("/account/sessions/end/", {"session": "others"})
    assert lives(here) and lives(colleague)
    assert not any(lives(other) for other in others)


@pytest.mark.parametrize("asked", ["", "0", "x", "9" * 30, "-1", "٣"])
def test_a_session_that_is_none_ends_nothing(made: seed.Seeded, asked: str) -> None:
    here, there = signed_in(), signed_in()
    page = here.post("/account/sessions/end/", {"session": asked}, follow=True).content.decode()
    assert "no such session" in page
    assert lives(here) and lives(there)


def test_the_session_of_somebody_else_cannot_be_ended(made: seed.Seeded) -> None:
    mine, other = signed_in("viewer"), signed_in("administrator")
    mine.post("/account/sessions/end/", {"session": number_of(other)})
    assert lives(other)


def test_a_session_stays_in_the_list_after_a_new_password_and_the_others_are_gone(made: seed.Seeded) -> None:
    here, there = signed_in(), signed_in()
    new = "a completely new one"
    here.post("/password/", {"old_password": seed.PASSWORD, "new_password1": new, "new_password2": new})
    assert lives(here) and not lives(there)
    assert [visit.here for visit in visits.listed(made.users["operator"], here.session.session_key)] == [True]


def test_signing_out_takes_the_session_from_the_list(made: seed.Seeded) -> None:
    client = signed_in()
    assert Visit.objects.count() == 1
    client.post("/logout/")
    assert Visit.objects.count() == Session.objects.count() == 0


def test_a_session_from_before_the_list_is_listed_with_its_next_request(made: seed.Seeded) -> None:
    client = Client()
    client.force_login(made.users["viewer"])
    assert Visit.objects.count() == 0
    assert "this session" in client.get("/account/").content.decode()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (EDGE, "Edge on Windows"),
        (IPHONE, "Safari on iOS"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown browser"),
        ("x" * 400, "x" * 40),
    ],
)
def test_a_browser_has_a_short_name(agent: str, name: str) -> None:
    assert visits.browser_name(agent) == name
