"""The cluster's own settings: who may edit them, and what is refused."""

from __future__ import annotations

import pytest

from monitoring.models import Cluster, Event
from tests.web.conftest import Browser

GOOD = {
    "name": "MAIL",
    "heartbeat_interval_ms": "500 ms",
    "lease_ms": "3 s",
    "margin_ms": "500 ms",
    "resiliency_period_s": "0",
    "quarantine_threshold": "3",
    "quarantine_duration_s": "7200",
    "max_storage_groups_per_node": "4",
    "reason": "a name that says what it is",
}


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_an_administrator_may_edit_them(browser: Browser, role: str) -> None:
    assert browser(role).get("/cluster/settings/").status_code == 403
    assert browser(role).post("/cluster/settings/", GOOD).status_code == 403


def test_a_change_is_kept_and_told_with_its_reason(browser: Browser) -> None:
    assert browser("administrator").post("/cluster/settings/", GOOD).status_code == 302
    assert Cluster.objects.get().name == "MAIL"
    newest = Event.objects.order_by("-seq").first()
    assert newest is not None
    assert "MAIL" in newest.text


def test_a_lease_shorter_than_two_heartbeats_is_refused_beside_its_field(browser: Browser) -> None:
    answer = browser("administrator").post("/cluster/settings/", GOOD | {"lease_ms": "600 ms"})
    assert answer.status_code == 422
    assert "At least two heartbeat intervals" in answer.content.decode()
    assert Cluster.objects.get().name != "MAIL"
