"""The fencing API: the one page to read, and the one class to write, for a new method.

A fence method makes sure that a node is off. When a node falls silent and its lease is over,
the cluster service turns it off through its fence devices, and only a node that is
*confirmed* off loses its groups to others.

    from monitoring.fencing.api import FenceError, FenceMethod, Power
    from monitoring.resource_dlls.api import Property

    class Relay(FenceMethod):
        method_name = "Relay board"
        common = (Property("Address", required=True), Property("Pin", kind="int", required=True))
        per_node = frozenset({"Pin"})

        def off(self):
            board = connect(self["Address"], timeout=self.context.timeout)
            board.open(self["Pin"])
            if board.is_closed(self["Pin"]):
                raise FenceError(f"relay {self['Pin']} is still closed")
            return f"relay {self['Pin']} is open"

        def status(self): ...
        def monitor(self): ...

What every method promises:

- **Success means confirmed.** `off` returns only when the node is known to be without power, or
  to run nothing that it ran before. "The command was accepted" is no confirmation: ask, or raise
  FenceError. A wrong yes here is two owners of one disk.
- **Off of what is off succeeds.** The cluster service repeats `off` whenever it is not sure that
  the last one was heard of, perhaps from another process, perhaps at the same time.
- **It ends.** All that a call does is over within `context.timeout` seconds; one that takes longer
  has failed, whatever it returns in the end.
- **No secrets.** The texts that it returns or raises are read by every viewer and kept in the history.

Publish the class under the entry point group ``clusterweb.fence_methods`` of your package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Property, PropertyError


class FenceError(Exception):
    """The act failed, or could not be confirmed. The text tells an operator what happened."""


class Power(StrEnum):
    """Whether a node has power, as its device says."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Kind:
    """A variety of a method with properties of its own, such as one fence agent."""

    name: str
    title: str = ""


def _never() -> bool:
    return False


def _zero() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Context:
    """What a call is about.

    `timeout`: seconds that it has. `cancelled` turns true when nobody waits for the result any
    more: a method that only waits looks at it. `over_for`: seconds for which this process has known
    that the node's lease is over, by its monotonic clock; 0 where it is not. `watchdog`: the timeout
    in seconds of the watchdog that the node last said it holds, 0 for none.
    """

    node: str = ""
    timeout: float = 60.0
    cancelled: Callable[[], bool] = _never
    over_for: Callable[[], float] = _zero
    watchdog: float = 0.0


class FenceMethod:
    """Base class of all methods. An instance is made for one call and forgotten after it.

    `values` are the device's properties together with those that the node sets for itself, such
    as the number of its plug. Calls are plain methods on a thread of their own, and may block.
    Any exception but FenceError counts as a failure too, with its traceback in the log.
    """

    method_name: ClassVar[str]
    description: ClassVar[str] = ""
    common: ClassVar[tuple[Property, ...]] = ()
    per_node: ClassVar[frozenset[str]] = frozenset()
    """Names of properties that may be set, or set otherwise, for each node that uses the device."""

    def __init__(self, kind: str, values: Mapping[str, Any], context: Context) -> None:
        self.kind = kind
        self.context = context
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        """The value of a property, None where it was not set and has no default."""
        return self._values.get(name)

    # What there is to set

    @classmethod
    def kinds(cls) -> tuple[Kind, ...]:
        """The varieties that can be used on this machine, by name. Default: one without a name."""
        return (Kind(""),)

    @classmethod
    def properties(cls, kind: str) -> tuple[Property, ...]:
        """What can be set of a device of this kind; FenceError where there is no such kind here."""
        return cls.common

    @classmethod
    def is_per_node(cls, kind: str, name: str) -> bool:
        """True where each node has a value of its own for the property, such as its plug."""
        return name in cls.per_node

    @classmethod
    def confirms(cls, kind: str) -> bool:
        """False where success alone proves nothing, such as a ping to somebody else.

        Such a device may only stand in a level together with one that turns the node off.
        """
        return True

    @classmethod
    def clean(cls, kind: str, values: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
        """The values, validated; those that are the default are left out. PropertyError names what is wrong.

        `complete`: also what each node sets for itself has to be there.
        """
        known = {prop.name: prop for prop in cls.properties(kind)}
        for name in values:
            if name not in known:
                raise PropertyError(name, f"{kind or cls.method_name} has no such property")
        cleaned: dict[str, Any] = {}
        for name, prop in known.items():
            given = values.get(name)
            if given in (None, "") and prop.required and not complete and cls.is_per_node(kind, name):
                continue
            value = prop.clean(given)
            if value is not None and value != prop.default:
                _check_plain(name, value)
                cleaned[name] = value
        cls.check(kind, cleaned, complete=complete)
        return cleaned

    @classmethod
    def check(cls, kind: str, values: Mapping[str, Any], *, complete: bool) -> None:
        """Refuse combinations of properties that are each fine alone. Default: none."""

    @classmethod
    def least_seconds(cls, kind: str, values: Mapping[str, Any], context: Context) -> float:
        """The time that `off` needs at the least; a shorter timeout is made this long."""
        return 0.0

    # What it does

    def off(self) -> str:
        """Turn the node off, and see that it is. Returns what confirms it, as a short sentence."""
        raise NotImplementedError

    def on(self) -> str:
        """Turn the node on. The cluster never does this by itself."""
        raise FenceError(f"{self.method_name} cannot turn a node on")

    def status(self) -> Power:
        """Whether the node has power now. FenceError where the device does not know."""
        raise NotImplementedError

    def monitor(self) -> str:
        """Whether the device itself can be reached and used; changes nothing. Returns what it found."""
        raise NotImplementedError


def _check_plain(name: str, value: object) -> None:
    """A line break or another control character has no place in any value."""
    if isinstance(value, str) and any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise PropertyError(name, "line breaks and control characters are not allowed")


__all__ = [
    "Context",
    "FenceError",
    "FenceMethod",
    "Kind",
    "Power",
    "Property",
    "PropertyError",
]
