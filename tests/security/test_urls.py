"""Every address, with every method, for every caller: the table holds, and nothing is outside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from monitoring.fencing import fence_agent
from monitoring.models import Token
from monitoring.service import clock
from tests.fencing.agents import SWITCH, write_agent
from tests.security.table import ADMINISTRATOR, CALLERS, HTTP, OUTSIDE, VIEWER, Caller, Row, reaches
from tests.web import seed

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
TOKEN = "a" * 32
MISSING = "999999"

pytestmark = pytest.mark.django_db


def patterns(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """Every pattern of the project, as it stands in the URLconfs."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry, prefix + str(entry.pattern))
        else:
            assert isinstance(entry, URLPattern)
            yield prefix + str(entry.pattern)


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    found = list(patterns())
    assert sorted(found) == sorted(set(found)), "a pattern is there twice, and the second is never reached"
    assert sorted(set(found) - set(HTTP)) == [], "add a row for each of these to tests/security/table.py"
    assert sorted(set(HTTP) - set(found)) == [], "these rows of tests/security/table.py have no address"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> seed.Seeded:
    write_agent(tmp_path, SWITCH)
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    return seed.cluster(clock.now(), probes=False)


def address(pattern: str, made: seed.Seeded, missing: bool = False) -> str:
    """The address of a thing that exists, or of one that does not."""
    first = {
        "group": str(made.groups["EVS1"].pk),
        "node": str(made.nodes["NODE2"].pk),
        "resource": str(made.resources["EVS1 SMTP"].pk),
        "history": str(made.records[0].pk),
        "record": str(made.records[0].pk),
        "note": str(made.records[0].notes.get().pk),
        "outage": next(str(line.seq) for line in made.lines if line.state_from == "Online"),
        "operation": str(made.records[0].operation_id),
        "device": str(made.fence_step.device_id),
        "step": str(made.fence_step.pk),
        "agent": "fence_test",
        "type": "Generic Application",
        "schedule": str(made.schedule.pk),
        "run": str(made.schedule.runs.get().pk),
        "new": "web-service",
        "token": str(Token.objects.values_list("pk", flat=True)[0]),
    }
    known = "|".join(first)

    def value(found: re.Match[str]) -> str:
        what = re.findall(rf"({known})s?/", pattern[: found.start()])[-1]
        return MISSING if missing else first[what]

    return "/" + re.sub(r"<[^>]+>", value, pattern.replace("^(?P<path>.*)$", "nothing-there"))


