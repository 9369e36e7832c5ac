"""What may be meant, best first: things and pages by name, and actions on them with their confirmation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.models.roles import Role
from monitoring.web.palette import grammar, match
from monitoring.web.palette.grammar import DRAINED, EDIT, FAILS, GO, HISTORY, TABLES, Reading
from monitoring.web.palette.places import PLACES, Place
from monitoring.web.palette.things import Index, State, Thing, hindrance, objection
from monitoring.web.verbs import Verb

SHOWN = 12
EACH = 6
"""Objects of one kind that a verb is offered for."""
TARGETS = 4
"""Nodes that a move is offered to, where none is named."""
LIKELY, SURE, BEGUN, POINTLESS = 80.0, 60.0, -42.0, 45.0
"""How well a thing fits that was not named. Added to the fit of a name: a verb was typed, or begun;
taken from it: the action makes no sense now."""
NAMED_ALONE = 85.0
"""From here on a name is sure enough that what can be done with the thing is offered too."""
FIRST_VERBS = {
    "group": ("move", "offline", "online", "restart"),
    "node": ("drain", "resume", "pause"),
    "resource": ("restart", "offline", "online"),
}
SENTENCES: dict[tuple[str, str], Callable[[], str]] = {
    ("group", "move"): lambda: _("Move %(name)s…"),
    ("group", "offline"): lambda: _("Take %(name)s offline"),
    ("group", "online"): lambda: _("Bring %(name)s online"),
    ("group", "restart"): lambda: _("Restart %(name)s"),
    ("group", "maintenance"): lambda: _("Start maintenance of %(name)s"),
    ("group", "end-maintenance"): lambda: _("End maintenance of %(name)s"),
    ("node", "pause"): lambda: _("Pause %(name)s"),
    ("node", "drain"): lambda: _("Drain %(name)s"),
    ("node", "resume"): lambda: _("Resume %(name)s"),
    ("node", "clear-quarantine"): lambda: _("Clear the quarantine of %(name)s"),
    ("node", "fence"): lambda: _("Fence %(name)s now"),
    ("node", "confirm-off"): lambda: _("I have seen that %(name)s is off"),
    ("node", "rotate-key"): lambda: _("Rotate the key of %(name)s"),
    ("node", "evict"): lambda: _("Evict %(name)s"),
    ("resource", "online"): lambda: _("Bring %(name)s online"),
    ("resource", "offline"): lambda: _("Take %(name)s offline"),
    ("resource", "restart"): lambda: _("Restart %(name)s"),
    ("resource", "fail"): lambda: _("Simulate a failure of %(name)s"),
    ("cluster", "maintenance"): lambda: _("Start maintenance of the whole cluster"),
    ("cluster", "end-maintenance"): lambda: _("End maintenance of the whole cluster"),
}
ICONS = {"group": "boxes", "node": "server", "resource": "layers"}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line of the list. `key` is what a browser remembers of it: its thing or page.

    `href` opens in the dialog where `asks`; `enter` says what Enter does. `hindered`: `detail` says
    why it makes no sense now. `title` is shown in `pieces`, those that were typed marked.
    """

    key: str
    icon: str
    title: str
    detail: str
    href: str
    enter: str
    score: float
    state: State | None = None
    asks: bool = False
    hindered: bool = False
    section: str = ""
    pieces: tuple[tuple[str, bool], ...] = ()


May = Callable[[Role], bool]


def suggestions(
    typed: str, index: Index, may: May, *, recent: Sequence[str] = (), language: str = "en"
) -> list[Suggestion]:
    """`may` says whether the reader has a role; `recent` are keys of what was chosen before, newest first."""
    typed = " ".join(typed.split())
    if not typed:
        return list(_before_typing(index, may, recent))
    found = [
        suggestion
        for reading in grammar.read(typed, language)
        for suggestion in _of_reading(reading, index, may, recent)
    ]
    found = found or list(_alike(typed.lower(), index))
    found.sort(key=lambda s: (-s.score, match.natural(s.title.lower())))
    best = {(one.href, one.title): one for one in reversed(found)}
    kept = sorted(best.values(), key=lambda s: (-s.score, match.natural(s.title.lower())))[:SHOWN]
    return [replace(one, pieces=match.pieces(typed, one.title)) for one in kept]


