"""A cluster with a past, for the tests of the pages: two nodes, two Exchange Virtual Servers,
a file group that gave up, and days of history with phases and probe times.

Rows are written straight into the tables: the pages only read, and what they show must not
depend on how a cluster came into that state.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.contrib.auth.models import User

from monitoring.core.states import GroupState, NodeState, ResourceState, Severity
from monitoring.models import (
    Cluster,
    Dependency,
    Event,
    FailoverNote,
    FailoverRecord,
    FenceDevice,
    FenceStep,
    Group,
    Node,
    Operation,
    Phase,
    PreferredOwner,
    ProbeTime,
    Resource,
    ResourceType,
    Schedule,
    ScheduleRun,
    Token,
)
from monitoring.models.roles import Role, ensure_roles, grant

ONLINE_AT = 7_300.0
COMMISSIONED = 800_000.0
"""Seconds ago that the groups came online for the first time."""
PASSWORD = "correct horse battery"
EXCHANGE_TREE: tuple[tuple[str, str, tuple[str, ...], float, float], ...] = (
    ("IP Address", "IP Address", (), 0.02, 0.05),
    ("Network Name", "Network Name", ("IP Address",), 0.03, 0.08),
    ("Disk", "Physical Disk", (), 0.05, 0.21),
    ("System Attendant", "Exchange System Attendant", ("Network Name", "Disk"), 0.10, 0.18),
    ("Information Store", "Exchange Information Store", ("System Attendant",), 0.42, 0.63),
    ("MTA", "Exchange Message Transfer Agent", ("System Attendant",), 0.12, 0.22),
    ("Routing", "Exchange Routing Service", ("System Attendant",), 0.05, 0.11),
    ("SMTP", "Exchange SMTP Virtual Server", ("Information Store",), 0.21, 0.19),
    ("HTTP", "Exchange HTTP Virtual Server", ("Information Store",), 0.08, 0.16),
    ("IMAP4", "Exchange IMAP4 Virtual Server", ("Information Store",), 0.09, 0.17),
    ("POP3", "Exchange POP3 Virtual Server", ("Information Store",), 0.07, 0.15),
    ("Search", "Exchange MS Search", ("Information Store",), 0.04, 0.31),
)
"""Name, type, providers, and the seconds that it takes to go offline and to come online."""


@dataclass
class Seeded:
    """What was made, by name."""

    nodes: dict[str, Node] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    records: list[FailoverRecord] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    fence_step: FenceStep = field(default_factory=FenceStep)
    schedule: Schedule = field(default_factory=Schedule)
    lines: list[Event] = field(default_factory=list)
    """Events that were written down and have no number yet."""


def users() -> dict[str, User]:
    """One user of each role, named as the role, and "stranger" who has none."""
    ensure_roles()
    made = {}
    for role in Role:
        made[role.value] = User.objects.create_user(role.value, password=PASSWORD)
        grant(made[role.value], role)
    made["stranger"] = User.objects.create_user("stranger", password=PASSWORD)
    Token.objects.create(user=made["viewer"], name="seeded", digest="0" * 64, role="viewer", created_at=0)
    return made


def cluster(now: float, *, probes: bool = True) -> Seeded:
    """The whole cluster as it stands at cluster time `now`."""
    Cluster.objects.create(name="MAILCLUSTER", clock=now)
    made = Seeded(users=users())
    for name, state in (("NODE1", NodeState.UP), ("NODE2", NodeState.UP)):
        made.nodes[name] = Node.objects.create(
            name=name,
            state=state,
            state_since=now - 90_000,
            incarnation=int((now - 90_000) * 1e9),
            heartbeat=179_811,
            reports=412,
        )
    watchdog = FenceDevice.objects.create(pk=1, name="WATCHDOGS", method="Watchdog")
    made.fence_step = FenceStep.objects.create(node=made.nodes["NODE2"], device=watchdog)
    _exchange(made, "EVS1", "NODE1", now, mta=True)
    _exchange(made, "EVS2", "NODE2", now, mta=False)
    _files(made, now)
    _history(made, now)
    made.schedule = _scheduled(made, now)
    if probes:
        _probes(made.resources["EVS1 SMTP"], now)
    return made


def _scheduled(made: Seeded, now: float) -> Schedule:
    """EVS1 moves to NODE2 in two days; the time before was missed."""
    day = 2 * 86_400.0
    row = Schedule.objects.create(
        kind="move",
        group=made.groups["EVS1"],
        group_name="EVS1",
        node=made.nodes["NODE2"],
        node_name="NODE2",
        reason="New disks",
        first=f"{datetime.fromtimestamp(now - day, UTC):%Y-%m-%dT%H:%M}",
        zone="UTC",
        repeat="daily",
        every=2,
        requested_by="operator",
        author=made.users["operator"],
        made_at=now - 2 * day,
        next_at=now // 60 * 60 + day,
    )
    ScheduleRun.objects.create(
        schedule=row,
        title="Move EVS1 to NODE2",
        due_at=now - day,
        ran_at=now - day + 3000,
        state="missed",
        text="The cluster service was not running at its time.",
    )
    return row


def _type(name: str) -> ResourceType:
    return ResourceType.objects.get_or_create(
        name=name, defaults={"dll_name": name.lower().replace(" ", "_")}
    )[0]


def _exchange(made: Seeded, name: str, owner: str, now: float, *, mta: bool) -> None:
    group = made.groups[name] = Group.objects.create(
        name=name,
        description=f"Mail of the {'first' if mta else 'second'} storey",
        owner=made.nodes[owner],
        persistent_online=True,
        last_state=GroupState.ONLINE,
        state_since=now - ONLINE_AT,
        auto_failback=mta,
        epoch=4,
    )
    order = ["NODE1", "NODE2"] if owner == "NODE1" else ["NODE2", "NODE1"]
    for position, node in enumerate(order):
        PreferredOwner.objects.create(group=group, node=made.nodes[node], position=position)
    for part, type_name, providers, _, _ in EXCHANGE_TREE:
        if part == "MTA" and not mta:
            continue
        resource = made.resources[f"{name} {part}"] = _resource(group, f"{name} {part}", type_name, now)
        for clause, provider in enumerate(providers):
            Dependency.objects.create(
                resource=resource, provider=made.resources[f"{name} {provider}"], clause=clause
            )
    number = 1 if mta else 2
    for part, properties in (
        ("IP Address", {"Address": f"127.0.1.{number}", "SubnetMask": "255.0.0.0"}),
        ("Network Name", {"Name": name}),
        ("Disk", {"Path": f"/srv/shared/{name.lower()}"}),
        ("Information Store", {"StorageGroups": 3 - number}),
    ):
        Resource.objects.filter(name=f"{name} {part}").update(properties=properties)


def _resource(group: Group, name: str, type_name: str, now: float, **values: object) -> Resource:
    state = {
        "state": ResourceState.ONLINE,
        "running": True,
        "state_since": now - ONLINE_AT,
        "checked_at": now - random.uniform(0.3, 9),
        "checked_result": True,
    }
    return Resource.objects.create(group=group, type=_type(type_name), name=name, **{**state, **values})


def _files(made: Seeded, now: float) -> None:
    """A group that was given up: its share failed too often, what needed it is offline."""
    group = made.groups["FILES"] = Group.objects.create(
        name="FILES",
        description="Home folders",
        owner=made.nodes["NODE2"],
        persistent_online=True,
        given_up=True,
        last_state=GroupState.FAILED,
        state_since=now - 540,
        failovers=[now - 700],
    )
    disk = _resource(group, "FILES Disk", "Physical Disk", now)
    share = _resource(
        group,
        "FILES Share",
        "Generic Application",
        now,
        state=ResourceState.FAILED,
        running=False,
        state_since=now - 540,
        checked_at=now - 541,
        checked_result=False,
        checked_text="connect to 127.0.1.9:8445 refused",
        last_failure="The process ended with exit status 3.",
        failures=[now - 640, now - 600, now - 570, now - 540],
        retry_at=now + 3060,
    )
    index = _resource(
        group, "FILES Index", "Generic Application", now, state=ResourceState.OFFLINE, running=False
    )
    report = _resource(
        group,
        "FILES Report",
        "Generic Script",
        now,
        state=ResourceState.OFFLINE,
        running=False,
        persistent_online=False,
    )
    for resource, provider in ((share, disk), (index, share), (report, disk)):
        Dependency.objects.create(resource=resource, provider=provider)
    made.resources |= {r.name: r for r in (disk, share, index, report)}


PASSAGES: tuple[tuple[float, str, str, str, str, str, str, str, str], ...] = (
    (520_000, "move", "EVS1", "NODE1", "NODE2", "administrator asked for it.", "administrator", "done", ""),
    (518_300, "failback", "EVS1", "NODE2", "NODE1", "NODE1 is up again and preferred.", "", "done", ""),
    (
        *(260_400, "failover", "EVS2", "NODE2", "NODE1"),
        *("NODE2 missed its heartbeats for 3 s and its lease has run out.", "", "done", ""),
    ),
    (258_000, "move", "EVS2", "NODE1", "NODE2", "operator asked for it.", "operator", "done", ""),
    (93_000, "drain", "EVS1", "NODE1", "NODE2", "operator drained NODE1.", "operator", "done", ""),
    (
        *(91_000, "move", "EVS1", "NODE2", "NODE1", "operator asked for it.", "operator", "superseded"),
        "alice asked for Offline of EVS1.",
    ),
    (
        *(ONLINE_AT + 2, "failover", "EVS1", "NODE2", "NODE1"),
        *("EVS1 SMTP failed 4 times within 15 min: the process ended with signal 9.", "", "done", ""),
    ),
    (
        *(700, "failover", "FILES", "NODE1", "NODE2"),
        *("FILES Share failed 4 times within 15 min: it ended with exit status 3.", "", "failed"),
        "FILES Share cannot come online on NODE2; no other node is left.",
    ),
)


def _history(made: Seeded, now: float) -> None:
    randomly = random.Random(7)
    for ago, kind, group, source, target, cause, by, state, outcome in PASSAGES:
        record = _passage(made, randomly, now - ago, kind, group, source, target, cause, by)
        record.state, record.outcome = state, outcome or f"{group} is online on {target}."
        record.save()
        made.records.append(record)
    FailoverNote.objects.create(record=made.records[0], author="operator", text="As announced.", at=now)
    _failures(made, now)
    _states(made, now)
    for number, line in enumerate(sorted(made.lines, key=lambda line: line.at), start=1):
        line.seq = number
    Event.objects.bulk_create(made.lines)
    Cluster.objects.update(last_event=len(made.lines))


def _states(made: Seeded, now: float) -> None:
    """How the states of the groups changed: they came up long ago, and went down for each passage."""
    for name, node in (("EVS1", "NODE1"), ("EVS2", "NODE2"), ("FILES", "NODE1")):
        _state(made, now - COMMISSIONED, name, node, ("Offline", "Online"))
    for record in made.records:
        end = "Failed" if record.group_name == "FILES" else "Online"
        _state(made, record.started, record.group_name, record.source, ("Online", "Pending"), record)
        assert record.finished is not None
        _state(made, record.finished, record.group_name, record.target, ("Pending", end), record)


def _state(
    made: Seeded,
    at: float,
    group: str,
    node: str,
    change: tuple[str, str],
    record: FailoverRecord | None = None,
) -> None:
    text = f"{group} is {change[1]} on {node} (was {change[0]})."
    event(made, at, text, group, made.nodes[node], record, code=1674, change=change)


def _failures(made: Seeded, now: float) -> None:
    """What led to the two failovers by resource failures, and to giving up."""
    for name, group, node, first in (
        ("EVS1 SMTP", "EVS1", "NODE2", ONLINE_AT + 240),
        ("FILES Share", "FILES", "NODE2", 640),
    ):
        for failure in range(4):
            at = now - first + failure * 40
            text = f"{name} failed on {node}: the process ended with signal 9."
            event(
                *(made, at, text, group, made.nodes[node]),
                severity=Severity.ERROR,
                resource=made.resources[name],
                code=1069,
            )
    text = "FILES is over its failover threshold and stays failed: 1 failover within 6 h, 1 allowed."
    event(made, now - 538, text, "FILES", made.nodes["NODE2"], code=1254, severity=Severity.SEVERE)


def _passage(
    made: Seeded,
    randomly: random.Random,
    start: float,
    kind: str,
    group: str,
    source: str,
    target: str,
    cause: str,
    by: str,
) -> FailoverRecord:
    """One record, with a phase for each resource and the events that an operator would see."""
    operation = None
    if by:
        operation = Operation.objects.create(
            kind="move" if kind == "move" else "drain",
            group=made.groups[group],
            subject=group,
            requested_by=by,
            reason="Patches of the month" if kind == "drain" else "",
            state="done",
            requested_at=start - 0.02,
            finished_at=start + 2,
        )
    record = FailoverRecord.objects.create(
        group=made.groups[group],
        group_name=group,
        kind=kind,
        source=source,
        target=target,
        cause=cause,
        rule="NODE1 is the first of the preferred owners that is up." if target == "NODE1" else "",
        requested_by=by,
        operation=operation,
        started=start,
    )
    node = made.nodes[target]
    event(
        made, start, f"{group} goes from {source} to {target}: {cause}", group, node, record, code=1153, by=by
    )
    tree = [part for part in EXCHANGE_TREE if f"{group} {part[0]}" in made.resources]
    record.stopped = _offline(made, randomly, record, tree, start)
    record.finished = _online(made, randomly, record, tree, record.stopped + 0.03)
    event(made, record.finished, f"{group} is online on {target}.", group, node, record, code=1201)
    return record


def _offline(
    made: Seeded, randomly: random.Random, record: FailoverRecord, tree: list, start: float
) -> float:
    ended: dict[str, float] = {}
    for part, _, _, down, _ in reversed(tree):
        begun = max([start, *(ended[p[0]] for p in tree if part in p[2])])
        ended[part] = begun + down * randomly.uniform(0.8, 1.3)
        _phase(made, record, part, record.source, "offline", begun, ended[part], "Offline")
    return max(ended.values(), default=start)


def _online(made: Seeded, randomly: random.Random, record: FailoverRecord, tree: list, start: float) -> float:
    ended: dict[str, float] = {}
    for part, _, providers, _, up in tree:
        begun = max([start, *(ended[p] for p in providers)])
        ended[part] = begun + up * randomly.uniform(0.8, 1.3)
        _phase(made, record, part, record.target, "online", begun, ended[part], "Online")
    return max(ended.values(), default=start)


def _phase(
    made: Seeded,
    record: FailoverRecord,
    part: str,
    node: str,
    direction: str,
    start: float,
    end: float,
    outcome: str,
) -> None:
    resource = made.resources[f"{record.group_name} {part}"]
    Phase.objects.create(
        record=record,
        resource=resource,
        resource_name=resource.name,
        node_name=node,
        direction=direction,
        started=start,
        finished=end,
        outcome=outcome,
    )
    before = "Online Pending" if direction == "online" else "Offline Pending"
    text = f"{resource.name} changed from {before} to {outcome} on {node}."
    about = (record.group_name, made.nodes[node], record)
    event(made, end, text, *about, code=1637, resource=resource, change=(before, outcome))


def event(
    made: Seeded,
    at: float,
    text: str,
    group: str,
    node: Node | None = None,
    record: FailoverRecord | None = None,
    *,
    code: int = 0,
    by: str = "",
    severity: Severity = Severity.INFORMATION,
    resource: Resource | None = None,
    change: tuple[str, str] = ("", ""),
) -> Event:
    """A line of the history; it gets its number when all are written, by its time."""
    line = Event(
        at=at,
        code=code,
        severity=severity,
        text=text,
        group=made.groups[group],
        group_name=group,
        node=node,
        node_name=node.name if node else "",
        record=record,
        resource=resource,
        resource_name=resource.name if resource else "",
        operation=record.operation if record else None,
        requested_by=by,
        state_from=change[0],
        state_to=change[1],
    )
    made.lines.append(line)
    return line


def _probes(resource: Resource, now: float) -> None:
    """A day of samples, one a minute, with a slow hour and a few calls that said no."""
    randomly = random.Random(3)
    rows = []
    for minute in range(24 * 60):
        at = now - minute * 60 - 20
        slow = 4.0 if 200 < minute < 260 else 1.0
        for entry_point, base in (("IsAlive", 6.0), ("LooksAlive", 1.4)):
            mean = base * slow * randomly.uniform(0.8, 1.3)
            rows.append(
                ProbeTime(
                    resource=resource,
                    entry_point=entry_point,
                    at=at,
                    calls=6 if entry_point == "IsAlive" else 12,
                    failures=1 if entry_point == "IsAlive" and minute in (122, 123, 611) else 0,
                    mean_ms=mean,
                    max_ms=mean * randomly.uniform(1.3, 3.2),
                )
            )
    ProbeTime.objects.bulk_create(rows)
    resource.newest_times = {
        "IsAlive": _newest(now, last=7.2, p50=6.0, p99=68.4, slowest=71.3, calls=170),
        "LooksAlive": _newest(now, last=1.3, p50=1.4, p99=9.9, slowest=12.0, calls=200),
    }
    resource.save(update_fields=["newest_times"])


def _newest(now: float, last: float, p50: float, p99: float, slowest: float, calls: int) -> dict[str, float]:
    """As `service.probe_times` keeps it."""
    times = {"last_ms": last, "p50_ms": p50, "p99_ms": p99, "slowest_ms": slowest}
    return {"at": now - 20, "calls": calls, **times}
