"""Tokens of programs, and the users that they act for."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from monitoring.access import tokens
from monitoring.models import Attempts, Event, Operation, Token
from monitoring.models.roles import Role, grant
from monitoring.service import clock
from tests.web import seed

pytestmark = pytest.mark.django_db


@pytest.fixture
def made() -> seed.Seeded:
    return seed.cluster(clock.now(), probes=False)


def make(made: seed.Seeded, user: str = "operator", role: Role = Role.OPERATOR, **more: Any) -> tokens.Made:
    return tokens.make(made.users[user], "deploy", role, by="administrator", **more)


def ask(secret: str, path: str = "cluster", method: str = "get") -> Any:
    client = Client(enforce_csrf_checks=True)
    headers = {"authorization": f"Bearer {secret}"}
    return getattr(client, method)(f"/api/v1/{path}", headers=headers, content_type="application/json")


def test_a_token_acts_for_its_user_and_the_history_names_both(made: seed.Seeded) -> None:
    secret = make(made).secret
    assert ask(secret).status_code == 200
    assert ask(secret, "groups/EVS1/offline", "post").status_code == 202
    assert Operation.objects.latest("pk").requested_by == "operator (token deploy)"


def test_a_token_does_not_more_than_its_own_role(made: seed.Seeded) -> None:
    secret = make(made, "administrator", Role.VIEWER).secret
    assert ask(secret).status_code == 200
    assert ask(secret, "groups/EVS1/offline", "post").status_code == 403


def test_a_token_does_not_more_than_its_user_may_now(made: seed.Seeded) -> None:
    secret = make(made).secret
    grant(made.users["operator"], Role.VIEWER)
    assert ask(secret, "groups/EVS1/offline", "post").status_code == 403
    made.users["operator"].groups.clear()
    assert ask(secret).status_code == 403
    User.objects.update(is_active=False)
    assert ask(secret).status_code == 401


def test_a_token_of_a_superuser_keeps_to_its_role(made: seed.Seeded) -> None:
    root = User.objects.create_superuser("root")
    secret = tokens.make(root, "x", Role.VIEWER, by="root").secret
    assert ask(secret, "nodes/NODE2/evict", "post").status_code == 403
    assert User.objects.get(username="root").is_superuser


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMINISTRATOR])
def test_a_token_is_not_made_for_more_than_the_user_may(made: seed.Seeded, role: Role) -> None:
    with pytest.raises(ValidationError):
        make(made, "viewer", role)
    with pytest.raises(ValidationError):
        make(made, "stranger", Role.VIEWER)


def test_a_token_ends_by_itself_and_when_it_is_revoked(
    made: seed.Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, lasting = make(made, days=1), make(made, "viewer", Role.VIEWER)
    assert ask(short.secret).status_code == ask(lasting.secret).status_code == 200
    tokens.revoke(lasting.token, by="administrator")
    assert ask(lasting.secret).status_code == 401
    end = clock.now() + tokens.DAY + 1
    monkeypatch.setattr("monitoring.access.tokens.clock.now", lambda: end)
    assert ask(short.secret).status_code == 401


@pytest.mark.parametrize("given", ["", "cwt_", "cwt_wrong", "x" * 5000, "é", "cwt_ a b"])
def test_what_is_no_token_is_refused(made: seed.Seeded, given: str) -> None:
    make(made)
    response = ask(given)
    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert not Attempts.objects.exists(), "256 bits need no throttle, and nobody is kept out for them"


def test_a_secret_is_kept_nowhere(made: seed.Seeded) -> None:
    secret = make(made).secret
    assert len(secret) > 40
    assert secret not in str(list(Token.objects.values())) + str(list(Event.objects.values()))


def test_a_token_opens_no_page(made: seed.Seeded) -> None:
    secret = make(made).secret
    response = Client().get("/groups/", headers={"authorization": f"Bearer {secret}"})
    assert response.headers["Location"].startswith("/login/")


def test_a_token_says_when_it_was_used(made: seed.Seeded) -> None:
    token = make(made)
    ask(token.secret)
    token.token.refresh_from_db()
    assert token.token.used_at is not None


# The page


def administrator(made: seed.Seeded) -> Client:
    client = Client()
    client.force_login(made.users["administrator"])
    return client


def test_a_token_is_shown_once_and_works(made: seed.Seeded) -> None:
    client = administrator(made)
    given = {"user": made.users["operator"].pk, "name": "deploy", "role": "operator", "days": "7"}
    page = client.post("/access/", given).content.decode()
    found = re.search(r'id="new-token">(cwt_[^<]+)<', page)
    assert found is not None
    assert ask(found.group(1), "groups/EVS1/offline", "post").status_code == 202
    assert found.group(1) not in client.get("/access/").content.decode()
    again = client.post("/access/", given)
    assert again.status_code == 422
    assert "has a token of this name" in again.content.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("role", "administrator", "a token cannot do more"),
        ("role", "king", "king"),
        ("name", "", "required"),
        ("days", "0", "1 to 3650 days"),
        ("days", "soon", "whole number"),
        ("user", "999999", "not one of the available"),
    ],
)
def test_a_token_that_cannot_be_is_refused_beside_its_field(
    made: seed.Seeded, field: str, value: str, said: str
) -> None:
    given = {"user": made.users["operator"].pk, "name": "deploy", "role": "operator", "days": ""}
    response = administrator(made).post("/access/", {**given, field: value})
    assert response.status_code == 422
    part = response.content.decode().split(f'id="field-{field}"')[1].split("</div>")[0]
    assert said in part
    assert not Token.objects.filter(name="deploy").exists()


def test_a_token_is_revoked_on_the_page(made: seed.Seeded) -> None:
    secret = make(made)
    client = administrator(made)
    assert "deploy" in client.get("/access/").content.decode()
    client.post(f"/access/tokens/{secret.token.pk}/revoke/")
    assert ask(secret.secret).status_code == 401
    assert newest() == "administrator revoked the token deploy of operator."


def test_failed_sign_ins_are_shown_to_administrators_who_end_the_waiting(made: seed.Seeded) -> None:
    for name in ("operator", "mistyped-password"):
        for _ in range(11):
            Client().post("/login/", {"username": name, "password": "x"}, REMOTE_ADDR="203.0.113.9")
    client = administrator(made)
    page = client.get("/access/").content.decode()
    assert "203.0.113.9" in page and "waits " in page and "nobody of this name" in page
    assert "mistyped-password" not in page
    client.post("/access/forget/")
    assert not Attempts.objects.exists()
    given = {"username": "operator", "password": seed.PASSWORD}
    assert Client().post("/login/", given, REMOTE_ADDR="203.0.113.9").status_code == 302


# The command line


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(made: seed.Seeded) -> Run:
    """Exit code, and what was printed."""

    def call(*words: str) -> tuple[int, str]:
        out, code = io.StringIO(), 0
        try:
            call_command("access", *words, stdout=out, stderr=out, no_color=True)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, out.getvalue().strip()

    return call


def newest() -> str:
    return Event.objects.latest("seq").text


def test_users_are_made_and_sign_in_with_what_was_printed(run: Run) -> None:
    code, password = run("add-user", "carol", "operator")
    assert code == 0
    assert Client().post("/login/", {"username": "carol", "password": password}).headers["Location"] == "/"
    assert "made the user carol with the role operator." in newest()
    assert "carol" in run("users")[1]
    for name in ("carol", "CAROL", "a b", ""):
        assert run("add-user", name, "viewer")[0] == 2


def test_roles_are_changed_and_users_shut_out(run: Run) -> None:
    client = Client()
    client.post("/login/", {"username": "operator", "password": seed.PASSWORD})
    assert run("role", "operator", "viewer") == (0, "")
    assert "from operator to viewer" in newest()
    assert client.get("/groups/1/move/").status_code == 403
    assert run("shut-out", "operator") == (0, "")
    assert client.get("/groups/").status_code == 302
    assert "shut out" in run("users")[1]
    assert run("let-in", "operator") == (0, "")
    assert run("role", "operator", "none") == (0, "")
    assert run("role", "nobody", "viewer")[0] == 2


def test_the_only_administrator_stays_one(run: Run) -> None:
    for words in (("role", "administrator", "viewer"), ("shut-out", "administrator")):
        code, said = run(*words)
        assert code == 2 and "only administrator" in said
    run("role", "operator", "administrator")
    assert run("shut-out", "administrator") == (0, "")


def test_tokens_are_made_listed_and_revoked(run: Run) -> None:
    code, secret = run("add-token", "operator", "deploy", "--role", "viewer", "--days", "30")
    assert code == 0 and ask(secret).status_code == 200
    assert "made the token deploy of operator with the role viewer." in newest()
    assert "deploy" in run("tokens")[1] and secret not in run("tokens")[1]
    assert run("add-token", "operator", "deploy")[0] == 2
    assert run("add-token", "operator", "x", "--days", "0")[0] == 2
    assert run("add-token", "viewer", "x", "--role", "operator")[0] == 2
    assert run("add-token", "stranger", "x")[0] == 2
    assert run("revoke-token", "operator", "deploy") == (0, "")
    assert ask(secret).status_code == 401
    assert run("revoke-token", "operator", "deploy")[0] == 2


def test_waiting_is_listed_and_ended(run: Run) -> None:
    given = {"username": "administrator", "password": "a wrong guess"}

    def attempt(password: str) -> int:
        return (
            Client().post("/login/", {**given, "password": password}, REMOTE_ADDR="203.0.113.9").status_code
        )

    for who in ("administrator", "203.0.113.9", ""):
        for _ in range(11):
            attempt("a wrong guess")
        assert attempt(seed.PASSWORD) == 429
        assert "203.0.113.9" in run("sign-ins")[1] and "waits" in run("sign-ins")[1]
        assert run("unblock", *([who] if who else []))[0] == 0
        assert attempt(seed.PASSWORD) == 302
    assert run("unblock", "nobody")[0] == 2