def _before_typing(index: Index, may: May, recent: Sequence[str]) -> Iterator[Suggestion]:
    """What was chosen before, what is in trouble, and the pages."""
    by_key = {one.key: one for one in (*index.groups, *index.nodes, *index.resources)}
    places = {f"page:{place.name}": place for place in PLACES if may(place.role)}
    shown: set[str] = set()
    for key in recent[:EACH]:
        if key in by_key:
            yield _plain(replace(_open(by_key[key], index, 0), section=_("Recent")))
        elif key in places:
            yield _plain(replace(_place(places[key], 0), section=_("Recent")))
        shown.add(key)
    troubled = [one for one in (*index.nodes, *index.groups) if one.troubled and one.key not in shown]
    for one in sorted(troubled, key=_by_name)[:EACH]:
        yield _plain(replace(_open(one, index, 0), section=_("Needs attention")))
    for key, place in places.items():
        if key not in shown:
            yield _plain(replace(_place(place, 0), section=_("Go to")))


def _plain(suggestion: Suggestion) -> Suggestion:
    return replace(suggestion, pieces=((suggestion.title, False),))


def _of_reading(reading: Reading, index: Index, may: May, recent: Sequence[str]) -> Iterator[Suggestion]:
    if reading.verb in ("", GO):
        yield from _names(reading, index, may)
    elif reading.verb in (FAILS, DRAINED):
        yield from _what_if(reading, index)
    elif reading.verb in (HISTORY, EDIT):
        yield from _pages_of(reading, index, may)
    else:
        yield from _actions(reading, index, may, recent)


def _names(reading: Reading, index: Index, may: May) -> Iterator[Suggestion]:
    """Things and pages that are called so; of the only one that surely is, also what can be done with it."""
    if not reading.about:
        yield from (_place(place, SURE) for place in PLACES if may(place.role) and not reading.begun)
        return
    fits = sorted(_fits(reading, index, SHOWN), key=lambda pair: -pair[1])
    for thing, fit in fits:
        yield _open(thing, index, fit)
    if fits and fits[0][1] >= NAMED_ALONE and (len(fits) == 1 or fits[0][1] - fits[1][1] > 5):
        thing, fit = fits[0]
        for step, verb in enumerate(FIRST_VERBS[thing.what], 1):
            known = TABLES[thing.what][verb]
            if may(known.role) and not objection(verb, thing):
                yield _action(verb, known, thing, index, fit - step / 10)
        if thing.what == "node":
            yield _ask_what_if(FAILS, thing, fit - 0.5)
    for place in PLACES:
        if may(place.role) and (fit := _place_fit(reading.about, place)):
            yield _place(place, fit + (SURE if reading.verb == GO else -1))


def _place_fit(typed: str, place: Place) -> float:
    return max(match.fit(typed, str(place.title).lower()), match.fit(typed, place.words) * 0.6)


def _fits(reading: Reading, index: Index, most: int) -> Iterator[tuple[Thing, float]]:
    """The best of each kind of thing, with how well each fits."""
    for what in ("group", "node", "resource"):
        if reading.kind in ("", what):
            yield from _best(reading.about, index.of(what), most)


def _best(typed: str, things: Iterable[Thing], most: int) -> list[tuple[Thing, float]]:
    found = [(thing, fit) for thing in things if (fit := match.fit(typed, thing.low))]
    found.sort(key=lambda pair: (-pair[1], not pair[0].troubled, match.natural(pair[0].low)))
    return found[:most]


def _by_name(thing: Thing) -> tuple[bool, tuple[tuple[int, str], ...]]:
    return not thing.troubled, match.natural(thing.low)


def _actions(reading: Reading, index: Index, may: May, recent: Sequence[str]) -> Iterator[Suggestion]:
    for what, table in TABLES.items():
        verb = table.get(reading.verb)
        if verb is None or not may(verb.role) or reading.kind not in ("", what):
            continue
        if what == "cluster":
            if not reading.about or reading.about in ("cluster", "all", "whole cluster"):
                yield _on_cluster(reading, verb)
            continue
        for thing, fit in _objects(reading, index.of(what), recent):
            score = fit + (BEGUN if reading.begun else SURE)
            if reading.verb == "move":
                yield from _moves(reading, verb, thing, index, score)
            elif not reading.to:
                yield _action(reading.verb, verb, thing, index, score)


def _objects(reading: Reading, things: Sequence[Thing], recent: Sequence[str]) -> list[tuple[Thing, float]]:
    """What the verb is about. Where nothing is said: what it makes sense for, the likeliest first."""
    if reading.about:
        return _best(reading.about, things, EACH)
    apt = [thing for thing in things if not objection(reading.verb, thing)]
    rank = {key: place for place, key in enumerate(recent)}
    apt.sort(key=lambda thing: (rank.get(thing.key, len(rank)), *_by_name(thing)))
    first = LIKELY - (things[0].what == "resource" if things else 0)
    return [(thing, first - step / 10) for step, thing in enumerate(apt[: 3 if reading.begun else EACH])]


