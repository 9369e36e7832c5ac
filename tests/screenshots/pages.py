"""The pages that the dashboard has, with addresses that exist in the demo; found, not listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

from tests.cluster.harness import LiveCluster
from tests.security.table import ANYBODY, HTTP

DIALOGS = {"group-move", "node-drain"}
"""The questions that are asked before an action look alike: these stand for all of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """A page: its name as the project has it, and an address."""

    name: str
    path: str
    signed_in: bool


def places(cluster: LiveCluster) -> list[Place]:
    """Every page of the table of addresses that can be shown in this cluster."""
    known = {
        "group": cluster.group("EVS1").pk,
        "node": 1,
        "resource": cluster.resource("EVS1", "Exchange SMTP Virtual Server").pk,
        "history": cluster.records("EVS1")[0].pk,
    }
    found = []
    for pattern, name in _named():
        row = HTTP.get(pattern)
        if row is None or row.api or "GET" not in row.methods or re.search(r"\.(csv|json|ics)$", pattern):
            continue
        if "<str:" in pattern or (
            re.search(r"^(groups|nodes|resources|cluster)[/-]", name) and name not in DIALOGS
        ):
            continue
        path = _filled(pattern, known)
        if path is not None and ("-" not in name or name in DIALOGS):
            query = f"?{row.query}" if row.query else ""
            found.append(Place(name, f"/{path}{query}", row.methods["GET"][0] is not ANYBODY))
    return found


def _named(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from _named(entry, prefix + str(entry.pattern))
        elif isinstance(entry, URLPattern) and entry.name:
            yield prefix + str(entry.pattern), entry.name


def _filled(pattern: str, known: dict[str, int]) -> str | None:
    """The pattern with numbers of things that exist; None where there is no such thing in the demo."""
    for key in re.finditer(r"(\w+?)s?/<\w+:\w+>", pattern):
        if key[1] not in known:
            return None
        pattern = pattern.replace(
            key[0], f"{pattern[key.start() : key.start() + key[0].index('<')]}{known[key[1]]}"
        )
    return pattern
