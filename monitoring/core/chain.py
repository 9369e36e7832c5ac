"""Why a group went from node to node, as sentences in their order. Pure.

It reads what the history holds of the time before and in a passage, and leaves out what did not lead
to it: of forty lines about one resource that kept failing it makes four sentences. All that it says
stands in the history; where the history is silent, so is the chain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitoring.core.states import Severity

RESOURCE_FAILED, GROUP_GIVEN_UP, GROUP_NOT_ONLINE = 1069, 1254, 1205
GROUP_MOVING, GROUP_FAILING_OVER = 1641, 1153
NODE_JOINED, NODE_LOST, CONTACT, ISOLATED, NOT_ISOLATED, QUARANTINE_OVER = 1062, 1135, 1592, 1673, 1680, 1676
FENCING = 9001

_RESTART = re.compile(r" is restarted in .* \(restart (\d+) of (\d+)\)\.$")
_HEARD_AGAIN = re.compile(r" is (?:heard again|no longer isolated)\.$")
_ASKED = re.compile(r"^(.*) is (drained|resumed), asked for by ")


class Role(StrEnum):
    """What a sentence of the chain is about."""

    SIGN = "sign"
    FAILURE = "failure"
    REMEDY = "remedy"
    LIMIT = "limit"
    NODE = "node"
    FENCE = "fence"
    ASKED = "asked"
    DECISION = "decision"
    HANDOVER = "handover"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the history. `own`: it belongs to the passage that is explained.

    An id is None where the thing is gone; its name stays.
    """

    seq: int
    at: float
    code: int
    text: str
    severity: Severity = Severity.INFORMATION
    own: bool = False
    resource: int | None = None
    resource_name: str = ""
    node: int | None = None
    node_name: str = ""
    group_name: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is kept of a failover or move itself.

    `asked_at`: when the operator asked. `before` and `after` are the failovers that ended without
    bringing the group online, and into which this one ended so, as (number, target).
    """

    kind: str
    group: str
    source: str
    target: str
    cause: str
    rule: str
    started: float
    stopped: float | None = None
    finished: float | None = None
    state: str = "running"
    outcome: str = ""
    by: str = ""
    reason: str = ""
    asked_at: float | None = None
    before: tuple[int, str] | None = None
    after: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence of the chain. `seq` is the line of the history behind it, `record` another failover."""

    at: float
    text: str
    role: Role
    seq: int | None = None
    bad: bool = False
    record: int | None = None
    resource: int | None = None
    resource_name: str = ""
    node: int | None = None
    node_name: str = ""


def chain(passage: Passage, lines: Sequence[Line]) -> tuple[Step, ...]:
    """The sentences that tell why the group went, where to, and what came of it. `lines` by number."""
    decided = next((i for i, line in enumerate(lines) if _decides(line)), len(lines))
    before, after = lines[:decided], lines[decided:]
    steps = [*_origin(passage, before), *_decision(passage, after[:1]), *_course(passage, after[1:])]
    return tuple(steps)


def _decides(line: Line) -> bool:
    return line.own and line.code in (GROUP_MOVING, GROUP_FAILING_OVER)


