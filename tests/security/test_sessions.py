"""Sessions: what begins one, what ends it, and that its pages end with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from monitoring.live import hub as hub_module
from monitoring.live.consumer import ENDED
from monitoring.models.roles import Role, grant
from monitoring.service import clock
from tests.live.test_feed import closed_with, html_after, watching
from tests.web import seed

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = 3600.0
NEW = "a completely new one"


@pytest.fixture
def made() -> seed.Seeded:
    return seed.cluster(clock.now(), probes=False)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let it be so many seconds later for the age of sessions."""
    start = time.time()

    def later(seconds: float) -> None:
        monkeypatch.setattr("monitoring.web.sessions.time.time", lambda: start + seconds)

    later(0)
    return later


def signed_in(name: str = "operator", password: str = seed.PASSWORD) -> Client:
    client = Client()
    assert client.post("/login/", {"username": name, "password": password}).status_code == 302
    return client


def lives(client: Client) -> bool:
    return client.get("/groups/").status_code == 200


def key_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def test_the_cookies_are_for_this_site_and_no_script_reads_them(made: seed.Seeded) -> None:
    client = Client()
    client.get("/login/")
    client.post("/login/", {"username": "operator", "password": seed.PASSWORD})
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        cookie = client.cookies[name]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert not cookie["domain"]


def test_a_session_that_was_there_before_is_not_the_one_that_is_signed_in(made: seed.Seeded) -> None:
    client = Client()
    session = client.session
    session["planted"] = True
    session.save()
    before = key_of(client)
    client.post("/login/", {"username": "operator", "password": seed.PASSWORD})
    assert lives(client)
    assert key_of(client) != before
    assert not Session.objects.filter(pk=before).exists()


def test_signing_out_ends_the_session_on_the_server(made: seed.Seeded) -> None:
    client = signed_in()
    kept = Client()
    kept.cookies[settings.SESSION_COOKIE_NAME] = key_of(client)
    assert lives(kept)
    client.post("/logout/")
    assert not lives(kept)


def test_a_session_nobody_uses_ends(made: seed.Seeded) -> None:
    client = signed_in()
    assert lives(client)
    session = Session.objects.get(pk=key_of(client))
    left = (session.expire_date - timezone.now()).total_seconds()
    assert settings.SESSION_IDLE - 60 < left <= settings.SESSION_IDLE + 60
    Session.objects.update(expire_date=timezone.now())
    assert not lives(client)


def test_a_session_in_use_goes_on_and_is_hardly_ever_written(
    made: seed.Seeded, at: Callable[[float], None]
) -> None:
    client = signed_in()
    lives(client)
    first = Session.objects.get(pk=key_of(client)).session_data
    at(60)
    assert lives(client)
    assert Session.objects.get(pk=key_of(client)).session_data == first
    at(settings.SESSION_IDLE / 2)
    assert lives(client)
    assert Session.objects.get(pk=key_of(client)).session_data != first


def test_the_oldest_session_ends_however_much_it_is_used(
    made: seed.Seeded, at: Callable[[float], None]
) -> None:
    client = signed_in()
    assert lives(client)
    at(settings.SESSION_LONGEST - HOUR)
    assert lives(client)
    left = (Session.objects.get(pk=key_of(client)).expire_date - timezone.now()).total_seconds()
    assert left < HOUR + 60, "the end of the session, and of its pages, is never later than its age allows"
    at(settings.SESSION_LONGEST + 1)
    assert not lives(client)
    at(0)
    assert not lives(client)


def test_another_password_ends_the_other_sessions_and_keeps_this_one(made: seed.Seeded) -> None:
    here, there = signed_in(), signed_in()
    given = {"old_password": seed.PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert here.post("/password/", given).status_code == 302
    assert lives(here) and not lives(there)
    assert lives(signed_in(password=NEW))


@pytest.mark.parametrize("weak", ["short", "password123", "operator123", "1234567890"])
def test_a_password_that_is_guessed_at_once_is_refused(made: seed.Seeded, weak: str) -> None:
    given = {"old_password": seed.PASSWORD, "new_password1": weak, "new_password2": weak}
    assert signed_in().post("/password/", given).status_code == 200
    assert User.objects.get(username="operator").check_password(seed.PASSWORD)


def test_the_old_password_is_asked_for(made: seed.Seeded) -> None:
    given = {"old_password": "not it", "new_password1": NEW, "new_password2": NEW}
    assert "entered incorrectly" in signed_in().post("/password/", given).content.decode()
    assert User.objects.get(username="operator").check_password(seed.PASSWORD)


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def take_role(user: User) -> None:
    user.groups.clear()


def lower_role(user: User) -> None:
    grant(user, Role.VIEWER)


def new_password(user: User) -> None:
    user.set_password(NEW)
    user.save()


def delete(user: User) -> None:
    user.delete()


def expire(user: User) -> None:
    Session.objects.update(expire_date=timezone.now())


ENDINGS = (deactivate, take_role, lower_role, new_password, delete, expire)


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
def test_the_next_request_of_who_lost_the_right_is_refused(
    made: seed.Seeded, end: Callable[[User], None]
) -> None:
    client = signed_in()
    group = made.groups["EVS1"].pk
    assert client.get(f"/groups/{group}/move/").status_code == 200
    end(made.users["operator"])
    assert client.get(f"/groups/{group}/move/").status_code in (302, 403)


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
def test_the_open_page_of_who_lost_the_right_is_told_nothing_more(
    made: seed.Seeded, monkeypatch: pytest.MonkeyPatch, end: Callable[[User], None]
) -> None:
    monkeypatch.setattr(hub_module, "BACKSTOP", 0.1)
    monkeypatch.setattr(hub_module, "LIFE_SIGN", 0.2)
    client = signed_in()
    cookies = f"{settings.SESSION_COOKIE_NAME}={key_of(client)}"

    async def watch() -> None:
        async with watching(cookies) as socket:
            await html_after(socket, "")
            await database_sync_to_async(end)(made.users["operator"])
            assert await closed_with(socket) == ENDED

    async_to_sync(watch)()


def test_the_right_to_watch_is_asked_for_often_enough() -> None:
    """The promise: an open page of somebody who lost the right ends within ten seconds."""
    assert hub_module.LIFE_SIGN + 2 * hub_module.BACKSTOP <= 10
