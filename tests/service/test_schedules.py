"""What is scheduled is done once, in its author's name, by the function that takes an operator's click."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from monitoring.access import tokens
from monitoring.core.model import Refused
from monitoring.models import AuditEntry, Cluster, Event, Group, Node, Operation, Schedule, ScheduleRun, Token
from monitoring.models.roles import Role, ensure_roles, grant
from monitoring.service import clock, intents, membership
from monitoring.service.lock import Held, UndoneError, cluster_lock
from monitoring.service.queries import schedules
from monitoring.service.schedules import edits, foresee, runs
from monitoring.service.schedules.drafts import Draft, draft_of, read
from tests.service.conftest import Make

START = datetime(2030, 1, 7, 1, 0, tzinfo=UTC).timestamp()
MINUTE = 60.0


class Time:
    """The cluster clock, which stands still until it is put."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def run_at(self, text: str, day: int = 7) -> None:
        """Let that time of January 2030 come, and whoever looks run what is due."""
        self.now = datetime.fromisoformat(f"2030-01-{day:02}T{text}+00:00").timestamp()
        runs.run_due()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "now", made)
    monkeypatch.setattr(clock, "catch_up", lambda newest: None)
    return made


@pytest.fixture
def anna(db: None) -> edits.Author:
    ensure_roles()
    user = User.objects.create_user("anna")
    grant(user, Role.OPERATOR)
    return edits.Author("anna", user.pk)


def drain(anna: edits.Author, **changed: object) -> Schedule:
    """NODE1 is drained from 02:00 to 04:00."""
    wanted = {"kind": "drain", "node": "NODE1", "at": "2030-01-07 02:00", "ends": "04:00", "zone": "UTC"}
    return edits.create(Draft(**{**wanted, "reason": "new disks", **changed}), anna)  # type: ignore[arg-type]


def move(anna: edits.Author, **changed: object) -> Schedule:
    wanted = {"kind": "move", "group": "EVS1", "node": "NODE2", "at": "2030-01-07 02:00", "zone": "UTC"}
    return edits.create(Draft(**{**wanted, **changed}), anna)  # type: ignore[arg-type]


def paused(node: Node) -> bool:
    return Node.objects.get(pk=node.pk).paused


def states() -> list[tuple[str, str]]:
    return [(run.part, run.state) for run in ScheduleRun.objects.order_by("pk")]


def test_a_move_is_asked_for_at_its_time_in_the_name_of_who_scheduled_it(
    make: Make, time: Time, anna: edits.Author
) -> None:
    group = make("EVS1")
    move(anna, reason="new disks")
    time.run_at("01:59")
    assert Operation.objects.count() == 0
    time.run_at("02:00")
    operation = Operation.objects.get()
    assert (operation.kind, operation.requested_by) == ("move", "anna (scheduled)")
    assert operation.reason == "new disks"
    entry = AuditEntry.objects.get(operation=operation)
    assert (entry.who, entry.role, entry.channel) == ("anna (scheduled)", "operator", "schedule")
    group.refresh_from_db()
    assert group.transit_cause == "asked for by anna (scheduled): new disks"
    time.run_at("02:01")
    assert Operation.objects.count() == 1
    assert Schedule.objects.get().next_at is None


