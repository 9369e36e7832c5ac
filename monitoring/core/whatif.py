"""What if these nodes fail, those are drained, and these disks break? Answered by the real decisions.

The groups that it is about are run through `reconcile` and `request` with nodes that obey at once,
on a clock that only the restarts' delays move, until nothing is left to decide. Pure, as all here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from monitoring.core.homes import broken_rules, homeless, lose
from monitoring.core.intents import request
from monitoring.core.model import Decision, Event, GroupView, Intent, Refused, Transit, World
from monitoring.core.nodes import check
from monitoring.core.obedient import Obedient
from monitoring.core.reconcile import reconcile
from monitoring.core.states import NodeState, ResourceState, Severity

MOST_STEPS = 400
"""Decisions about one group; one that is still on its way then goes from node to node for long."""
BREAKS = "it is taken to be broken on every node"
_STEPS_ON_THE_WAY = (1153, 1641, 1069)
"""Event ids that say how a group goes, not why it stays down (semantics 7)."""


class Verdict(StrEnum):
    """What becomes of a group, the worst first."""

    DOWN = "stays down"
    PARTLY = "partly down"
    UNSETTLED = "goes from node to node"
    MOVES = "moves"
    STAYS = "stays"


@dataclass(frozen=True)
class Question:
    """What is taken to happen, all at once, by ids. `disks` are resources that break on every node."""

    fails: frozenset[int] = frozenset()
    drained: frozenset[int] = frozenset()
    disks: frozenset[int] = frozenset()

    def touches(self, group: GroupView) -> bool:
        """True where the question is about something that the group uses now."""
        transit = group.transit
        nodes = {group.owner, transit.target if transit else None}
        return bool(nodes & (self.fails | self.drained) or self.disks & group.by_id.keys())


@dataclass(frozen=True, slots=True)
class Hop:
    """One passage of a group, and the rule that chose its target."""

    source: int | None
    target: int
    rule: str
    after_loss: bool
    """It follows the loss of the node, which only its lease proves."""


@dataclass(frozen=True)
class Fate:
    """What becomes of one group. `why` is a sentence; `down` are resources that should be online then."""

    group: int
    name: str
    source: int | None
    owner: int | None
    verdict: Verdict
    why: str
    hops: tuple[Hop, ...] = ()
    down: tuple[str, ...] = ()
    unowned: bool = False
    """Its owner is lost: it is down until that node, or another that can take it, is up."""
    restarts: float = 0.0
    """Seconds that pass in delays before restarts."""


@dataclass(frozen=True)
class Answer:
    """`refused` are drains that would not be accepted; `rules` those of capacity that would be broken."""

    fates: tuple[Fate, ...]
    refused: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


def ask(question: Question, groups: Sequence[GroupView], world: World, now: float) -> Answer:
    """Play it. `groups` in the order in which they are decided about: at least all that it touches."""
    return _Play(question, groups, world, now).run()


@dataclass
class _Course:
    """One group on its way through the question."""

    before: GroupView
    group: GroupView
    nodes: Obedient
    hops: list[Hop] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    settled: bool = False
    refused: str = ""
    clock: float = 0.0

    def note(self, decision: Decision) -> None:
        self.events += decision.events
        old, new = self.group.transit, decision.group.transit
        if new is not None and _is_another(old, new):
            lost = new.stage == "starting" and new.kind == "failover"
            self.hops.append(Hop(new.source, new.target, new.rule, lost))
        elif new is not None and old is not None and new.target != old.target:
            self.hops[-1:] = [replace(self.hops[-1], target=new.target, rule="")] if self.hops else []
        self.group = decision.group


def _is_another(old: Transit | None, new: Transit) -> bool:
    if old is None:
        return True
    return (old.kind, old.source, old.started) != (new.kind, new.source, new.started) or (
        old.stage != new.stage and new.stage == "stopping"
    )


class _Play:
    def __init__(self, question: Question, groups: Sequence[GroupView], world: World, now: float) -> None:
        self._asked, self._now = question, now
        self._around = world
        self._loads = {load.group: load for load in world.loads}
        self._nodes = dict(world.nodes)
        broken = dict.fromkeys(question.disks, BREAKS)
        self._courses = [
            _Course(group, group, Obedient(broken), clock=now) for group in groups if question.touches(group)
        ]

    @property
    def _world(self) -> World:
        return replace(self._around, nodes=self._nodes, loads_of=lambda: tuple(self._loads.values()))

    def run(self) -> Answer:
        for node in self._asked.fails:
            if (view := self._nodes.get(node)) is not None:
                self._nodes[node] = lose(view)
        refused = [why for node in sorted(self._asked.drained) if (why := self._drain(node))]
        for course in sorted(self._courses, key=self._turn):
            course.group = course.nodes.takes_over(course.group)
            self._settle(course)
            if course.group.owner in self._drained:
                self._leave(course)
        fates = sorted((self._fate(course) for course in self._courses), key=_worst_first)
        rules = broken_rules(self._nodes, self._loads.values(), self._around)
        return Answer(tuple(fates), tuple(refused), rules)

    def _drain(self, node: int) -> str:
        """Pause the node as a drain does; why it would be refused, empty where it would not."""
        view = self._nodes.get(node)
        if view is None or node in self._asked.fails:
            return ""
        hosts = sum(load.owner == node for load in self._loads.values())
        try:
            check("drain", view, self._world, draining=False, hosts=hosts)
        except Refused as refusal:
            return refusal.message
        self._nodes[node] = replace(view, state=NodeState.PAUSED, paused=True)
        return ""

    @property
    def _drained(self) -> set[int]:
        return {n for n in self._asked.drained if n in self._nodes and self._nodes[n].paused}

    def _turn(self, course: _Course) -> tuple[int, int]:
        """Nodes are lost before anything else happens, and one after the other; drains come last."""
        owner = course.group.owner or 0
        return (0, owner) if owner in self._asked.fails else (2 if owner in self._drained else 1, owner)

    def _leave(self, course: _Course) -> None:
        try:
            accepted = request(course.group, Intent(0, "drain", "somebody"), self._world, course.clock)
        except Refused as refusal:
            course.refused = refusal.message
            return
        self._decided(course, accepted)
        self._settle(course)

    def _settle(self, course: _Course) -> None:
        """Decide and obey in turns until both change nothing more."""
        course.settled = False
        for _ in range(MOST_STEPS):
            before = course.group
            self._decided(course, reconcile(before, self._world, course.clock))
            owner = self._nodes.get(course.group.owner or 0)
            if owner is not None and not owner.lost and owner.state in (NodeState.UP, NodeState.PAUSED):
                course.group = course.nodes.obey(course.group)
            if course.group != before:
                continue
            due = [r.restart_at for r in before.resources if r.restart_at is not None]
            if not due or min(due) <= course.clock:
                course.settled = True
                return
            course.clock = min(due)

    def _decided(self, course: _Course, decision: Decision) -> None:
        course.note(decision)
        load = self._loads.get(course.group.id)
        if load is not None and load.owner != course.group.owner:
            self._loads[course.group.id] = replace(load, owner=course.group.owner)

    def _fate(self, course: _Course) -> Fate:
        before, after = course.before, course.group
        wanted = [r for r in before.resources if before.persistent_online and r.persistent_online]
        owner = self._nodes.get(after.owner or 0)
        runs = owner is not None and not owner.lost
        up = {r.id for r in after.resources if runs and r.state is ResourceState.ONLINE}
        down = [r.name for r in wanted if r.id not in up]
        verdict = Verdict.STAYS if after.owner == before.owner else Verdict.MOVES
        if not course.settled:
            verdict = Verdict.UNSETTLED
        elif wanted and len(down) == len(wanted):
            verdict = Verdict.DOWN
        elif down:
            verdict = Verdict.PARTLY
        return Fate(
            before.id,
            before.name,
            before.owner,
            after.owner,
            verdict,
            self._why(course, verdict),
            tuple(course.hops),
            tuple(down),
            not runs,
            course.clock - self._now,
        )

    def _why(self, course: _Course, verdict: Verdict) -> str:
        """The sentence of the decision that settled it."""
        group = course.group
        if verdict in (Verdict.DOWN, Verdict.PARTLY):
            said = [
                e for e in course.events if e.severity >= Severity.WARNING and e.code not in _STEPS_ON_THE_WAY
            ]
            told = max(said, key=lambda e: e.severity).text if said else ""
            owner = self._nodes.get(group.owner or 0)
            if owner is not None and owner.lost and not (group.maintenance or self._around.maintenance):
                return f"{told} {sentence(homeless(group, self._world, group.owner))}".strip()
            return told
        if course.refused:
            return course.refused
        if course.hops:
            rule = next((hop.rule for hop in reversed(course.hops) if hop.rule), "")
            offline = "" if course.before.persistent_online else "It stays offline, as it was."
            return f"{sentence(rule)} {offline}".strip()
        return ""


def sentence(text: str) -> str:
    """With a capital and a point."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _worst_first(fate: Fate) -> tuple[int, str]:
    return list(Verdict).index(fate.verdict), fate.name
