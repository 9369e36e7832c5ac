"""Guessing passwords: it gets slower and slower, and it keeps nobody out who has been here before."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory, override_settings

from monitoring.access import caller, sign_in, throttle
from monitoring.models import Attempts, Event
from monitoring.service import clock
from monitoring.service.queries.history import FAILED_SIGN_INS
from tests.cluster import stores
from tests.web import seed

pytestmark = pytest.mark.django_db
WRONG = "The name or the password is wrong."
HERE, THERE = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def made() -> seed.Seeded:
    sign_in._right.clear()
    return seed.cluster(clock.now(), probes=False)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass for the throttle; until then no time passes at all."""
    now = [clock.now()]
    monkeypatch.setattr("monitoring.access.throttle.clock.now", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def attempt(name: str, password: str, address: str = THERE, client: Client | None = None) -> Any:
    given = {"username": name, "password": password}
    return (client or Client()).post("/login/", given, REMOTE_ADDR=address)


def fail(times: int, name: str = "administrator", address: str = THERE, client: Client | None = None) -> None:
    for _ in range(times):
        assert WRONG in attempt(name, "a wrong guess", address, client).content.decode()


def wait_of(response: Any) -> int:
    """Seconds that an attempt was told to wait, 0 where it was looked at."""
    if response.status_code != 429:
        return 0
    assert "Too many sign-ins failed. Try again in" in response.content.decode()
    return int(response.headers["Retry-After"])


def test_after_ten_failures_the_right_password_waits_too_and_then_signs_in(
    made: seed.Seeded, later: Callable[[float], None]
) -> None:
    fail(10)
    assert 1 <= wait_of(attempt("administrator", seed.PASSWORD)) <= 3
    later(2)
    assert attempt("administrator", seed.PASSWORD).status_code == 302


def test_the_wait_doubles_up_to_a_quarter_of_an_hour(
    made: seed.Seeded, later: Callable[[float], None]
) -> None:
    fail(10)
    waits = []
    for _ in range(12):
        waits.append(wait_of(attempt("administrator", "a wrong guess")))
        later(waits[-1])
        fail(1)
    assert waits[:4] == [3, 5, 9, 17]
    assert waits[-1] == 901


def test_an_attempt_that_waits_is_not_counted(made: seed.Seeded, later: Callable[[float], None]) -> None:
    fail(10)
    for _ in range(50):
        assert wait_of(attempt("administrator", "a wrong guess")) == 3
    later(2)
    assert attempt("administrator", seed.PASSWORD).status_code == 302


def test_signing_in_forgives_what_failed_from_here(made: seed.Seeded) -> None:
    for _ in range(3):
        fail(9)
        assert attempt("administrator", seed.PASSWORD).status_code == 302


def test_others_and_other_places_do_not_wait(made: seed.Seeded) -> None:
    fail(10)
    assert attempt("operator", seed.PASSWORD, THERE).status_code == 302
    assert attempt("administrator", seed.PASSWORD, HERE).status_code == 302


def test_one_address_cannot_go_through_all_names(made: seed.Seeded, later: Callable[[float], None]) -> None:
    for number in range(30):
        fail(1, f"name{number}")
    assert wait_of(attempt("name99", "a wrong guess"))
    later(2)
    assert attempt("operator", seed.PASSWORD).status_code == 302, "who has an account ..."
    fail(1, "administrator")
    assert wait_of(attempt("operator", seed.PASSWORD)), "... does not buy guesses at others with it"


def test_many_addresses_cannot_guess_at_one_account_for_long(
    made: seed.Seeded, later: Callable[[float], None]
) -> None:
    for number in range(100):
        fail(1, "administrator", f"10.0.0.{number}")
    assert 0 < wait_of(attempt("administrator", "a wrong guess", "10.0.1.1")) <= 3
    for number in range(20):
        later(61)
        fail(1, "administrator", f"10.0.2.{number}")
    assert wait_of(attempt("administrator", "a wrong guess", "10.0.1.2")) == 61, "never more than a minute"


def test_the_only_administrator_cannot_be_shut_out_of_a_browser_that_is_known(
    made: seed.Seeded, later: Callable[[float], None]
) -> None:
    """At 3 a.m., while the whole world guesses at the account, from the administrator's own address too."""
    known = Client()
    assert attempt("administrator", seed.PASSWORD, HERE, known).status_code == 302
    known.post("/logout/")
    for number in range(110):
        attempt("administrator", "a wrong guess", f"10.0.0.{number}")
    for _ in range(10):
        attempt("administrator", "a wrong guess", HERE)
    assert wait_of(attempt("administrator", seed.PASSWORD, HERE))
    assert attempt("administrator", seed.PASSWORD, HERE, known).status_code == 302


def test_a_known_browser_does_not_guess_for_free(made: seed.Seeded) -> None:
    known = Client()
    attempt("operator", seed.PASSWORD, HERE, known)
    known.post("/logout/")
    fail(10, "operator", HERE, known)
    assert wait_of(attempt("operator", seed.PASSWORD, HERE, known))
    assert wait_of(attempt("operator", seed.PASSWORD, THERE, known)), "wherever it is carried to"
    fail(10, "administrator", HERE, known)
    assert wait_of(attempt("administrator", seed.PASSWORD, HERE, known)), "for others it is any browser"


@pytest.mark.parametrize("forged", ["", "x", "eyJpZCI6IngiLCJ1c2VycyI6WzFdfQ:1abc:xyz", "{}"])
def test_a_forged_browser_is_not_known(made: seed.Seeded, forged: str) -> None:
    client = Client()
    client.cookies[settings.DEVICE_COOKIE_NAME] = forged
    fail(10, "operator", THERE, client)
    assert wait_of(attempt("operator", seed.PASSWORD, THERE)), "it counts with all others from there"


def test_a_browser_is_remembered_safely(made: seed.Seeded) -> None:
    client = Client()
    attempt("operator", seed.PASSWORD, HERE, client)
    cookie = client.cookies[settings.DEVICE_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_who_exists_is_not_to_be_learned(made: seed.Seeded, later: Callable[[float], None]) -> None:
    User.objects.filter(username="viewer").update(is_active=False)
    answers: dict[str, object] = {}
    for name, password in (("operator", "wrong"), ("nobody", "wrong"), ("viewer", seed.PASSWORD)):
        waits = [wait_of(attempt(name, password, f"10.1.1.{len(answers)}")) for _ in range(12)]
        text = attempt(name, password, f"10.2.2.{len(answers)}").content.decode()
        answers[name] = (waits, text.replace(name, "NAME").partition("csrfmiddlewaretoken")[0], WRONG in text)
    assert answers["nobody"] == answers["operator"] == answers["viewer"]


@override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"])
def test_an_unknown_name_takes_as_long_as_a_wrong_password(made: seed.Seeded) -> None:
    user = User.objects.get(username="operator")
    user.set_password(seed.PASSWORD)
    user.save()

    def seconds(name: str) -> float:
        start = time.process_time()
        attempt(name, "a wrong guess")
        return time.process_time() - start

    seconds("operator")
    known = min(seconds("operator") for _ in range(3))
    unknown = min(seconds("nobody") for _ in range(3))
    assert 0.5 < unknown / known < 2


def test_a_password_that_was_typed_as_the_name_is_kept_nowhere(
    made: seed.Seeded, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "my-own-secret-password"
    fail(12 - 2, secret)
    attempt(secret, "x")
    rows = str(list(Attempts.objects.values())) + str(list(Event.objects.values("text", "requested_by")))
    assert secret not in rows + caplog.text
    assert Attempts.objects.filter(user=None, kind="both").exists()


def test_repeated_failures_stand_in_the_history_once(
    made: seed.Seeded, later: Callable[[float], None]
) -> None:
    fail(9)
    assert not Event.objects.filter(code=FAILED_SIGN_INS).exists()
    fail(1)
    for _ in range(5):
        later(1000)
        fail(1)
    (event,) = Event.objects.filter(code=FAILED_SIGN_INS)
    assert event.text == f"10 sign-ins as administrator from {THERE} failed. Further ones have to wait."
    page = Client()
    page.force_login(made.users["administrator"])
    assert "10 sign-ins as administrator" in page.get("/history/events/?kind=sign-in").content.decode()


def test_the_history_cannot_be_flooded(made: seed.Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "EVENTS_PER_HOUR", 3)
    for number in range(6):
        fail(10, "operator", f"10.0.0.{number}")
    assert Event.objects.filter(code=FAILED_SIGN_INS).count() == 3


def test_counts_are_forgotten(made: seed.Seeded, later: Callable[[float], None]) -> None:
    fail(9)
    later(throttle.FORGOTTEN + 1)
    fail(9)
    later(throttle.FORGOTTEN + 1)
    fail(1, "operator", HERE)
    assert Attempts.objects.count() == 3, "what is forgotten is deleted"


def test_a_clock_that_jumps_does_not_keep_anybody_out(
    made: seed.Seeded, later: Callable[[float], None]
) -> None:
    later(1e6)
    fail(10)
    later(-1e6)
    assert attempt("administrator", seed.PASSWORD).status_code == 302


# The API


def basic(name: str, password: str, address: str = THERE) -> Any:
    given = base64.b64encode(f"{name}:{password}".encode()).decode()
    return Client().get("/api/v1/cluster", headers={"authorization": f"Basic {given}"}, REMOTE_ADDR=address)


def test_the_api_counts_with_the_login_page(made: seed.Seeded) -> None:
    fail(5)
    for _ in range(5):
        assert basic("administrator", "a wrong guess").status_code == 401
    refused = basic("administrator", seed.PASSWORD)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) in (2, 3)
    assert "Try again in" in refused.json()["detail"]
    assert wait_of(attempt("administrator", seed.PASSWORD))


def test_a_program_that_asks_often_has_its_password_hashed_once(
    made: seed.Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    real = authenticate

    def counting(*args: Any, **kwargs: Any) -> Any:
        hashed.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(sign_in, "authenticate", counting)
    for _ in range(5):
        assert basic("viewer", seed.PASSWORD).status_code == 200
    assert len(hashed) == 1
    assert basic("viewer", "a wrong guess").status_code == 401
    user = made.users["viewer"]
    user.set_password("another one")
    user.save()
    assert basic("viewer", seed.PASSWORD).status_code == 401, "at once, not after a minute"
    assert basic("viewer", "another one").status_code == 200
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert basic("viewer", "another one").status_code == 401


@pytest.mark.parametrize("name", ["x" * 10_000, "a\0b", "", "operator\n"])
def test_a_name_that_cannot_be_is_refused_and_breaks_nothing(made: seed.Seeded, name: str) -> None:
    assert basic(name, "x").status_code == 401
    assert attempt(name, "x").status_code == 200


def test_the_old_password_cannot_be_guessed_with_a_stolen_session(made: seed.Seeded) -> None:
    client = Client()
    client.force_login(made.users["operator"])
    given = {
        "old_password": "a wrong guess",
        "new_password1": "completely new",
        "new_password2": "completely new",
    }
    for _ in range(10):
        assert "entered incorrectly" in client.post("/password/", given).content.decode()
    given["old_password"] = seed.PASSWORD
    assert "Too many" in client.post("/password/", given).content.decode()
    assert User.objects.get(username="operator").check_password(seed.PASSWORD)


# From where a request comes


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("203.0.113.9", "", "", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "", "203.0.113.9"),  # nobody believes it
        ("127.0.0.1", "203.0.113.9", "127.0.0.0/8", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "127.0.0.0/8", "203.0.113.9"),  # the first is made up
        ("127.0.0.1", "203.0.113.9, 10.1.1.1", "127.0.0.0/8,10.0.0.0/8", "203.0.113.9"),
        ("127.0.0.1", "rubbish", "127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.0/8", "127.0.0.1"),
        ("::ffff:203.0.113.9", "", "", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "", "", "2001:db8:1:2::/64"),  # who has one has 2**64
        ("", "", "", ""),
    ],
)
def test_the_address_is_what_trusted_proxies_say(
    peer: str, forwarded: str, proxies: str, expected: str
) -> None:
    import ipaddress

    networks = [ipaddress.ip_network(text) for text in proxies.split(",") if text]
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers={"X-Forwarded-For": forwarded})
    with override_settings(TRUSTED_PROXIES=networks):
        assert caller.address(request) == expected


@pytest.mark.django_db(transaction=True)
def test_a_hundred_guesses_at_once_are_no_more_than_a_hundred_in_a_row() -> None:
    """As several web processes would send them: each thread has a connection of its own."""
    seed.cluster(clock.now(), probes=False)
    looked_at: list[int] = []
    refused: list[int] = []

    def guess() -> None:
        try:
            throttle.reserve(throttle.buckets("administrator", THERE, None))
            looked_at.append(1)
        except throttle.TooManyError:
            refused.append(1)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(looked_at), len(refused)) == (10, 20)


@pytest.mark.cluster
def test_the_same_holds_on_postgresql(tmp_path: Path) -> None:
    with stores.postgresql() as url:
        env = {**os.environ, "DATABASE_URL": url, "CLUSTERWEB_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "tests.security.guesses", "3", "30"],
            cwd=settings.BASE_DIR,
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert rounds == [{"looked at": 10, "waits": 20}] * 3