def _moves(reading: Reading, verb: Verb, group: Thing, index: Index, score: float) -> Iterator[Suggestion]:
    """To the node that was named, or the question where to, and the nodes that come into question."""
    if reading.to:
        for node, fit in _best(reading.to, index.nodes, TARGETS):
            yield _move(verb, group, node, index, score + fit / 10)
        return
    yield _action("move", verb, group, index, score)
    if reading.about and len(index.nodes) <= TARGETS + 1:
        for step, node in enumerate(index.nodes, 1):
            if not hindrance(node, group):
                yield _move(verb, group, node, index, score - step / 100)


def _move(verb: Verb, group: Thing, node: Thing, index: Index, score: float) -> Suggestion:
    against = hindrance(node, group)
    return Suggestion(
        group.key,
        verb.icon,
        _("Move %(name)s to %(node)s") % {"name": group.name, "node": node.name},
        against or index.where(group),
        f"{reverse('group-move', args=[group.id])}?{urlencode({'node': node.id})}",
        _("Shows what would happen, and asks"),
        score - (POINTLESS if against else 0),
        group.state,
        asks=True,
        hindered=bool(against),
    )


def _action(name: str, verb: Verb, thing: Thing, index: Index, score: float) -> Suggestion:
    against = objection(name, thing)
    return Suggestion(
        thing.key,
        verb.icon,
        SENTENCES[thing.what, name]() % {"name": thing.name},
        against or index.where(thing),
        reverse(f"{thing.what}-{name}", args=[thing.id]),
        _("Shows what would happen, and asks"),
        score - (POINTLESS if against else 0),
        thing.state,
        asks=True,
        hindered=bool(against),
    )


def _on_cluster(reading: Reading, verb: Verb) -> Suggestion:
    return Suggestion(
        "",
        verb.icon,
        SENTENCES["cluster", reading.verb](),
        _("the whole cluster"),
        reverse(f"cluster-{reading.verb}"),
        _("Shows what would happen, and asks"),
        LIKELY + 2 + (BEGUN if reading.begun else SURE),
        asks=True,
    )


def _open(thing: Thing, index: Index, score: float) -> Suggestion:
    return Suggestion(
        thing.key,
        ICONS[thing.what],
        thing.name,
        index.where(thing),
        reverse(thing.what, args=[thing.id]),
        _("Opens its page"),
        score,
        thing.state,
    )


def _place(place: Place, score: float) -> Suggestion:
    return Suggestion(
        f"page:{place.name}",
        place.icon,
        str(place.title),
        _("page"),
        reverse(place.name),
        _("Opens this page"),
        score,
    )


def _what_if(reading: Reading, index: Index) -> Iterator[Suggestion]:
    added = BEGUN if reading.begun else SURE
    for node, fit in _objects(reading, index.nodes, ()):
        yield _ask_what_if(reading.verb, node, fit + added)


def _ask_what_if(verb: str, node: Thing, score: float) -> Suggestion:
    fails = verb == FAILS
    text = _("What if %(name)s fails?") if fails else _("What if %(name)s is drained?")
    return Suggestion(
        node.key,
        "compass",
        text % {"name": node.name},
        _("Changes nothing"),
        f"{reverse('what_if')}?{urlencode({'fail' if fails else 'drain': node.name})}",
        _("Shows where its groups would go"),
        score,
        node.state,
    )


def _pages_of(reading: Reading, index: Index, may: May) -> Iterator[Suggestion]:
    """History or settings of a thing."""
    if not reading.about or (reading.verb == EDIT and not may(Role.ADMINISTRATOR)):
        return
    for thing, fit in _fits(reading, index, EACH):
        if reading.verb == EDIT:
            text, icon = _("Edit %(name)s"), "pencil"
            href, enter = reverse(f"{thing.what}_settings", args=[thing.id]), _("Opens its settings")
        elif thing.what != "resource":
            text, icon = _("History of %(name)s"), "history"
            href = f"{reverse('history')}?{urlencode({thing.what: thing.id})}"
            enter = _("Opens its failovers and moves")
        else:
            continue
        title = text % {"name": thing.name}
        yield Suggestion(
            thing.key, icon, title, index.where(thing), href, enter, fit + SURE, state=thing.state
        )


def _alike(typed: str, index: Index) -> Iterator[Suggestion]:
    """Where nothing fits: what is spelt nearly so."""
    by_low = {one.low: one for one in (*index.groups, *index.nodes, *index.resources)}
    for step, low in enumerate(match.near(typed, list(by_low))):
        yield _open(by_low[low], index, match.NEAR - step)
