"""What the REST API and the command line's --json answer to a "what if"."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from monitoring.service import whatif


class FateOut(msgspec.Struct, frozen=True):
    """What becomes of one group. `verdict`: stays down, partly down, goes from node to node, moves, stays.

    `via` are nodes that it tries in between. `downtime_s` is how long its clients wait, null where they
    do not or where it stays down; `downtime_at_least`: more is to come that history does not tell.
    """

    group: str
    source: str
    target: str
    via: tuple[str, ...]
    verdict: str
    why: str
    down: tuple[str, ...]
    downtime_s: float | None
    downtime_at_least: bool
    downtime: str


class WhatIfOut(msgspec.Struct, frozen=True):
    """The answer, the worst first.

    `refused`: drains that would not be accepted; `broken_rules`: of capacity.
    """

    sentence: str
    groups: tuple[FateOut, ...]
    untouched: int
    refused: tuple[str, ...]
    broken_rules: tuple[str, ...]
    single_points_of_failure: tuple[str, ...]
    """Of the cluster as it is now, whatever was asked."""


def answer(fail: Iterable[str], drain: Iterable[str], disk: Iterable[str]) -> WhatIfOut:
    """The answer to a question by names; UnknownNameError for one that does not exist."""
    found = whatif.ask(whatif.named(fail, drain, disk))
    return WhatIfOut(
        f"{found.sentence}.",
        tuple(map(_fate, found.lines)),
        found.untouched,
        found.refused,
        found.rules,
        whatif.weak_points(),
    )


def _fate(line: whatif.Line) -> FateOut:
    time = line.downtime
    return FateOut(
        line.name,
        line.source,
        line.target,
        line.via,
        line.verdict.value,
        line.why,
        line.down,
        None if time is None or time.seconds is None else round(time.seconds, 3),
        time is not None and time.at_least,
        "" if time is None else time.text,
    )
