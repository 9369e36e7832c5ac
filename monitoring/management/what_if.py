"""`manage.py cluster what-if`: what nodes that fail or are drained, and disks that break, would lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.color import Style

from monitoring.api import what_ifs
from monitoring.management.tables import duration, table


def add_command(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Its options; each may be given several times."""
    parser = add("what-if", "Where groups would go, and what would stay down", shown)
    parser.add_argument("--fail", action="append", default=[], metavar="NODE", help="this node fails")
    parser.add_argument("--drain", action="append", default=[], metavar="NODE", help="this node is drained")
    parser.add_argument(
        "--disk", action="append", default=[], metavar="RESOURCE", help="this disk breaks, on every node"
    )


def run(options: dict[str, Any], show: Callable[[object, Callable[[], str]], None], style: Style) -> None:
    """Ask and tell; without any option only the single points of failure."""
    found = what_ifs.answer(options["fail"], options["drain"], options["disk"])
    asked = any(options[name] for name in ("fail", "drain", "disk"))
    show(found, lambda: _text(found, style, asked))


def _text(found: what_ifs.WhatIfOut, style: Style, asked: bool) -> str:
    parts = []
    if asked:
        parts.append(f"{found.sentence} Not touched: {found.untouched}.")
        if found.groups:
            rows = [[g.group, g.verdict, _way(g), _time(g), g.why] for g in found.groups]
            parts.append(table(["GROUP", "IT", "FROM > TO", "DOWNTIME", "WHY"], rows, style))
        parts += [style.WARNING(text) for text in (*found.refused, *found.broken_rules)]
    parts += [style.ERROR(text) for text in found.single_points_of_failure]
    return "\n".join(parts) or "No node's loss alone would leave a group down."


def _way(group: what_ifs.FateOut) -> str:
    places = [group.source or "-", *group.via, group.target or "-"]
    return group.source if group.source == group.target and not group.via else " > ".join(places)


def _time(group: what_ifs.FateOut) -> str:
    if group.downtime_s is None:
        return group.downtime or "none"
    return f"{'at least ' if group.downtime_at_least else ''}{duration(group.downtime_s)}"
