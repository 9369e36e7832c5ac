"""The groups of the overview as somebody wants to look at them: which, in which lists, how many of each.

A view is a handful of words from the page's address: grouped by what, filtered by which words and
states, in which order, and how far each list was opened. It says nothing about who looks, so all
pages with the same view show the same, and a change is rendered once for all of them.

A cluster of many groups shows a window: of each list the first, and what needs attention before
all else. A cluster of few shows all of them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from django.db.models import Exists, OuterRef

from monitoring.core.states import GroupState
from monitoring.models import Dependency, Node, Resource
from monitoring.service.queries.lines import Line, lines
from monitoring.service.queries.overview import Card, Overview, overview

MANY = 60
"""Groups from which on the overview shows a window."""
ROOM = 128
"""Rows that a window shares among its lists, each of which gets FEWEST to MOST of them."""
FEWEST, MOST = 4, 64
ATTENTION = "attention"
URGENT = 12
"""Groups that need attention and are shown without being asked for."""
STEP = 60
LONGEST = 2000
"""Rows that one list can be opened to."""
BY = ("node", "state", "type", "none")
SORTS = ("trouble", "name", "since")
BY_SEVERITY = (
    *(GroupState.FAILED, GroupState.UNKNOWN, GroupState.PARTIAL_ONLINE),
    *(GroupState.PENDING, GroupState.OFFLINE, GroupState.ONLINE),
)
_KEY = re.compile(r"([a-z0-9-]{1,70}):([0-9]{1,4})")
_TEXT = 100
_OPENED = 40
_EXCHANGE = "Exchange System Attendant"


@dataclass(frozen=True, slots=True)
class View:
    """What an address asks to see; `opened`: lists, and how many rows of each."""

    by: str = "node"
    text: str = ""
    states: tuple[GroupState, ...] = ()
    sort: str = ""
    opened: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> View:
        """What cannot be read is left out."""
        asked: dict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            asked[name].append(value)
        by, sort = (asked[name][-1] if asked[name] else "" for name in ("by", "sort"))
        known = {str(state.value): state for state in GroupState}
        found = [match for match in map(_KEY.fullmatch, asked["rows"][:_OPENED]) if match]
        return cls(
            by=by if by in BY else BY[0],
            text=" ".join("".join(asked["text"][-1:]).lower().split())[:_TEXT],
            states=tuple(sorted({known[value] for value in asked["state"] if value in known})),
            sort=sort if sort in SORTS else "",
            opened=tuple(
                sorted({key: min(int(rows), LONGEST) for key, rows in (m.groups() for m in found)}.items())
            ),
        )

    @classmethod
    def parse(cls, query: str) -> View:
        return cls.of(parse_qsl(query))

    @property
    def query(self) -> str:
        """The same view has the same query, whoever wrote it in which order. "" for the plain one."""
        pairs = [("by", self.by)] if self.by != BY[0] else []
        pairs += [("text", self.text)] if self.text else []
        pairs += [("state", str(state.value)) for state in self.states]
        pairs += [("sort", self.sort)] if self.sort else []
        pairs += [("rows", f"{key}:{rows}") for key, rows in self.opened]
        return urlencode(pairs)

    @property
    def narrowed(self) -> bool:
        return bool(self.text or self.states)

    def opening(self, key: str, rows: int) -> View:
        """The same with one list opened to that many rows."""
        return replace(self, opened=tuple(sorted({**dict(self.opened), key: rows}.items())))


@dataclass(frozen=True, slots=True)
class Facet:
    """One state that can be chosen: how many fit the words, and whether it is chosen."""

    state: GroupState
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One list of groups; `shown`: the numbers of those in the window, in order.

    `node`: the node that it is about, where the view is by node. `cards` are read for a page all,
    for a change only as far as they are new.
    """

    key: str
    title: str
    node: int | None
    total: int
    counts: tuple[tuple[GroupState, int], ...]
    shown: tuple[int, ...]
    more: str
    """Query of the address that shows more of it, "" where all is shown."""
    cards: tuple[Card, ...] = ()

    @property
    def hidden(self) -> int:
        return self.total - len(self.shown)

    @property
    def head(self) -> tuple[object, ...]:
        """What is said of the list, beside the cards."""
        return self.key, self.counts, self.hidden, self.more


@dataclass(frozen=True, slots=True)
class Arranged:
    """The overview in one view. `windowed`: there are too many groups to show all."""

    view: View
    seen: Overview
    sections: tuple[Section, ...]
    facets: tuple[Facet, ...]
    fitting: int
    windowed: bool
    sort: str
    usual: str
    """The order of a view that names none."""

    @property
    def shown(self) -> frozenset[int]:
        return frozenset(id for section in self.sections for id in section.shown)


