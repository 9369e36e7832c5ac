"""The metadata of fence agents: XML from a program, turned into properties.

The XML comes from a program that root installed, and is read as if it did not: no document
type, no entities, a limited size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from monitoring.fencing.api import FenceError
from monitoring.resource_dlls.api import Property

LONGEST = 500_000
_LARGEST = 2**31 - 1

_SECRET_PARTS = ("passw", "secret", "token", "apikey", "api_key", "community", "hexadecimal_kg")
_SECRET_NAMES = frozenset({"key_value", "auth_key"})
_NOT_SECRET = ("_file", "_path", "_prot")

_OURS = {
    "action": "the cluster service says what to do",
    "nodename": "the cluster service gives the name of the node",
    "delay": "set the delay of the level instead",
    "help": "it only prints something",
    "version": "it only prints something",
    "quiet": "what the agent says is kept",
    "separator": "it only changes what is printed",
}
_COULD_LIE = {"missing_as_off": "a plug that does not exist would count as off"}
_RUNS_PROGRAMS = frozenset({"ssh_options", "exec"})
_WRITES_FILES = frozenset({"debug", "debug_file", "logfile", "cookie_file"})


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an agent says of itself.

    `refused`: parameters that it has and that cannot be set here, each with the reason.
    """

    name: str
    title: str
    description: str
    properties: tuple[Property, ...]
    actions: frozenset[str]
    accepts: frozenset[str]
    refused: Mapping[str, str]


def read_metadata(agent: str, text: str) -> Metadata:
    """Parse the XML that `agent` printed; FenceError where it is not what the interface says."""
    if len(text) > LONGEST:
        raise FenceError(f"the metadata of {agent} is too long")
    try:
        root = fromstring(text.strip(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise FenceError(f"the metadata of {agent} cannot be read: {error}") from None
    if root.tag != "resource-agent":
        raise FenceError(f"the metadata of {agent} does not begin with <resource-agent>")
    parameters = [one for one in root.iter("parameter") if one.get("name")]
    actions = frozenset(one.get("name", "") for one in root.iter("action"))
    instead = {one.get("obsoletes", ""): one.get("name", "") for one in parameters if one.get("obsoletes")}
    refused: dict[str, str] = {}
    properties: dict[str, Property] = {}
    for one in parameters:
        name = one.get("name", "")
        if reason := _refusal(one, name, instead):
            refused[name] = reason
        else:
            properties.setdefault(name, _property(one, name))
    return Metadata(
        name=agent,
        title=_plain(root.get("shortdesc", "")) or agent,
        description=_plain(root.findtext("longdesc") or ""),
        properties=tuple(sorted(properties.values(), key=_rank)),
        actions=actions,
        accepts=frozenset(one.get("name", "") for one in parameters),
        refused=refused,
    )


def _refusal(one: Element, name: str, instead: Mapping[str, str]) -> str:
    """Why a parameter is not offered, empty where it is."""
    if name in _OURS:
        return _OURS[name]
    if name in _COULD_LIE:
        return _COULD_LIE[name]
    if one.get("deprecated") == "1":
        newer = instead.get(name, "")
        return f"it is out of date{f': use {newer}' if newer else ''}"
    if name in _RUNS_PROGRAMS or (name.endswith(("_script", "_path")) and name != "api_path"):
        return "it would run another program as the cluster service"
    if name in _WRITES_FILES:
        return "it would write a file as the cluster service"
    if "=" in name or any(c.isspace() for c in name):
        return "its name cannot be written"
    return ""


def _property(one: Element, name: str) -> Property:
    content = one.find("content")
    kind = content.get("type", "string") if content is not None else "string"
    default = content.get("default") if content is not None else None
    choices = tuple(
        value for option in (content if content is not None else ()) if (value := option.get("value"))
    )
    more: dict[str, Any] = {}
    if kind == "boolean":
        more = {"kind": "bool", "default": str(default).strip().lower() in ("1", "true", "yes", "on")}
    elif kind in ("integer", "second") and _is_number(default):
        more = {"kind": "int", "default": int(default) if default else None, "maximum": _LARGEST}
        if kind == "second":
            more["unit"] = "s"
    else:
        more = {"default": _plain(default) if default else None, "choices": choices}
    secret = is_secret(name)
    if secret:
        more["default"] = None
    return Property(
        name,
        required=one.get("required") == "1" and default is None,
        help=_plain(one.findtext("shortdesc") or "", 400),
        secret=secret,
        **more,
    )


def is_secret(name: str) -> bool:
    """True where the value of a parameter must not be shown; agents do not say it themselves."""
    lower = name.lower().replace("-", "_")
    if lower.endswith(_NOT_SECRET):
        return False
    return lower in _SECRET_NAMES or any(part in lower for part in _SECRET_PARTS) or lower == "secret_key"


def _is_number(default: str | None) -> bool:
    return default is None or default == "" or (default.isascii() and default.isdigit())


_FIRST = ("ip", "ipport", "username", "password", "plug")


def _rank(prop: Property) -> tuple[int, int, str]:
    """What is needed first, in the order in which one thinks of it."""
    place = _FIRST.index(prop.name) if prop.name in _FIRST else len(_FIRST)
    return (0 if prop.required else 1, place, prop.name) if place == len(_FIRST) else (0, place, prop.name)


def _plain(text: str, longest: int = 2000) -> str:
    """Text on one line, without what does not belong there."""
    words = "".join(c if c.isprintable() else " " for c in text).split()
    return " ".join(words)[:longest]
