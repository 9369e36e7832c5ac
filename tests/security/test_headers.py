"""Every answer carries the headers that keep a browser from doing what no page of ours asks for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponseBase
from django.test import Client, override_settings

from monitoring.service import clock
from tests.security.table import HTTP, OUTSIDE, Caller
from tests.security.test_urls import address, client_of, send
from tests.web import seed

pytestmark = pytest.mark.django_db
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
}
EXACT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
TELLS_TOO_MUCH = ("Server", "X-Powered-By", "Access-Control-Allow-Origin")


@pytest.fixture
def made() -> seed.Seeded:
    return seed.cluster(clock.now(), probes=False)


def missing(response: HttpResponseBase, static: bool = False) -> list[str]:
    """What is wrong with the headers of an answer."""
    headers = response.headers
    found = [f"{name}: {headers.get(name)}" for name, value in EXACT.items() if headers.get(name) != value]
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    if policy != POLICY:
        found.append(f"Content-Security-Policy: {headers['Content-Security-Policy']}")
    if "camera=()" not in headers.get("Permissions-Policy", ""):
        found.append("Permissions-Policy")
    if not static and "no-store" not in headers.get("Cache-Control", ""):
        found.append(f"Cache-Control: {headers.get('Cache-Control')}")
    found += [f"{name}: {headers[name]}" for name in TELLS_TOO_MUCH if name in headers]
    return found


@pytest.mark.parametrize("caller", [Caller.ANONYMOUS, Caller.STRANGER, Caller.ADMINISTRATOR])
def test_every_answer_carries_every_header(made: seed.Seeded, caller: Caller) -> None:
    client = client_of(caller, made)
    asked = [
        (method, address(pattern, made, absent), token)
        for pattern in HTTP
        for method in ("GET", "POST", "PUT")
        for absent, token in ((False, True), (True, False))
    ]
    statuses, failures = set(), []
    for method, path, token in [
        *asked,
        *((m, path, True) for path, answers in OUTSIDE.items() for m in answers),
    ]:
        response = send(client, method, path, HTTP[""], token)
        statuses.add(response.status_code)
        if found := missing(response, path.startswith("/static/css/")):
            failures.append(f"{method} {path} ({response.status_code}): {', '.join(found)}")
    assert not failures, "\n".join(failures)
    assert statuses >= {200, 302, 403, 404}


def test_an_error_of_ours_carries_them_and_tells_nothing_of_the_program(
    made: seed.Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("monitoring.web.overview.arrange", break_down)
    monkeypatch.setattr("monitoring.api.reads.cluster", break_down)
    client = client_of(Caller.VIEWER, made)
    for path in ("/", "/api/v1/cluster"):
        response = client.get(path)
        assert response.status_code == 500
        assert missing(response) == []
        assert "secret detail" not in response.content.decode()


def test_a_host_that_is_not_ours_is_refused() -> None:
    response = Client(headers={"host": "evil.example"}).get("/login/")
    assert response.status_code == 400
    assert missing(response) == []
    assert b"evil.example" not in response.content


def test_static_files_may_be_kept_by_the_browser() -> None:
    assert "max-age" in Client().get("/static/css/app.css").headers["Cache-Control"]


def test_no_page_has_a_script_or_a_style_of_its_own() -> None:
    """What the policy would block anyway does not stand in a template."""
    inline = re.compile(r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\bstyle=|javascript:|hx-on|hx-vals=.js:")
    root = Path(settings.BASE_DIR)
    files = [*root.glob("templates/**/*.html"), *root.glob("monitoring/templatetags/*.py")]
    assert len(files) > 40
    assert [str(file) for file in files if inline.search(file.read_text())] == []


def test_a_form_without_its_token_is_explained_in_a_page_of_ours(made: seed.Seeded) -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {"username": "viewer"})
    assert response.status_code == 403
    assert "Load the page again" in response.content.decode()


# With TLS in front


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTERWEB_")}
    chosen = {"CLUSTERWEB_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "clusterweb.settings"}
    return {**kept, **chosen, **more}


def manage(tmp_path: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=settings.BASE_DIR,
        env=environment(tmp_path, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_settings_pass_the_deployment_check(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", CLUSTERWEB_HTTPS="1")
    assert done.returncode == 0, done.stderr
    key = tmp_path / "secret-key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text()) >= 50


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLUSTERWEB_SECRET_KEY", "too short"),
        ("CLUSTERWEB_SECRET_KEY", "a" * 60),
        ("CLUSTERWEB_SESSION_HOURS", "soon"),
        ("CLUSTERWEB_SESSION_IDLE_HOURS", "0"),
        ("CLUSTERWEB_TRUSTED_PROXIES", "10.0.0.0/99"),
    ],
)
def test_a_setting_that_is_wrong_ends_the_start(tmp_path: Path, name: str, value: str) -> None:
    done = manage(tmp_path, "check", **{name: value})
    assert done.returncode != 0
    assert name in done.stderr.strip().splitlines()[-1]


def test_over_https_cookies_are_bound_to_it_and_plain_http_is_sent_on(tmp_path: Path) -> None:
    names = "HTTPS", "DEBUG", "SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"
    shown = manage(
        tmp_path,
        "shell",
        "--no-imports",
        "--command",
        f"from django.conf import settings; print(*[getattr(settings, n) for n in {names}])",
        CLUSTERWEB_HTTPS="1",
    )
    https, debug, name, *secure = shown.stdout.split()
    assert (https, debug, *secure) == ("True", "False", "True", "True"), shown.stderr
    assert name.startswith("__Host-clusterweb_session_")


@override_settings(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=[r"^node/messages$"])
def test_plain_http_is_sent_on_but_nodes_come_past_the_proxy(made: seed.Seeded) -> None:
    assert Client().get("/login/").headers["Location"] == "https://testserver/login/"
    assert Client().post("/node/messages", b"", "application/json").status_code == 400


@override_settings(SECURE_HSTS_SECONDS=31_536_000)
def test_over_https_browsers_are_told_to_stay_there(made: seed.Seeded) -> None:
    assert "max-age=31536000" in Client().get("/login/", secure=True).headers["Strict-Transport-Security"]


def test_debug_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert settings.DEBUG is False
