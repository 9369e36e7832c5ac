"""`manage.py cluster balance`: which groups had better be elsewhere, and having them moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.color import Style

from monitoring.api import balance as api
from monitoring.management.audited import who
from monitoring.management.tables import duration, table
from monitoring.service import balance

Show = Callable[[object, Callable[[], str]], None]


def add_command(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Its options."""
    parser = add("balance", "Which groups had better be elsewhere, and why", shown)
    parser.add_argument("groups", nargs="*", help="of --do: only these")
    parser.add_argument("--do", action="store_true", help="ask for the moves")
    parser.add_argument("--reason", default="", help="why, for the history; else the reasons given")


def run(options: dict[str, Any], show: Show, style: Style) -> bool:
    """Suggest, or do. False where a move was refused."""
    if not options["do"]:
        found = api.read()
        show(found, lambda: _text(found, style))
        return True
    steps = balance.named(balance.suggestion(), options["groups"])
    done = balance.do(steps, by=who(), reason=options["reason"])
    lines = [f"{one} was asked for." for one in done.asked]
    lines += [style.ERROR(f"{name} was not moved: {why}") for name, why in done.refused]
    body = {"operations": [one.pk for one in done.asked], "refused": dict(done.refused)}
    show(body, lambda: "\n".join(lines) or "Nothing to move.")
    return not done.refused


def _text(found: api.BalanceOut, style: Style) -> str:
    parts = []
    if found.moves:
        rows = [
            [
                move.group,
                f"{move.source} > {move.target}",
                duration(move.downtime_s) or "not known",
                " ".join((*move.reasons, *(f"After {name}." for name in move.waits_for))),
            ]
            for move in found.moves
        ]
        parts.append(table(["GROUP", "FROM > TO", "DOWN FOR", "WHY"], rows, style))
    else:
        parts.append("Nothing to move.")
    loads = [
        [one.node, f"{one.groups} > {one.groups_then}", f"{one.storage_groups} > {one.storage_groups_then}"]
        for one in found.nodes
    ]
    parts.append(table(["NODE", "GROUPS", "STORAGE GROUPS"], loads, style))
    parts += [f"{one.group} stays away from home: {one.why}" for one in found.not_moved]
    return "\n\n".join(parts[:2]) + "".join(f"\n{line}" for line in parts[2:])
