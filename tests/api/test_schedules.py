"""What is scheduled, over the REST API, as iCalendar, and on the command line."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring.access import tokens
from monitoring.core.states import NodeState
from monitoring.models import Group, Node, Operation, Schedule
from monitoring.models.roles import Role
from tests.management.conftest import Run, run

__all__ = ["run"]

WANTED = {
    "kind": "drain",
    "node": "NODE2",
    "at": "2100-01-31 02:00",
    "ends": "04:00",
    "zone": "Europe/Berlin",
    "repeat": "monthly",
    "nth": "last",
    "days": ["sun"],
    "failback": "policy",
    "reason": "kernel updates; both, at once",
}


@pytest.fixture
def post(operator: Client, evs1: Group) -> Callable[..., Any]:
    Node.objects.update(state=NodeState.UP, incarnation=1)

    def send(address: str, **body: object) -> Any:
        return operator.post(f"/api/v1/{address}", json.dumps(body), "application/json")

    return send


@pytest.fixture
def made(post: Callable[..., Any]) -> int:
    answer = post("schedules/add", **WANTED)
    assert answer.status_code == 201
    number: int = answer.json()["schedule"]["id"]
    assert answer["Location"] == f"/api/v1/schedules/{number}"
    return number


def test_a_schedule_is_made_and_read_back(operator: Client, made: int) -> None:
    found = operator.get(f"/api/v1/schedules/{made}").json()
    row = found["schedule"]
    assert row["title"] == "Drain NODE2"
    assert (row["at"], row["ends"], row["nth"], row["days"]) == (
        "2100-01-31T02:00",
        "2100-01-31T04:00",
        "last",
        ["sun"],
    )
    assert row["next"] == "2100-01-31T01:00:00Z"
    assert [time["at"] for time in found["foreseen"]["times"]][1] == "2100-02-28T01:00:00Z"
    assert row["by"] == "operator"
    assert operator.get("/api/v1/schedules").json()["schedules"] == [row]


def test_a_change_names_only_what_is_different(post: Callable[..., Any], made: int) -> None:
    row = post(f"schedules/{made}/change", reason="other", ends="").json()["schedule"]
    assert (row["reason"], row["ends"], row["nth"], row["title"]) == ("other", "", "last", "Drain NODE2")


def test_a_check_makes_nothing(post: Callable[..., Any]) -> None:
    seen = post("schedules/check", **WANTED).json()
    assert seen["title"] == "Drain NODE2"
    assert Schedule.objects.count() == 0


def test_bad_input_names_its_field(post: Callable[..., Any], made: int) -> None:
    for wrong, field in ((("node", "NODE9"), "node"), (("zone", "Bonn"), "zone"), (("every", "x"), "every")):
        answer = post("schedules/add", **{**WANTED, wrong[0]: wrong[1]})
        assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert post("schedules/999/run").status_code == 404
    assert post(f"schedules/{made}/end").status_code == 409


def test_it_is_run_skipped_paused_and_deleted(post: Callable[..., Any], made: int, operator: Client) -> None:
    assert post(f"schedules/{made}/skip").json()["schedule"]["next"] == "2100-02-28T01:00:00Z"
    assert post(f"schedules/{made}/pause").json()["schedule"]["state"] == "paused"
    assert post(f"schedules/{made}/go-on").json()["schedule"]["state"] == "coming"
    assert post(f"schedules/{made}/run").json()["schedule"]["state"] == "open"
    assert str(Operation.objects.latest("pk")) == "Drain NODE2"
    assert post(f"schedules/{made}/delete").status_code == 409
    assert post(f"schedules/{made}/end").json()["schedule"]["state"] == "coming"
    assert post(f"schedules/{made}/delete").json() == {"deleted": "Drain NODE2"}
    states = [one["state"] for one in operator.get("/api/v1/schedules/runs").json()["runs"]]
    assert states == ["done", "done", "skipped"]


def test_the_calendar_file_holds_each_time_in_utc(operator: Client, post: Callable[..., Any]) -> None:
    day = datetime.now(UTC) + timedelta(days=2)
    post("schedules/add", **{**WANTED, "repeat": "daily", "at": f"{day:%Y-%m-%d} 02:00", "zone": "UTC"})
    answer = operator.get("/api/v1/schedule.ics")
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    text = answer.content.decode()
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert f"DTSTART:{day:%Y%m%d}T020000Z\r\nDTEND:{day:%Y%m%d}T040000Z\r\nSUMMARY:Drain NODE2\r\n" in text
    assert "DESCRIPTION:kernel updates\\; both\\, at once\\noperator\r\n" in text
    assert text.count("BEGIN:VEVENT") == text.count("END:VEVENT")
    assert text.count("BEGIN:VEVENT") in (364, 365)  # as the day is early or late


def test_a_calendar_program_sends_a_token_as_its_password(operator: Client, post: Callable[..., Any]) -> None:
    user = User.objects.get(username="operator")
    secret = tokens.make(user, "calendar", Role.VIEWER, by="operator").secret

    def get(name: str, password: str) -> int:
        given = base64.b64encode(f"{name}:{password}".encode()).decode()
        return Client().get("/api/v1/schedule.ics", headers={"Authorization": f"Basic {given}"}).status_code

    assert get("operator", secret) == 200
    assert get("somebody", secret) == 401
    assert get("operator", f"{tokens.PREFIX}x") == 401


def test_by_a_token_it_is_scheduled_in_the_tokens_name(operator: Client, evs1: Group) -> None:
    user = User.objects.get(username="operator")
    made = tokens.make(user, "deploy", Role.OPERATOR, by="operator")
    headers = {"Authorization": f"Bearer {made.secret}"}
    sent = Client().post("/api/v1/schedules/add", json.dumps(WANTED), "application/json", headers=headers)
    assert sent.status_code == 201
    row = Schedule.objects.get()
    assert (row.requested_by, row.token, row.author) == ("operator (token deploy)", made.token.pk, user)


@pytest.mark.usefixtures("evs1")
def test_the_command_line_does_the_same(run: Run) -> None:
    Node.objects.update(state=NodeState.UP, incarnation=1)
    words = ("--node", "NODE2", "--at", "2100-01-31 02:00", "--ends", "04:00", "--reason", "disks")
    weekly = ("--repeat", "weekly", "--days", "sun,wed", "--zone", "UTC")
    checked = run("schedule", "check", "drain", *words, *weekly)
    assert checked.code == 0
    assert "Every Wednesday and Sunday at 02:00" in checked.out
    assert run("schedule").out.strip() == "Nothing is scheduled."
    made = run("schedule", "add", "drain", *words, *weekly, "--json").json["schedule"]
    assert made["by"].endswith("(command line)")
    number = str(made["id"])
    assert run("schedule", "skip", number).out.strip() == "Drain NODE2: its next time is skipped."
    assert "Drain NODE2" in run("schedule").out
    assert "skipped" in run("schedule", "runs", number).out
    assert run("schedule", "change", number, "--repeat", "once").code == 0
    assert run("schedule", "end", number).code == 1
    wrong = run("schedule", "add", "drain", "--node", "NODE2", "--at", "soon")
    assert (wrong.code, wrong.err.split(":")[0]) == (2, "at")
    assert run("schedule", "show", "99").code == 2
    assert run("schedule", "delete", number).code == 0
    assert Schedule.objects.count() == 0
