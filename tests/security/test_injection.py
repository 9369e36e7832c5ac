"""What a node, a user or a DLL calls something is shown as text, wherever it comes up.

Every text in the database is made hostile; then every page, fragment and export is read.
"""

from __future__ import annotations

import csv
import html
import io
import re
from html.parser import HTMLParser

import pytest
from django.apps import apps
from django.db import connection, models
from django.test import Client

from monitoring.live import topics
from monitoring.models import Cluster, Event, Group, Node, Resource
from monitoring.models.roles import Role
from monitoring.service import clock
from tests.security.table import Caller
from tests.security.test_secrets import readable, text_of
from tests.security.test_urls import client_of
from tests.web import seed

pytestmark = pytest.mark.django_db
HOSTILE = "\"'><img src=x onerror=alert(1)>"
KEPT = {
    "state",
    "kind",
    "code",
    "drain_status",
    "key",
    "entry_point",
    "direction",
    "digest",
    "first",
    "until",
    "role",
    "method",
}
"""Columns that hold words of the program's own."""


class Tags(HTMLParser):
    """Finds what a browser would make of a page: elements and attributes that no template has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "img" or any(name.startswith("on") for name in names):
            self.found.append(f"<{tag} {sorted(names)}>")


def hostile_elements(page: str) -> list[str]:
    tags = Tags()
    tags.feed(page)
    return tags.found


@pytest.fixture
def made() -> seed.Seeded:
    """The seeded cluster with a hostile text in every column for one, as far as it holds."""
    made = seed.cluster(clock.now(), probes=False)
    count = 0
    for model in apps.get_app_config("monitoring").get_models():
        for column in model._meta.get_fields():
            if not isinstance(column, models.CharField | models.TextField) or column.choices:
                continue
            if column.name in KEPT or isinstance(column, models.JSONField) or column.name == "dll_name":
                continue
            short = column.max_length is not None and column.max_length < 40
            text = '<img src=x>"' if short and (column.max_length or 0) < len(HOSTILE) + 5 else HOSTILE
            for row in model._default_manager.all():
                unique = text if not column.unique else f"{row.pk}{text}"[: column.max_length]
                named = f"{row.pk}{text}" if column.name == "name" and column.max_length != 15 else unique
                model._default_manager.filter(pk=row.pk).update(**{column.name: named[: column.max_length]})
                count += 1
    assert count > 500
    connection.check_constraints()
    return made


def test_the_search_for_hostile_elements_finds_one() -> None:
    assert hostile_elements(f"<p>{HOSTILE}</p>")
    assert hostile_elements('<a title="" onclick="x">')
    assert not hostile_elements(f"<p>{html.escape(HOSTILE)}</p>")


def test_no_page_takes_a_text_for_markup(made: seed.Seeded) -> None:
    pages = readable(made, client_of(Caller.ADMINISTRATOR, made))
    assert sum("&lt;img src=x" in page for page in pages.values()) > 40, "the texts are shown"
    assert {
        path: found
        for path, page in pages.items()
        if not path.startswith("/api/")
        and not path.endswith((".csv", ".json"))
        and (found := hostile_elements(page))
    } == {}


def test_nothing_that_is_pushed_takes_a_text_for_markup(made: seed.Seeded) -> None:
    import monitoring.web.topics  # noqa: F401

    everything = topics.Change(
        Cluster.objects.get().last_event,
        0,
        frozenset(Group.objects.values_list("pk", flat=True)),
        frozenset(Node.objects.values_list("pk", flat=True)),
        frozenset(Resource.objects.values_list("pk", flat=True)),
    )
    shown = 0
    for kind in topics._renderers:
        for subject in range(1, 40):
            fragment = topics.render(topics.Topic(kind, subject), everything, Role.ADMINISTRATOR)
            shown += "&lt;img src=x" in fragment
            assert hostile_elements(fragment) == [], (kind, subject)
    assert shown > 40


@pytest.mark.parametrize(
    "path", ["/find/?q=%s", "/groups/?text=%s&state=%s&node=%s", "/history/?since=%s&kind=%s"]
)
def test_what_is_asked_for_is_shown_as_text(made: seed.Seeded, path: str) -> None:
    from urllib.parse import quote

    page = client_of(Caller.VIEWER, made).get(path.replace("%s", quote(HOSTILE))).content.decode()
    assert hostile_elements(page) == []


def test_the_name_at_the_login_is_shown_as_text(db: None) -> None:
    page = Client().post("/login/?next=" + "%22%3E%3Cimg%20src=x%3E", {"username": HOSTILE, "password": "x"})
    assert hostile_elements(page.content.decode()) == []
    assert "&lt;img src=x" in page.content.decode()


def test_an_exported_text_is_no_formula(made: seed.Seeded) -> None:
    Event.objects.update(text='=HYPERLINK("http://evil.example","x")', group_name="+1", requested_by="@x")
    found = text_of(client_of(Caller.VIEWER, made).get("/history/events.csv"))
    lines = list(csv.reader(io.StringIO(found)))
    assert len(lines) > 100
    assert not [cell for line in lines for cell in line if re.match(r"\s*[=+@]", cell)]