def arrange(view: View, wanted: Callable[[frozenset[int]], Collection[int]] | None = None) -> Arranged:
    """The overview in a view; `wanted` chooses from the groups shown those whose cards are read.

    Fifteen queries, one more by type and one for fences.
    """
    everything = lines()
    windowed = len(everything) > MANY
    usual = SORTS[0] if windowed else "name"
    sort = view.sort or usual
    words = view.text.split()
    fitting = [line for line in everything if all(word in line.find for word in words)]
    counts = Counter(line.state for line in fitting)
    chosen = [line for line in fitting if not view.states or line.state in view.states]
    sections = _sections(view, chosen, _orders(sort), windowed)
    shown = frozenset(id for section in sections for id in section.shown)
    seen = overview(shown if wanted is None else wanted(shown), everything)
    return Arranged(
        view=view,
        seen=seen,
        sections=_filled(sections, seen.cards, {line.id: line for line in chosen}, _orders(sort)),
        facets=tuple(
            Facet(state, counts[state], state in view.states)
            for state in BY_SEVERITY
            if counts[state] or state in view.states
        ),
        fitting=len(chosen),
        windowed=windowed,
        sort=sort,
        usual=usual,
    )


def _orders(sort: str) -> Callable[[Line], str]:
    """What puts a list in order, as text: the page compares it as it stands."""
    if sort == "name":
        return lambda line: line.name.lower()
    if sort == "since":
        return lambda line: f"{max(0.0, 1e11 - line.since):016.3f}"
    return lambda line: f"{line.urgency}{line.name.lower()}"


def _sections(
    view: View, chosen: Sequence[Line], order: Callable[[Line], str], windowed: bool
) -> tuple[Section, ...]:
    places = _places(view, chosen)
    held: dict[str, list[Line]] = defaultdict(list)
    for line in chosen:
        held[_place(view.by, line, places)].append(line)
    keys = _keys(view, held, places)
    share = max(FEWEST, min(MOST, ROOM // max(1, len(keys) - (ATTENTION in keys))))
    opened = dict(view.opened)
    return tuple(
        _section(
            view,
            key,
            title,
            sorted(held[key], key=order),
            max(opened.get(key, 0), URGENT if key == ATTENTION else share) if windowed else LONGEST,
        )
        for key, title in keys.items()
    )


def _section(view: View, key: str, title: str, held: Sequence[Line], room: int) -> Section:
    room = room if len(held) - room > 2 else len(held)  # a button for one or two more helps nobody
    counts = Counter(line.state for line in held)
    return Section(
        key=key,
        title=title,
        node=int(key) if key.isdigit() else None,
        total=len(held),
        counts=tuple((state, counts[state]) for state in BY_SEVERITY if counts[state]),
        shown=tuple(line.id for line in held[:room]),
        more=view.opening(key, room + STEP).query if room < len(held) else "",
    )


def _places(view: View, chosen: Sequence[Line]) -> Mapping[int, str]:
    """The type of each group, where the view is by type. One query then, none else."""
    if view.by != "type":
        return {}
    leading = ~Exists(Dependency.objects.filter(provider=OuterRef("pk")))
    rows = Resource.objects.order_by("-id").filter(leading).values_list("group_id", "type__name")
    kinds = dict(rows)  # the first of a group comes last, and stays
    exchange = Resource.objects.filter(type__name=_EXCHANGE).values_list("group_id", flat=True)
    return {**kinds, **dict.fromkeys(exchange, "Exchange Virtual Server")}


def _place(by: str, line: Line, types: Mapping[int, str]) -> str:
    """Key of the list that a group stands in."""
    if by == "state":
        return f"state-{line.state.value}"
    if line.troubled or line.owner is None:
        return ATTENTION
    if by == "type":
        return _slug(types.get(line.id, ""))
    return str(line.owner) if by == "node" else "all"


def _slug(name: str) -> str:
    return "type-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "none")


def _keys(view: View, held: Mapping[str, Collection[Line]], types: Mapping[int, str]) -> dict[str, str]:
    """The lists in order, each with its title; those of nodes stand also where they are empty."""
    if view.by == "state":
        return {f"state-{s.value}": s.label for s in BY_SEVERITY if f"state-{s.value}" in held}
    keys = {ATTENTION: ""}
    if view.by == "node":
        nodes = Node.objects.order_by("id").values_list("id", "name")
        keys |= {str(id): name for id, name in nodes if not view.narrowed or str(id) in held}
    elif view.by == "type":
        titles = {_slug(name): name for name in types.values()} | {_slug(""): "No resources yet"}
        keys |= {key: titles[key] for key in sorted(held) if key != ATTENTION}
    else:
        keys |= {"all": "Groups"} if "all" in held else {}
    return keys


def _filled(
    sections: Sequence[Section],
    cards: Iterable[Card],
    known: Mapping[int, Line],
    order: Callable[[Line], str],
) -> tuple[Section, ...]:
    """The sections with the cards that were read for them, each told its place."""
    read = {card.id: card for card in cards}
    return tuple(
        replace(
            section,
            cards=tuple(
                replace(read[id], place=section.key, order=order(known[id]))
                for id in section.shown
                if id in read
            ),
        )
        for section in sections
    )
