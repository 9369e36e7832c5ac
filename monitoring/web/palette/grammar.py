"""What was typed, read as verb, object, "to" and node: every way to read it, the surest first.

    move EVS1 to NODE2      EVS1 offline      take EVS1 SMTP offline      restart resource EVS1 SMTP
    drain NODE2             what if NODE1 fails       go history          EVS1 (a name alone)

The verbs are those of the actions (web.verbs), by their names, by what their buttons say in the
reader's language, and by a few words that mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from monitoring.web import verbs
from monitoring.web.verbs import Verb

GO, FAILS, DRAINED, HISTORY, EDIT = "go", "what-if-fails", "what-if-drained", "history", "edit"
TABLES: Mapping[str, Mapping[str, Verb]] = {
    "group": verbs.GROUP,
    "node": verbs.NODE,
    "resource": verbs.RESOURCE,
    "cluster": verbs.CLUSTER,
}
ALIKE = {
    "move": ("switch", "migrate", "fail over", "failover"),
    "offline": ("stop", "take down", "bring down"),
    "online": ("start", "bring up", "try again"),
    "restart": ("recycle",),
    "drain": ("evacuate", "empty"),
    "resume": ("unpause",),
    "fail": ("break",),
    "fence": ("power off", "turn off"),
    "maintenance": ("start maintenance of", "begin maintenance"),
    "end-maintenance": ("end maintenance of", "stop maintenance"),
    GO: ("go to", "open", "show"),
    HISTORY: ("history of",),
    EDIT: ("settings of", "change"),
    FAILS: ("what if", "what happens if"),
    DRAINED: ("what if drain", "what if drained"),
}
BEFORE_NAME = {"group": "group", "node": "node", "resource": "resource", "the": ""}
TO = (" to ", " onto ", " -> ", " → ")
END_OF_WHAT_IF = ("fails", "fail", "goes down", "dies", "is lost", "breaks", "is down")
DRAINED_END = ("is drained", "drained", "drains")


@dataclass(frozen=True, slots=True)
class Reading:
    """`verb` is "" for a name alone; `to` is the node of a move; `kind` where it was named.

    `begun`: the verb is not typed to its end yet, so it may be no verb at all.
    """

    verb: str
    about: str = ""
    to: str = ""
    kind: str = ""
    begun: bool = False


def read(typed: str, language: str = "en") -> list[Reading]:
    """All readings, each once."""
    text = " ".join(typed.lower().split())
    found = list(_with_verbs(text, language))
    if not any(reading.verb in (GO, FAILS, DRAINED) and not reading.begun for reading in found):
        found.append(_of("", text))
    return list(dict.fromkeys(found))


def _with_verbs(text: str, language: str) -> Iterator[Reading]:
    for words, verb in phrases(language):
        if text == words or text.startswith(f"{words} "):
            yield from _objects(verb, text[len(words) :].strip())
        elif len(text) > 1 and words.startswith(text):
            yield Reading(verb, begun=True)
        elif f" {words} " in f"{text} ":  # "EVS1 offline", "EVS1 move NODE2"
            about, _, rest = f"{text} ".partition(f" {words} ")
            yield _of(verb, about, rest.removeprefix("to ").strip())
        elif " " in words and not words.startswith("what"):  # "take EVS1 offline"
            first, _, last = words.partition(" ")
            if text.startswith(f"{first} ") and text.endswith(f" {last}") and len(text) > len(words) + 1:
                yield _of(verb, text[len(first) : -len(last)].strip())


def _objects(verb: str, rest: str) -> Iterator[Reading]:
    if verb == FAILS:
        yield from _what_if(rest)
        return
    for to in TO:
        if to in f"{rest} ":
            about, _, node = f"{rest} ".partition(to)
            yield _of(verb, about.strip(), node.strip())
            return
    yield _of(verb, rest)
    if verb == "move" and " " in rest:  # "move EVS1 NODE2"
        about, _, node = rest.rpartition(" ")
        yield _of(verb, about, node)


def _what_if(rest: str) -> Iterator[Reading]:
    """The verb alone asks about a failure; what is said at the end may ask about a drain."""
    for verb, ends in ((DRAINED, DRAINED_END), (FAILS, END_OF_WHAT_IF)):
        for end in ends:
            if rest.endswith(f" {end}"):
                yield _of(verb, rest.removesuffix(end).strip())
                return
    if rest.startswith("drain "):
        yield _of(DRAINED, rest.removeprefix("drain "))
        return
    yield _of(FAILS, rest)


def _of(verb: str, about: str, to: str = "") -> Reading:
    """A reading, without the words that say what kind of thing its object is."""
    kind = ""
    first, _, rest = about.partition(" ")
    if rest and first in BEFORE_NAME:
        kind, about = BEFORE_NAME[first], rest
    return Reading(verb, about, to.removeprefix("node ").strip(), kind)


@lru_cache(maxsize=8)
def phrases(language: str) -> tuple[tuple[str, str], ...]:
    """Words and the verb that they mean, the longest first. `language` is that of the labels."""
    found: dict[str, str] = {}
    for table in TABLES.values():
        for name, verb in table.items():
            for words in (name.replace("-", " "), name, str(verb.label).lower(), *ALIKE.get(name, ())):
                found.setdefault(words, name)
    for name in (GO, HISTORY, EDIT, FAILS, DRAINED):
        for words in (name, *ALIKE.get(name, ())):
            found.setdefault(words, name)
    return tuple(sorted(found.items(), key=lambda pair: (-len(pair[0]), pair[0])))