def test_a_window_drains_the_node_and_takes_that_back_at_its_end(
    make: Make, time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    row = drain(anna)
    time.run_at("02:00")
    assert paused(nodes[0])
    row.refresh_from_db()
    assert (row.next_at, row.ends_at) == (None, START + 180 * MINUTE)
    time.run_at("03:59")
    assert paused(nodes[0])
    time.run_at("04:00")
    assert not paused(nodes[0])
    assert states() == [("begin", "accepted"), ("end", "accepted")]
    resume = Operation.objects.get(kind="resume")
    assert resume.reason == "end of the window: new disks"


def test_the_end_brings_groups_home_where_that_is_chosen(
    make: Make, time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    drain(anna, failback="immediate")
    time.run_at("02:00")
    time.run_at("04:00")
    assert Operation.objects.get(kind="resume").options == {"failback": "immediate"}


def test_a_node_that_an_operator_had_paused_before_stays_paused_after_the_window(
    time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    intents.submit("pause", by="bert", node=nodes[0].pk)
    drain(anna)
    time.run_at("02:00")
    time.run_at("04:00")
    assert paused(nodes[0])
    assert ScheduleRun.objects.get(part="end").text == "It was so before the window began, and stays so."


def test_an_operators_word_given_within_the_window_stands_at_its_end(
    time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    drain(anna)
    time.run_at("02:00")
    intents.submit("resume", by="bert", node=nodes[0].pk)
    intents.submit("pause", by="bert", node=nodes[0].pk)
    time.run_at("04:00")
    assert paused(nodes[0])
    assert ScheduleRun.objects.get(part="end").text == "bert has asked for it anew since then: it stays so."


def test_the_later_of_two_windows_that_overlap_takes_back_what_the_earlier_began(
    time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    drain(anna)
    drain(anna, at="2030-01-07 03:00", ends="05:00")
    for moment in ("02:00", "03:00", "04:00"):
        time.run_at(moment)
    assert paused(nodes[0])
    time.run_at("05:00")
    assert not paused(nodes[0])


def test_what_was_accepted_and_failed_then_is_as_loud_as_what_was_refused(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1", bound=True)  # it cannot leave NODE1
    drain(anna)
    time.run_at("02:00")
    (run,) = schedules.failures()
    assert (run.title, run.state) == ("Drain NODE1", "failed")
    assert "Drain of NODE1 is incomplete. EVS1: it stays:" in run.text
    edits.note_failure(run.id, "bert")
    assert schedules.failures() == []
    time.run_at("04:00")
    assert states() == [("begin", "accepted"), ("end", "accepted")]  # it is resumed all the same


def test_what_is_in_order_already_at_the_end_is_left_alone(
    time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    drain(anna)
    time.run_at("02:00")
    intents.submit("resume", by="bert", node=nodes[0].pk)
    time.run_at("04:00")
    end = ScheduleRun.objects.get(part="end")
    assert (end.state, end.text) == ("done", "It has been taken back already by bert.")


def test_maintenance_of_the_cluster_begins_and_ends(
    time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    wanted = Draft(kind="maintenance", at="2030-01-07 02:00", ends="04:00", zone="UTC", repeat="daily")
    row = edits.create(wanted, anna)
    time.run_at("02:00")
    assert Cluster.objects.get().maintenance
    time.run_at("04:00")
    assert not Cluster.objects.get().maintenance
    row.refresh_from_db()
    assert row.next_at == START + 25 * 3600


def test_what_the_cluster_refuses_is_written_down_and_told_loudly(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    intents.submit("maintenance", by="bert")
    move(anna)
    newest = Cluster.objects.get().last_event
    time.run_at("02:00")
    run = ScheduleRun.objects.get()
    assert (run.state, run.text) == ("failed", "The cluster is in maintenance: end it first.")
    event = Event.objects.get(seq__gt=newest)
    assert event.text == (
        "What was scheduled failed: Move EVS1 to NODE2. The cluster is in maintenance: end it first."
    )
    assert event.severity == 2
    entry = AuditEntry.objects.latest("pk")
    assert (entry.who, entry.channel, entry.outcome) == ("anna", "schedule", "refused")
    assert Operation.objects.filter(kind="move").count() == 0
    numbers = list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_run_that_is_late_within_its_tolerance_is_done_and_told_to_be_late(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    move(anna)
    time.run_at("02:12")
    late = "Run 12 min late: the cluster service was not running at 2030-01-07 02:00 UTC."
    assert ScheduleRun.objects.get().text == late
    assert Event.objects.filter(text=f"Move EVS1 to NODE2: {late}").count() == 1


def test_a_run_that_is_too_late_is_missed_and_told_and_the_next_one_comes(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    row = move(anna, repeat="daily")
    time.run_at("02:16", day=9)
    run = ScheduleRun.objects.get()
    assert (run.state, run.operation) == ("missed", None)
    assert run.text == (
        "The cluster service was not running at 2030-01-09 02:00 UTC. So were 2 times before it."
    )
    row.refresh_from_db()
    assert row.next_at == datetime(2030, 1, 10, 2, tzinfo=UTC).timestamp()


def test_the_end_of_a_window_is_never_too_late(time: Time, anna: edits.Author, nodes: list[Node]) -> None:
    drain(anna)
    time.run_at("02:00")
    time.run_at("09:00", day=9)
    assert not paused(nodes[0])
    assert ScheduleRun.objects.get(part="end").text.startswith("Run 3180 min late")


@pytest.mark.parametrize("how", ["role", "gone", "inactive"])
def test_who_may_not_act_any_more_has_nothing_done_in_their_name(
    make: Make, time: Time, anna: edits.Author, how: str
) -> None:
    make("EVS1")
    move(anna)
    user = User.objects.get(username="anna")
    if how == "role":
        grant(user, Role.VIEWER)
    elif how == "gone":
        user.delete()
    else:
        User.objects.filter(pk=user.pk).update(is_active=False)
    time.run_at("02:00")
    assert Operation.objects.count() == 0
    assert ScheduleRun.objects.get().state == "failed"
    assert "any more" in ScheduleRun.objects.get().text


def test_a_token_that_was_revoked_has_nothing_done_in_its_name(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    user = User.objects.get(username="anna")
    token = tokens.make(user, "deploy", Role.OPERATOR, by="anna").token
    author = edits.Author("anna (token deploy)", user.pk, token.pk)
    move(author)
    tokens.revoke(Token.objects.get(pk=token.pk), by="anna")
    time.run_at("02:00")
    assert ScheduleRun.objects.get().text == (
        "The token of anna (token deploy), by which it was scheduled, has ended."
    )


def test_a_node_that_was_evicted_is_not_replaced_by_another(
    make: Make, time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    make("EVS1")
    move(anna)
    nodes[1].delete()
    time.run_at("02:00")
    assert ScheduleRun.objects.get().text == "NODE2 is no member of the cluster any more."


def test_two_workers_that_look_at_once_run_it_once(
    make: Make, time: Time, anna: edits.Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("EVS1")
    move(anna)

    @contextmanager
    def second_to_get_the_lock() -> Iterator[Held]:
        """Both have seen that it is due; the other is first."""
        monkeypatch.setattr(runs, "cluster_lock", cluster_lock)
        runs.run_due()
        with cluster_lock() as held:
            yield held

    monkeypatch.setattr(runs, "cluster_lock", second_to_get_the_lock)
    time.run_at("02:00")
    assert Operation.objects.count() == ScheduleRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_on_the_way_leaves_it_to_the_next(
    make: Make, time: Time, anna: edits.Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("EVS1")
    move(anna)
    submit = intents.submit

    def dies(*args: object, **about: object) -> None:
        submit(*args, **about)  # type: ignore[arg-type]
        raise SystemExit("killed after the move was accepted, before the commit")

    monkeypatch.setattr(intents, "submit", dies)
    with pytest.raises(SystemExit):
        time.run_at("02:00")
    assert Operation.objects.count() == ScheduleRun.objects.count() == 0
    monkeypatch.setattr(intents, "submit", submit)
    time.run_at("02:00")
    time.run_at("02:00")
    assert Operation.objects.count() == ScheduleRun.objects.count() == 1
    assert Group.objects.get().transit_kind == "move"


def test_one_that_cannot_be_run_does_not_keep_the_others_from_it(
    make: Make, time: Time, anna: edits.Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("EVS1")
    make("EVS2")
    move(anna, repeat="daily")
    move(anna, group="EVS2")
    submit = intents.submit

    def broken(kind: str, **about: object) -> object:
        if about["group"] == Group.objects.get(name="EVS1").pk:
            raise ZeroDivisionError
        return submit(kind, **about)  # type: ignore[arg-type]

    monkeypatch.setattr(intents, "submit", broken)
    time.run_at("02:00")
    assert [run.state for run in ScheduleRun.objects.order_by("pk")] == ["failed", "accepted"]
    assert Schedule.objects.get(group_name="EVS1").next_at == START + 25 * 3600


def test_a_database_that_is_away_is_no_failure_of_what_is_scheduled(
    make: Make, time: Time, anna: edits.Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("EVS1")
    move(anna)

    def away(*args: object) -> None:
        raise UndoneError("restarted")

    monkeypatch.setattr(runs, "_settle", away)
    with pytest.raises(UndoneError):
        time.run_at("02:00")
    assert Schedule.objects.get().next_at == START + 3600


def test_one_that_is_paused_is_not_run_and_goes_on_with_its_next_time(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    row = move(anna, repeat="daily")
    edits.pause(row.pk, "bert")
    time.run_at("02:00")
    assert states() == []
    edits.go_on(row.pk, "bert")
    assert Schedule.objects.get().next_at == START + 25 * 3600


def test_one_time_can_be_skipped(make: Make, time: Time, anna: edits.Author) -> None:
    make("EVS1")
    row = move(anna, repeat="daily")
    edits.skip(row.pk, "bert")
    time.run_at("02:00")
    assert states() == [("begin", "skipped")]
    time.run_at("02:00", day=8)
    assert states() == [("begin", "skipped"), ("begin", "accepted")]


def test_run_now_is_in_the_name_of_who_says_so_and_its_times_stay(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    row = move(anna)
    runs.run_now(row.pk, "bert")
    assert Operation.objects.get().requested_by == "bert"
    assert Schedule.objects.get().next_at == START + 3600


def test_run_now_is_refused_as_the_action_would_be_and_leaves_nothing(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    row = move(anna)
    intents.submit("maintenance", by="bert")
    newest = Cluster.objects.get().last_event
    with pytest.raises(Refused, match="in maintenance"):
        runs.run_now(row.pk, "bert")
    assert states() == []
    assert Event.objects.count() == newest == Cluster.objects.get().last_event


def test_an_open_window_can_be_ended_and_until_then_neither_changed_nor_deleted(
    time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    row = drain(anna)
    time.run_at("02:00")
    with pytest.raises(Refused, match="open until 2030-01-07 04:00 UTC"):
        edits.delete(row.pk, "bert")
    with pytest.raises(Refused, match="open until"):
        edits.change(row.pk, draft_of(row), anna)
    runs.end_now(row.pk, "bert")
    assert not paused(nodes[0])
    assert edits.delete(row.pk, "bert") == "Drain NODE1"
    assert states() == [("begin", "accepted"), ("end", "accepted")]  # what it did stays


def test_a_schedule_that_is_changed_runs_in_the_name_of_who_changed_it(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1")
    row = move(anna)
    bert = User.objects.create_user("bert")
    grant(bert, Role.OPERATOR)
    wanted = Draft(kind="restart", group="EVS1", at="2030-01-07 03:00", zone="UTC")
    edits.change(row.pk, wanted, edits.Author("bert", bert.pk))
    time.run_at("02:00")
    assert states() == []
    time.run_at("03:00")
    assert str(Operation.objects.get()) == "Restart EVS1"
    assert Operation.objects.get().requested_by == "bert (scheduled)"


def test_nothing_is_run_before_the_nodes_have_been_heard(
    make: Make, time: Time, anna: edits.Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("EVS1")
    move(anna)
    time.now = START + 3600
    now = 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    monkeypatch.setattr(runs, "_looked", float("-inf"))
    membership.observe()
    runs.look_if_due()
    assert states() == []  # a move would be refused: its target is still joining
    now += 11
    runs.look_if_due()
    assert len(states()) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "evict"}, "kind"),
        ({"group": ""}, "group"),
        ({"group": "EVS9"}, "group"),
        ({"node": "NODE9"}, "node"),
        ({"at": "tomorrow"}, "at"),
        ({"at": "2030-01-07"}, "at"),
        ({"at": "2029-12-31 02:00"}, "at"),
        ({"zone": "Europe/Bonn"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"repeat": "hourly"}, "repeat"),
        ({"every": 0, "repeat": "daily"}, "every"),
        ({"days": ("someday",), "repeat": "weekly"}, "days"),
        ({"days": ("mon", "tue"), "repeat": "monthly"}, "days"),
        ({"nth": "fifth", "repeat": "monthly"}, "nth"),
        ({"until": "never", "repeat": "daily"}, "until"),
        ({"until": "2030-01-06", "repeat": "daily"}, "until"),
        ({"ends": "04:00"}, "ends"),
        ({"kind": "offline", "node": "", "ends": "2030-01-07 01:00"}, "ends"),
        ({"kind": "offline", "node": "", "ends": "2030-01-08 03:00", "repeat": "daily"}, "ends"),
        ({"kind": "offline", "node": "", "ends": "2030-03-08 03:00"}, "ends"),
        ({"kind": "offline"}, "node"),
        ({"kind": "drain"}, "group"),
        ({"failback": "sometimes"}, "failback"),
        ({"tolerance_minutes": -1}, "tolerance_minutes"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(
    make: Make, time: Time, wrong: dict[str, object], field: str
) -> None:
    make("EVS1")
    good = {"kind": "move", "group": "EVS1", "node": "NODE2", "at": "2030-01-07 02:00", "zone": "UTC"}
    read(Draft(**good), START)  # type: ignore[arg-type]
    with pytest.raises(ValidationError) as error:
        read(Draft(**{**good, **wrong}), START)  # type: ignore[arg-type]
    assert list(error.value.message_dict) == [field]


def test_a_target_that_is_no_possible_owner_is_refused_when_it_is_written_down(
    make: Make, time: Time, anna: edits.Author
) -> None:
    make("EVS1", bound=True)
    with pytest.raises(ValidationError, match="not a possible owner"):
        move(anna)


def test_a_schedule_reads_back_as_it_was_written(make: Make, time: Time, anna: edits.Author) -> None:
    make("EVS1")
    wanted = Draft(
        kind="offline",
        group="EVS1",
        at="2030-01-07T02:00",
        ends="2030-01-07T04:00",
        zone="Europe/Berlin",
        repeat="monthly",
        every=2,
        days=("sun",),
        nth="last",
        until="2031-01-01",
        tolerance_minutes=5,
        reason="backup",
    )
    assert draft_of(edits.create(wanted, anna)) == wanted


def test_what_it_would_do_and_what_is_in_its_way_is_foreseen(
    make: Make, time: Time, anna: edits.Author, nodes: list[Node]
) -> None:
    make("EVS1")
    drain(anna, node="NODE2")
    wanted = Draft(kind="drain", node="NODE1", at="2030-01-07 03:00", ends="05:00", zone="UTC")
    found = foresee.foresee(read(wanted, START))
    assert found.preview is not None
    assert "EVS1 goes to NODE2." in found.preview.sentences
    assert found.warnings == (
        "With “Drain NODE2” no node is left that takes groups, at 2030-01-07 03:00 UTC.",
    )
    assert found.times[0].ends == START + 4 * 3600


def test_a_move_is_foreseen_with_the_node_that_it_goes_to(make: Make, time: Time, anna: edits.Author) -> None:
    make("EVS1")
    told: list[str] = []
    for node in ("NODE2", "", "NODE1"):
        wanted = Draft(kind="move", group="EVS1", node=node, at="2030-01-07 02:00", zone="UTC")
        found = foresee.foresee(read(wanted, START)).preview
        assert found is not None
        told += found.sentences
    assert told == [
        "All of EVS1 goes offline on NODE1, and comes online on NODE2.",
        "All of EVS1 goes offline on NODE1, and comes online on the best node: now NODE2.",
        "EVS1 is on NODE1 already: nothing would happen.",
    ]


def test_what_the_clocks_do_to_a_time_is_told(make: Make, time: Time, anna: edits.Author) -> None:
    make("EVS1")
    wanted = Draft(kind="restart", group="EVS1", at="2030-03-31 02:30", zone="Europe/Berlin")
    assert foresee.foresee(read(wanted, START)).warnings == (
        "On 31 Mar 2030 there is no 02:30: the clocks are put on. It is run at 03:00.",
    )