def _step(line: Line, role: Role, text: str = "", *, bad: bool = False) -> Step:
    return Step(
        line.at,
        text or _sentence(line.text),
        role,
        line.seq,
        bad,
        resource=line.resource,
        resource_name=line.resource_name,
        node=line.node,
        node_name=line.node_name,
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


# What came before the decision


def _origin(passage: Passage, before: Sequence[Line]) -> list[Step]:
    steps = []
    if passage.before is not None:
        number, node = passage.before
        text = f"Failover {number} had not brought {passage.group} online on {node}."
        steps.append(Step(passage.started, text, Role.SIGN, record=number, node_name=node))
    if passage.kind == "failover":
        failed = _last_failure(passage, before)
        return steps + (_failures(failed, before) if failed else _node_lost(passage.source, before))
    if passage.kind == "failback":
        return steps + _came_back(passage, before)
    return steps + _asked(passage, before)


def _last_failure(passage: Passage, before: Sequence[Line]) -> Line | None:
    """The failure that the decision answered; it was written down together with it."""
    own = [line for line in before if line.own and line.code == RESOURCE_FAILED]
    found = [line for line in own if line.resource_name and passage.cause.startswith(line.resource_name)]
    return found[-1] if found else own[-1] if own else None


def _failures(last: Line, before: Sequence[Line]) -> list[Step]:
    """One resource that failed, was restarted and failed again, until it might not be restarted more."""
    same = [line for line in before if line.resource_name == last.resource_name and line.seq <= last.seq]
    failed = [line for line in same if line.code == RESOURCE_FAILED and line.node_name == last.node_name]
    restarts = [(line, found) for line in same if (found := _RESTART.search(line.text))]
    restarts = [(line, found) for line, found in restarts if line.seq > failed[0].seq]
    if restarts:  # a count that began anew: what came before is another story
        first = next(i for i in reversed(range(len(restarts))) if restarts[i][1][1] == "1" or i == 0)
        restarts = restarts[first:]
        failed = [line for line in failed if line.seq >= _failure_before(restarts[0][0], failed).seq]
    else:
        failed = [last]
    steps = [_step(failed[0], Role.FAILURE, bad=True)]
    if restarts:
        steps.append(_restarted(restarts[-1][0], len(restarts), failed))
        if last.text != failed[0].text:
            steps.append(_step(last, Role.FAILURE, bad=True))
        spent, allowed = restarts[-1][1].groups()
        if spent == allowed:
            text = f"It was out of restarts: {_times(int(allowed), 'restart')} within its RestartPeriod."
            steps.append(_step(last, Role.LIMIT, text))
    return steps


def _failure_before(line: Line, failed: Sequence[Line]) -> Line:
    return next((one for one in reversed(failed) if one.seq < line.seq), failed[0])


def _restarted(line: Line, count: int, failed: Sequence[Line]) -> Step:
    name, took = line.resource_name, failed[-1].at - failed[0].at
    if count == 1:
        text = f"{name} was restarted once, and failed again after {length(took)}."
    else:
        text = f"{name} was restarted {count} times in {length(took)}, and failed each time."
    return _step(line, Role.REMEDY, text)


def _node_lost(node: str, before: Sequence[Line]) -> list[Step]:
    """Silence, what it came to mean, and how it became sure that nothing of the node runs."""
    about = [line for line in before if line.node_name == node and not line.resource_name]
    lost = next((line for line in reversed(about) if line.code == NODE_LOST), None)
    if lost is None:
        return []
    silent: list[Line] = []
    for line in (line for line in about if line.seq < lost.seq):
        if _HEARD_AGAIN.search(line.text) or line.code == NODE_JOINED:
            silent = []
        elif line.code in (CONTACT, ISOLATED):
            silent.append(line)
    fenced = [line for line in about if line.seq > lost.seq and line.code == FENCING]
    return [
        *(_step(line, Role.SIGN) for line in silent),
        _step(lost, Role.NODE, bad=True),
        *(_step(line, Role.FENCE, bad=line.severity >= Severity.ERROR) for line in fenced),
    ]


def _came_back(passage: Passage, before: Sequence[Line]) -> list[Step]:
    about = [line for line in before if line.node_name == passage.target and not line.resource_name]
    resumed = [line for line in about if (found := _ASKED.search(line.text)) and found[2] == "resumed"]
    came = [line for line in about if line.code in (NODE_JOINED, QUARANTINE_OVER)]
    last = max([*resumed, *came], key=lambda line: line.seq, default=None)
    if last is None:
        return []
    steps = [_step(last, Role.NODE)]
    waited = passage.started - last.at
    if waited > 1:
        text = f"{passage.group} waited {length(waited)} until it might go back."
        steps.append(Step(passage.started, text, Role.SIGN))
    return steps


def _asked(passage: Passage, before: Sequence[Line]) -> list[Step]:
    if passage.kind == "drain":
        drained = [
            line
            for line in before
            if (found := _ASKED.search(line.text)) and found[2] == "drained" and not line.group_name
        ]
        if drained:
            return [_step(drained[-1], Role.ASKED)]
    if not passage.by:
        return []
    at = passage.started if passage.asked_at is None else passage.asked_at
    why = f": “{passage.reason}”" if passage.reason else ""
    way = {"move": f"the move to {passage.target}", "restart": "the restart", "drain": "the drain"}
    text = _sentence(f"{passage.by} asked for {way.get(passage.kind, 'it')}{why}")
    return [Step(at, text, Role.ASKED)]


# The decision, and what followed


def _decision(passage: Passage, line: Sequence[Line]) -> list[Step]:
    verb = {
        "failover": "failed over",
        "failback": "failed back",
        "move": "was moved",
        "drain": "was moved away",
        "restart": "was restarted",
    }[passage.kind]
    where = f"on {passage.target}" if passage.kind == "restart" else f"to {passage.target}"
    if passage.rule:
        rule = passage.rule.rstrip(".")
        apposition = rule.removeprefix(f"{passage.target} is ")
        why = f", {apposition}" if apposition != rule else f": {rule}"
    elif passage.kind == "failback":
        why = ", a more preferred owner"
    else:
        why = ""
    text = f"{passage.group} {verb} {where}{why}."
    about = line[0] if line else None
    node = about.node if about else None
    seq = about.seq if about else None
    return [Step(passage.started, text, Role.DECISION, seq, node=node, node_name=passage.target)]


def _course(passage: Passage, after: Sequence[Line]) -> list[Step]:
    """What went wrong on the way, the handover, and the end."""
    steps = []
    if passage.stopped is not None and passage.kind != "restart":
        steps.append(_handover(passage, passage.stopped))
    steps += [_step(line, Role.DECISION) for line in after if line.own and line.code == GROUP_MOVING]
    until = passage.finished
    meant = [line for line in after if line.own or line.node_name == passage.target]
    steps += _trouble([line for line in meant if until is None or line.at <= until])
    steps.sort(key=lambda step: step.at)
    if passage.finished is not None and passage.state != "running":
        bad = passage.state in ("failed", "continued")
        record = passage.after[0] if passage.after else None
        text = passage.outcome or f"It ended: {passage.state}."
        if passage.after:
            text = f"{_sentence(text)} It went on to {passage.after[1]} with failover {passage.after[0]}."
        end = Step(passage.finished, _sentence(text), Role.OUTCOME, bad=bad, record=record)
        steps.append(end)
    return steps


def _handover(passage: Passage, at: float) -> Step:
    took = at - passage.started
    if took <= 0:
        text = f"Nothing of {passage.group} ran on {passage.source or 'any node'} any more: "
        text += f"{passage.target} became its owner at once."
    else:
        text = f"Everything was offline on {passage.source} after {length(took)}, "
        text += f"and {passage.target} became the owner."
    return Step(at, text, Role.HANDOVER, node_name=passage.target)


def _trouble(after: Sequence[Line]) -> list[Step]:
    """Failures on the way: the first and the last of each resource, and how often between them."""
    failed: dict[str, list[Line]] = {}
    for line in after:
        if line.code == RESOURCE_FAILED:
            failed.setdefault(line.resource_name, []).append(line)
    steps = []
    for name, lines in failed.items():
        steps.append(_step(lines[0], Role.FAILURE, bad=True))
        if len(lines) > 1:
            again = _times(len(lines) - 1, "more time")
            text = f"{name} failed {again}, the last time: {_cause(lines[-1])}"
            steps.append(_step(lines[-1], Role.FAILURE, _sentence(text), bad=True))
    return steps


def _cause(line: Line) -> str:
    return line.text.partition(": ")[2] or line.text


def _times(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def length(seconds: float) -> str:
    """A length of time in words that fit a sentence: 0.4 s, 12 s, 3 min, 2 h 5 min."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next(i for i, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)
