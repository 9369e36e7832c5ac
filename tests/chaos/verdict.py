"""The check: from what served when and as whom to what was promised. Pure; reads what evidence.py found.

Times are seconds of the boot clock, which all parts of a run share.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SLACK = 0.25
"""Seconds by which the clocks of two processes may differ in the history."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one process journalled: from its first to its last moment of service."""

    group: str
    node: str
    epoch: int
    first: float
    last: float
    who: str
    """Name of the process, for the report."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """A line of the history: from then on the group was this node's ("" for no node)."""

    group: str
    node: str
    since: float


def overlaps(services: Iterable[Service]) -> list[str]:
    """Every time that two nodes served one group at once."""
    found = []
    for group, members in _by_group(services).items():
        latest: Service | None = None
        for each in sorted(members, key=lambda s: s.first):
            if latest is not None and each.node != latest.node and each.first <= latest.last:
                both = min(each.last, latest.last) - each.first
                found.append(f"{group}: {_shown(latest)} and {_shown(each)}, for {both:.3f} s")
            if latest is None or each.last > latest.last:
                latest = each
    return found


def old_epochs(services: Iterable[Service]) -> list[str]:
    """Every time that a group was served under an older epoch than before."""
    found = []
    for group, members in _by_group(services).items():
        newest: Service | None = None
        for each in sorted(members, key=lambda s: s.first):
            if newest is not None and each.epoch < newest.epoch and each.node != newest.node:
                found.append(f"{group}: {_shown(each)} after {_shown(newest)}")
            if newest is None or each.epoch > newest.epoch:
                newest = each
    return found


def not_in_history(services: Iterable[Service], history: Sequence[Ownership]) -> list[str]:
    """Every service at a time at which the history names another owner, or none."""
    lines: dict[str, list[Ownership]] = defaultdict(list)
    for line in history:
        lines[line.group].append(line)
    found = []
    for each in services:
        wrong = _others(each, lines[each.group])
        if wrong:
            found.append(f"{_shown(each)}, and the history says {' then '.join(wrong)}")
    return found


def _others(service: Service, lines: list[Ownership]) -> list[str]:
    """Owners by the history, beside the right one, while the service served."""
    times = [line.since for line in lines]
    begin = bisect_right(times, service.first + SLACK)
    end = bisect_right(times, service.last - SLACK)
    during = lines[max(0, begin - 1) : max(begin, end)]
    if begin == 0:
        return ["nobody"]
    return [line.node or "nobody" for line in during if line.node != service.node]


def gaps_in_numbers(numbers: Sequence[int], newest: int) -> list[str]:
    """The history is numbered from 1 to its newest event, without a gap."""
    present = set(numbers)
    missing = [number for number in range(1, newest + 1) if number not in present]
    twice = len(numbers) - len(present)
    found = [f"event {number} is missing" for number in missing[:20]]
    return found + ([f"{twice} numbers were given twice"] if twice else [])


def missing(acknowledged: Mapping[str, str], mailboxes: Mapping[str, Iterable[str]]) -> list[str]:
    """Mails {id: group} that were acknowledged and are not in the group's mailbox."""
    there = {group: set(ids) for group, ids in mailboxes.items()}
    return [f"{mail} to {group}" for mail, group in acknowledged.items() if mail not in there.get(group, ())]


def longest_gap(moments: Sequence[float]) -> float:
    """The longest time without service between two moments of it, in order."""
    return max((b - a for a, b in pairwise(moments)), default=0.0)


def _by_group(services: Iterable[Service]) -> dict[str, list[Service]]:
    found: dict[str, list[Service]] = defaultdict(list)
    for each in services:
        found[each.group].append(each)
    return found


def _shown(service: Service) -> str:
    times = f"{service.first:.3f} to {service.last:.3f}"
    return f"{service.group} on {service.node} (epoch {service.epoch}, {service.who}, {times})"
