"""What an OCF resource agent says of itself: the XML of its `meta-data`, read with care.

The XML comes from a program that an administrator installed, and is read as if it did not: a
document type is skipped, entities are refused, the size is limited.

Source: the OCF resource agent API 1.1 (and 1.0, which most agents still speak).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from monitoring.resource_dlls.api import Property

LONGEST = 500_000
LANGUAGE = "en"
HELP = 180
"""Characters of help beside a field; what is longer is shown on demand."""
SMALLEST_INT = -(2**31)


class MetadataError(ValueError):
    """Metadata that is not what the standard says; the text tells what is wrong."""


class Parameter(msgspec.Struct, frozen=True):
    """A parameter as the agent describes it. `default` None: it names none."""

    name: str
    type: str
    required: bool
    unique: bool
    short: str
    long: str
    default: str | None


class Action(msgspec.Struct, frozen=True):
    """An action with the times that the agent recommends, in ms; 0 where it names none."""

    name: str
    timeout_ms: int
    interval_ms: int
    depth: int
    role: str


class Metadata(msgspec.Struct, frozen=True):
    short: str
    long: str
    parameters: tuple[Parameter, ...]
    actions: tuple[Action, ...]

    def offers(self, action: str) -> bool:
        return any(one.name == action for one in self.actions)

    def timeout_ms(self, action: str, default: int) -> int:
        """The longest time-out that the agent recommends for an action."""
        return max((one.timeout_ms for one in self._plain(action)), default=0) or default

    def monitors(self) -> list[Action]:
        """The monitor actions of an agent that nobody promotes, the cheapest first."""
        return sorted(self._plain("monitor"), key=lambda one: one.depth)

    def _plain(self, action: str) -> list[Action]:
        """Actions of this name, those for the promoted role left out where there are others."""
        found = [one for one in self.actions if one.name == action]
        return [one for one in found if one.role not in ("promoted", "master")] or found


def read_metadata(text: str) -> Metadata:
    """Parse what an agent printed; MetadataError where it cannot be used."""
    if len(text) > LONGEST:
        raise MetadataError("its metadata is too long")
    try:
        root = fromstring(_without_preamble(text))
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise MetadataError(f"its metadata cannot be read: {error}") from None
    if root.tag != "resource-agent":
        raise MetadataError(f"its metadata begins with <{root.tag}>, not with <resource-agent>")
    found = Metadata(
        short=_text(root, "shortdesc"),
        long=_text(root, "longdesc"),
        parameters=tuple(_parameters(root.iter("parameter"))),
        actions=tuple(_action(one) for one in root.iter("action") if one.get("name")),
    )
    for name in ("start", "stop", "monitor"):
        if not found.offers(name):
            raise MetadataError(f"its metadata names no action {name}")
    return found


def _without_preamble(text: str) -> str:
    """From the root element on: agents name a DTD that nobody needs, and some print before it."""
    begin = text.find("<resource-agent")
    if begin < 0:
        raise MetadataError("it printed no <resource-agent>")
    return text[begin:]


def _parameters(elements: Iterable[Element]) -> Iterable[Parameter]:
    seen: set[str] = set()
    for one in elements:
        name = one.get("name", "")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) or name in seen:
            continue  # no variable of an environment could carry it
        seen.add(name)
        content = one.find("content")
        yield Parameter(
            name=name,
            type=(content.get("type", "string") if content is not None else "string").lower(),
            required=_is_true(one.get("required")),
            unique=_is_true(one.get("unique")),
            short=_text(one, "shortdesc"),
            long=_text(one, "longdesc"),
            default=content.get("default") if content is not None else None,
        )


def _action(one: Element) -> Action:
    return Action(
        name=one.get("name", ""),
        timeout_ms=_milliseconds(one.get("timeout")),
        interval_ms=_milliseconds(one.get("interval")),
        depth=int(depth) if (depth := one.get("depth", "0").strip()).isdigit() else 0,
        role=one.get("role", "").lower(),
    )


_UNITS = {"": 1000, "ms": 1, "msec": 1, "s": 1000, "sec": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}


def _milliseconds(text: str | None) -> int:
    """Milliseconds of "20s", "20" (seconds), "500ms", "2min"; 0 where it is no length of time."""
    parts = re.fullmatch(r"\s*(\d{1,9})\s*([a-z]*)\s*", (text or "").lower())
    return int(parts[1]) * _UNITS.get(parts[2], 0) if parts else 0


def _text(parent: Element, tag: str) -> str:
    """The text of a child in our language, else in the one that comes first; paragraphs kept."""
    found = parent.findall(tag)
    ours = [one for one in found if one.get("lang", LANGUAGE).startswith(LANGUAGE)] or found
    if not ours:
        return ""
    paragraphs = re.split(r"\n\s*\n", "".join(ours[0].itertext()))
    return "\n\n".join(text for part in paragraphs if (text := one_line(part)))


def one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on")


# Parameters as properties


_SECRET = re.compile(r"passw(or)?d|passphrase|secret|token|_pass$|^pass$", re.IGNORECASE)


def is_secret(one: Parameter) -> bool:
    """Agents do not say which values are secrets; a name tells, unless its default is a path."""
    return one.type == "string" and bool(_SECRET.search(one.name)) and not (one.default or "").startswith("/")


def is_on(text: str | None) -> bool:
    """How the agents' own shell functions read a boolean."""
    return (text or "").strip().lower() in ("yes", "true", "1", "ja", "on")


def as_property(one: Parameter, changing: Iterable[str]) -> Property:
    """A parameter as a property of the type.

    Its default is shown and not stored, so that the agent's own holds where there is no value;
    it may differ between machines. Defaults that contain one of `changing` are made up by the
    agent for each resource.
    """
    default = (one.default or "").strip()
    if any(part in default for part in changing):
        default = ""
    more: dict[str, Any] = {"placeholder": one_line(default)[:200]}
    if one.type == "boolean":
        more = {"kind": "bool", "default": is_on(default)}
    elif one.type == "integer" and re.fullmatch(r"(-?\d+)?", default):
        more |= {"kind": "int", "minimum": SMALLEST_INT}
    elif is_secret(one):
        more = {"secret": True}
    short, details = _help(one)
    return Property(
        one.name,
        required=one.required and one.default in (None, ""),
        unique="cluster" if one.unique and one.type != "boolean" else "",
        help=short,
        details=details,
        **more,
    )


def _help(one: Parameter) -> tuple[str, str]:
    """The short help and, where the agent says more than that, all of it."""
    long, short = one_line(one.long), one_line(one.short)
    if not long or len(long) <= HELP:
        return _cut(long or short), ""
    says_nothing = not short or _letters(short) == _letters(one.name)
    return _cut(long if says_nothing else short), one.long


def _cut(text: str) -> str:
    return text if len(text) <= HELP else text[: HELP - 1].rsplit(" ", 1)[0] + "…"


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
