"""The audit trail: what each way in writes down, and what its page, files, API and command tell."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from monitoring.access import tokens
from monitoring.models import AuditEntry, Event, Operation
from monitoring.models.roles import Role
from tests.web.conftest import Browser
from tests.web.seed import PASSWORD, Seeded

pytestmark = pytest.mark.django_db


async def _joined(lines: AsyncIterator[bytes]) -> str:
    return b"".join([line async for line in lines]).decode()


def text_of(response: Any) -> str:
    """A streamed answer as one text."""
    return async_to_sync(_joined)(response.streaming_content)


def newest() -> int:
    row = Event.objects.order_by("-seq").first()
    return row.seq if row else 0


def ask_offline(client: Client, seeded: Seeded, reason: str = "new disks", **extra: Any) -> Any:
    place = reverse("group-offline", args=[seeded.groups["EVS1"].pk])
    return client.post(place, {"seen": newest(), "reason": reason}, **extra)


def entry() -> AuditEntry:
    found = AuditEntry.objects.order_by("-pk").first()
    assert found is not None
    return found


def test_an_action_is_written_down_once_with_who_why_and_from_where(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    AuditEntry.objects.all().delete()
    ask_offline(client, seeded, REMOTE_ADDR="192.0.2.7")
    (found,) = AuditEntry.objects.all()
    assert (found.who, found.role, found.channel, found.address) == (
        "operator",
        "operator",
        "dashboard",
        "192.0.2.7",
    )
    assert found.reason == "new disks" and "EVS1" in found.text
    assert found.operation == Operation.objects.get(requested_by="operator", reason="new disks")
    assert found.event and Event.objects.get(seq=found.event).requested_by == "operator"


def test_what_the_cluster_service_refuses_is_written_down_with_the_refusal(
    browser: Browser, seeded: Seeded
) -> None:
    place = reverse("group-move", args=[seeded.groups["EVS1"].pk])
    answer = browser("operator").post(place, {"seen": newest(), "node": 4711})
    assert answer.status_code == 422
    found = entry()
    assert (found.outcome, found.operation) == ("refused", None)
    assert found.text.startswith("move EVS1: ") and len(found.text) > len("move EVS1: ")


def test_what_somebody_may_not_do_is_written_down(browser: Browser, seeded: Seeded) -> None:
    assert ask_offline(browser("viewer"), seeded).status_code == 403
    assert (entry().who, entry().outcome) == ("viewer", "forbidden")
    assert "offline EVS1" in entry().text and "viewer" in entry().text


def test_a_form_that_was_not_filled_in_is_no_attempt(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    before = AuditEntry.objects.count()
    assert client.post(reverse("group-offline", args=[seeded.groups["EVS1"].pk]), {}).status_code == 422
    assert AuditEntry.objects.count() == before


def test_signing_in_and_out_is_written_down(seeded: Seeded) -> None:
    client = Client()
    client.post("/login/", {"username": "operator", "password": PASSWORD}, REMOTE_ADDR="192.0.2.8")
    assert (entry().text, entry().address) == ("operator signed in.", "192.0.2.8")
    client.post("/logout/")
    assert entry().text == "operator signed out."


def test_a_program_is_named_by_its_token(seeded: Seeded) -> None:
    made = tokens.make(seeded.users["operator"], "deploy", Role.OPERATOR, days=None, by="test")
    bearer = {"Authorization": f"Bearer {made.secret}"}
    Client().post("/api/v1/groups/EVS1/offline", "{}", content_type="application/json", headers=bearer)
    assert (entry().who, entry().channel) == ("operator (token deploy)", "api")
    Client().post("/api/v1/groups/EVS1/delete", "{}", content_type="application/json", headers=bearer)
    assert (entry().outcome, entry().who) == ("forbidden", "operator (token deploy)")


def test_the_command_line_is_named_by_its_machine(seeded: Seeded) -> None:
    call_command("access", "role", "viewer", "operator")
    assert entry().channel == "command-line" and "@" in entry().address
    assert "changed the role of viewer" in entry().text
    with pytest.raises(SystemExit):
        call_command("access", "role", "administrator", "viewer")
    with pytest.raises(SystemExit):
        call_command("cluster", "move", "FILES", "NODE9", "--no-wait")
    with pytest.raises(SystemExit):
        call_command("cluster", "resume", "NODE1", "--no-wait")
    assert (entry().outcome, entry().channel) == ("refused", "command-line")
    assert entry().text.startswith("cluster resume: ")


def test_the_page_shows_how_each_ended_and_is_for_administrators(browser: Browser, seeded: Seeded) -> None:
    ask_offline(browser("operator"), seeded, reason="the storage moves")
    Operation.objects.filter(reason="the storage moves").update(state="failed", outcome="It did not stop.")
    page = browser("administrator").get(reverse("audit")).content.decode()
    assert "the storage moves" in page and "It did not stop." in page and "Failed" in page
    assert browser("operator").get(reverse("audit")).status_code == 403
    assert reverse("audit") not in browser("operator").get(reverse("history")).content.decode()


def test_filters_narrow_and_a_wrong_one_is_told_at_its_field(browser: Browser, seeded: Seeded) -> None:
    ask_offline(browser("operator"), seeded, reason="the storage moves")
    client = browser("administrator")
    assert "the storage moves" in client.get(reverse("audit"), {"who": "operator"}).content.decode()
    assert "the storage moves" not in client.get(reverse("audit"), {"who": "administrator"}).content.decode()
    assert "Nothing fits" in client.get(reverse("audit"), {"text": "nobody ever"}).content.decode()
    wrong = client.get(reverse("audit"), {"since": "yesterday"})
    assert wrong.status_code == 422 and "is no time" in wrong.content.decode()


def test_the_files_the_api_and_the_command_tell_the_same(browser: Browser, seeded: Seeded) -> None:
    ask_offline(browser("operator"), seeded, reason="=cmd()")
    client = browser("administrator")
    csv_text = text_of(client.get(reverse("audit_csv")))
    assert "'=cmd()" in csv_text
    rows = json.loads(text_of(client.get(reverse("audit_json"))))
    told = client.get("/api/v1/audit", {"who": "operator"}).json()["entries"]
    assert told == [row for row in rows if row["who"] == "operator"]
    wrong = client.get("/api/v1/audit", {"channel": "pigeon"})
    assert wrong.status_code == 400 and wrong.json()["field"] == "channel"
    out = io.StringIO()
    call_command("cluster", "audit", "--who", "operator", "--json", stdout=out)
    assert json.loads(out.getvalue())["entries"] == told


def test_old_entries_come_page_by_page(browser: Browser, seeded: Seeded) -> None:
    made = [
        AuditEntry(at=index, who="operator", channel="api", text=f"entry number {index}.")
        for index in range(120)
    ]
    AuditEntry.objects.bulk_create(made)
    client, seen, address = browser("administrator"), "", reverse("audit", query={"who": "operator"})
    while address:
        answer = client.get(address)
        seen, address = seen + answer.content.decode(), answer.context["next"]
    assert all(seen.count(f"entry number {index}.") == 1 for index in range(120))