def client_of(caller: Caller, made: seed.Seeded) -> Client:
    """A browser that has to prove its requests, signed in as `caller`."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    if caller is not Caller.ANONYMOUS:
        client.force_login(made.users[caller.value])
    client.cookies[settings.CSRF_COOKIE_NAME] = TOKEN
    return client


def send(client: Client, method: str, path: str, row: Row, token: bool = True) -> Any:
    """Send a request that asks for nothing in particular, and forget what it changed."""
    headers = {"X-CSRFToken": TOKEN} if token else {}
    kind, body = ("application/json", b"") if row.api else ("application/x-www-form-urlencoded", b"sent=1")
    where = f"{path}?{row.query}" if row.query else path
    cookies = deepcopy(client.cookies)
    with transaction.atomic():
        response = client.generic(method, where, body, kind, headers=headers)
        transaction.set_rollback(True)
    client.cookies = cookies
    return response


def expected(row: Row, method: str, caller: Caller) -> int:
    """The status that the table promises."""
    asked = "GET" if method == "HEAD" else method
    least, status = row.methods.get("") or row.methods.get(asked) or (None, 405)
    floor = least or min((least for least, _ in row.methods.values()), key=CALLERS.index)
    if not reaches(caller, floor):
        anonymous = 401 if row.api else 302
        return anonymous if caller is Caller.ANONYMOUS else 403
    return row.status.get((asked, caller), status)


def wrong(response: HttpResponse, status: int, path: str, row: Row, caller: Caller) -> str:
    """What is wrong with an answer, "" where it is as promised."""
    if response.status_code != status:
        return f"{status} was expected, {response.status_code} came"
    to_login = response.headers.get("Location", "").startswith("/login/?next=")
    if status == 302 and caller is Caller.ANONYMOUS and not to_login and path != "/login/":
        return f"sent to {response.headers['Location']}, not to the login"
    if status == 302 and caller is not Caller.ANONYMOUS and to_login:
        return "sent to the login, although signed in"
    if row.api and status >= 400 and response.headers["Content-Type"] != "application/problem+json":
        return "a program got no problem document"
    return ""


@pytest.mark.parametrize("caller", CALLERS)
def test_every_address_answers_as_the_table_says(made: seed.Seeded, caller: Caller) -> None:
    client = client_of(caller, made)
    failures = []
    for pattern, row in HTTP.items():
        path = address(pattern, made)
        for method in METHODS:
            response = send(client, method, path, row)
            if said := wrong(response, expected(row, method, caller), path, row, caller):
                failures.append(f"{method} {path}: {said}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("caller", CALLERS)
def test_nothing_is_changed_by_a_session_without_its_token(made: seed.Seeded, caller: Caller) -> None:
    client = client_of(caller, made)
    failures = []
    for pattern, row in HTTP.items():
        if not row.csrf:
            continue
        path = address(pattern, made)
        for method in set(METHODS) - set(SAFE):
            status = 401 if row.api and caller is Caller.ANONYMOUS else 403
            response = send(client, method, path, row, token=False)
            if said := wrong(response, status, path, row, caller):
                failures.append(f"{method} {path}: {said}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("caller", CALLERS)
def test_only_who_may_look_learns_that_something_does_not_exist(made: seed.Seeded, caller: Caller) -> None:
    client = client_of(caller, made)
    failures = []
    for pattern, row in HTTP.items():
        path = address(pattern, made, missing=True)
        if MISSING not in path:
            continue
        for method in row.methods:
            status = expected(row, method, caller)
            there = reaches(caller, row.methods[method][0])
            response = send(client, method, path, row)
            if said := wrong(response, 404 if there else status, path, row, caller):
                failures.append(f"{method} {path}: {said}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("caller", CALLERS)
def test_what_no_view_answers_tells_nothing(made: seed.Seeded, caller: Caller) -> None:
    client = client_of(caller, made)
    for path, answers in OUTSIDE.items():
        for method, status in answers.items():
            assert send(client, method, path, HTTP[""]).status_code == status, f"{method} {path}"


@pytest.mark.parametrize(
    "foreign",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "\thttps://evil.example",
    ],
)
def test_signing_in_and_out_leads_to_no_foreign_address(made: seed.Seeded, foreign: str) -> None:
    given = {"username": "viewer", "password": seed.PASSWORD, "next": foreign}
    assert Client().post("/login/", given).headers["Location"] == "/"
    signed_in = client_of(VIEWER, made)
    assert signed_in.get("/login/", {"next": foreign}).headers["Location"] == "/"
    out = signed_in.post("/logout/", {"next": foreign}, headers={"X-CSRFToken": TOKEN})
    assert out.headers["Location"].startswith("/")
    assert "evil.example" not in out.headers["Location"]


def test_an_address_of_this_site_is_gone_to_after_signing_in(made: seed.Seeded) -> None:
    given = {"username": "viewer", "password": seed.PASSWORD, "next": "/groups/?state=3"}
    assert Client().post("/login/", given).headers["Location"] == "/groups/?state=3"


def test_a_row_that_is_wrong_is_found(made: seed.Seeded) -> None:
    """The table cannot agree with anything: an address that is opened to viewers is seen."""
    row = HTTP["cluster/settings/"]
    assert expected(row, "GET", VIEWER) == 403
    assert wrong(HttpResponse(status=200), 403, "/cluster/settings/", row, VIEWER)
    assert wrong(HttpResponse(status=405), 200, "/cluster/settings/", row, ADMINISTRATOR)
