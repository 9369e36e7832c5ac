"""The page that asks "what if", and what it costs; the same for programs."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.states import NodeState
from monitoring.live.topics import Change, Topic, render
from monitoring.models import Event, FailoverRecord, Group, PossibleOwner
from monitoring.models.roles import Role
from monitoring.service import membership, whatif
from monitoring.service.lock import cluster_lock
from monitoring.web import topics
from tests.web.conftest import Browser
from tests.web.seed import Seeded
from tests.web.test_overview import many


def test_a_question_in_the_address_is_answered_at_once(browser: Browser, seeded: Seeded) -> None:
    html = browser("viewer").get("/what-if/?fail=NODE1").content.decode()
    assert "1 group moves" in html
    assert "NODE2 is the only node available." in html
    assert "3.5 s until the lease of NODE1 is over, then" in html
    assert f'id="fail-{seeded.nodes["NODE1"].pk}" checked' in html
    assert "2 other groups not touched" in html


def test_several_things_may_happen_at_once_and_what_stays_down_comes_first(
    browser: Browser, seeded: Seeded
) -> None:
    query = {"fail": "NODE1", "disk": "FILES Disk"}
    html = browser("viewer").get("/what-if/", query).content.decode()
    files, evs1 = (html.index(f'id="fate-{seeded.groups[name].pk}"') for name in ("FILES", "EVS1"))
    assert files < evs1
    assert "1 group stays down, 1 group moves" in html
    assert "until it is repaired" in html
    assert "is back" not in html


def test_asking_changes_nothing(seeded: Seeded) -> None:
    before = list(Group.objects.values()), Event.objects.count(), FailoverRecord.objects.count()
    with CaptureQueriesContext(connection) as queries:
        whatif.ask(whatif.named(["NODE1", "NODE2"], [], ["FILES Disk"]))
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert before == (list(Group.objects.values()), Event.objects.count(), FailoverRecord.objects.count())


def test_a_name_that_does_not_exist_is_told_with_what_comes_near(browser: Browser) -> None:
    html = browser("viewer").get("/what-if/?fail=NODE11").content.decode()
    assert "There is no node named &#x27;NODE11&#x27;. Did you mean NODE1" in html


def test_the_page_without_a_question_names_the_single_points_of_failure(
    browser: Browser, seeded: Seeded
) -> None:
    PossibleOwner.objects.create(resource=seeded.resources["EVS2 Disk"], node=seeded.nodes["NODE2"])
    html = browser("viewer").get("/what-if/").content.decode()
    assert "If NODE2 fails, EVS2 stays down: no other node may run it." in html
    assert "Nothing is asked yet" in html


def test_a_thousand_groups_cost_as_many_queries_as_ten(browser: Browser, seeded: Seeded) -> None:
    client = browser("viewer")
    with CaptureQueriesContext(connection) as few:
        client.get("/what-if/?fail=NODE1")
    many(1000)
    with CaptureQueriesContext(connection) as lots:
        html = client.get("/what-if/?fail=NODE1").content.decode()
    assert len(lots) == len(few) <= 26
    assert "501 groups move" in html


def test_programs_get_the_same_answer(browser: Browser, seeded: Seeded) -> None:
    found = browser("viewer").get("/api/v1/what-if?fail=NODE1&fail=NODE2&disk=FILES+Disk").json()
    assert found["sentence"] == "3 groups stay down."
    evs1 = next(group for group in found["groups"] if group["group"] == "EVS1")
    assert (evs1["verdict"], evs1["source"], evs1["downtime_s"]) == ("stays down", "NODE1", None)
    assert "NODE2 is down" in evs1["why"]
    refused = browser("viewer").get("/api/v1/what-if?node=NODE1")
    assert refused.status_code == 400
    assert browser("viewer").get("/api/v1/what-if?fail=NOBODY").status_code == 400


def test_a_node_that_is_down_already_is_told_as_the_reason(seeded: Seeded) -> None:
    seeded.nodes["NODE2"].state = NodeState.DOWN
    seeded.nodes["NODE2"].save()
    (line,) = whatif.ask(whatif.named(["NODE1"], [], [])).lines
    assert line.why.endswith("NODE2 is down.")
    assert line.downtime is not None and line.downtime.text == "until NODE1 is back"


def test_the_answer_is_what_the_loss_of_the_node_then_does(seeded: Seeded) -> None:
    (line,) = whatif.ask(whatif.named(["NODE1"], [], [])).lines
    with cluster_lock() as held:
        membership.leave(held, seeded.nodes["NODE1"])
    group = Group.objects.select_related("owner").get(name="EVS1")
    record = FailoverRecord.objects.filter(group=group).latest("pk")
    assert group.owner is not None and group.owner.name == line.target == record.target
    assert line.why == f"{record.rule}."


def test_a_page_that_answers_says_that_the_cluster_has_changed_since(
    browser: Browser, seeded: Seeded
) -> None:
    for address in ("/what-if/?fail=NODE1", "/balance/"):
        html = browser("viewer").get(address).content.decode()
        assert 'data-live-topic="plan"' in html
        assert '<div id="plan-news"></div>' in html
    assert topics  # it has told which function renders what
    change = Change(9, 8, groups=frozenset({seeded.groups["EVS1"].pk}))
    assert "The cluster has changed since" in render(Topic("plan"), change, Role.VIEWER)
    assert "changed since" not in render(Topic("plan"), Change(9, 8), Role.VIEWER)
