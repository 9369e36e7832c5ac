"""The resource DLL API: the one page to read, and the one class to write, for a new type.

A resource DLL knows how to bring one type of resource online on this node, take it offline
and say whether it is alive. The node's resource monitor makes one instance per resource and
calls its entry points one at a time (Terminate alone may interrupt another); a slow or hung
entry point costs its own resource only.

    from monitoring.resource_dlls.api import Property, Provider, ResourceDLL

    class QueueServer(ResourceDLL):
        type_name = "Queue Server"
        properties = (Property("Port", kind="port", default=5672),)

        def online(self):
            self.process = self.context.spawn(["queue-server", "--port", str(self["Port"])])

        def is_alive(self):
            return answers_on(self["Port"])

Entry points may be plain methods, which run on a thread that may be another one each time, or
`async def`, which run on the monitor's event loop and must not block it. Publish the class under
the entry point group ``clusterweb.resource_dlls`` of your package; the type then appears
wherever types are listed.

Source: semantics, section 1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

MAX_UINT32 = 0xFFFFFFFF


class PropertyError(ValueError):
    """A private property whose value cannot be used. `field` names the property."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class ResourceError(Exception):
    """Raised by an entry point: the operation failed. The text is shown to the operator.

    `code` is the event id that fits it (semantics, section 7), 0 where none does.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Property:
    """A private property of a type, as it is validated, edited and documented.

    `kind`: "text", "int", "bool", "ip", "netmask", "netbios", "path", "port", "command".
    `minimum` and `maximum` bound an int, inclusive. `unit` is shown beside the value.
    `choices`: the only values allowed, of a text. `unique`: "cluster" refuses a value that
    another resource of the type has anywhere in the cluster. `secret` values are never
    shown, logged or exported. `placeholder`: what the type itself uses where there is no value;
    it is shown and never stored. `details`: more than fits into `help`, shown on demand.
    """

    name: str
    kind: str = "text"
    default: Any = None
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    unit: str = ""
    help: str = ""
    unique: str = ""
    secret: bool = False
    choices: tuple[str, ...] = ()
    placeholder: str = ""
    details: str = ""

    def clean(self, value: Any) -> Any:
        """Return `value` in its proper type, or raise PropertyError naming this property."""
        if value is None or value == "":
            if self.required:
                raise PropertyError(self.name, "a value is required")
            return self.default
        try:
            return _CLEANERS[self.kind](self, value)
        except PropertyError as error:
            if self.secret:  # what was wrong with it quotes it
                raise PropertyError(self.name, "this value is not allowed") from None
            raise error


def _clean_text(prop: Property, value: Any) -> str:
    text = str(value).strip()
    if prop.choices and text not in prop.choices:
        raise PropertyError(prop.name, f"{text!r} is none of {', '.join(prop.choices)}")
    return text


def _clean_int(prop: Property, value: Any) -> int:
    try:
        number = int(str(value), 0)
    except ValueError:
        raise PropertyError(prop.name, f"{value!r} is not a whole number") from None
    low = prop.minimum if prop.minimum is not None else 0
    high = prop.maximum if prop.maximum is not None else MAX_UINT32
    if not low <= number <= high:
        raise PropertyError(prop.name, f"{number} is not within {low} to {high}")
    return number


def _clean_port(prop: Property, value: Any) -> int:
    number = _clean_int(prop, value)
    if not 1 <= number <= 65535:
        raise PropertyError(prop.name, f"{number} is not a port (1 to 65535)")
    return number


def _clean_bool(prop: Property, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise PropertyError(prop.name, f"{value!r} is neither true nor false")


def _clean_ip(prop: Property, value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value).strip()))
    except ValueError:
        raise PropertyError(prop.name, f"{value!r} is not an IP address") from None


def _clean_netmask(prop: Property, value: Any) -> str:
    text = str(value).strip().removeprefix("/")
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 128:
        return str(int(text))
    try:
        network = ipaddress.ip_network(f"0.0.0.0/{text}")
    except ValueError:
        raise PropertyError(prop.name, f"{value!r} is not a subnet mask") from None
    if network.prefixlen == 32:
        raise PropertyError(prop.name, "255.255.255.255 is not allowed as a subnet mask")
    return str(network.netmask)


_NETBIOS_ILLEGAL = re.compile(r"""[\\/:*?"<>|.,;=+\[\]\s@&'(){}^!~`#$%]""")


def _clean_netbios(prop: Property, value: Any) -> str:
    text = str(value).strip().upper()
    if len(text) > 15:
        raise PropertyError(
            prop.name, f"{text!r} is {len(text)} characters long; a NetBIOS name has at most 15"
        )
    illegal = _NETBIOS_ILLEGAL.search(text)
    if illegal or not text.isascii() or not text.isprintable():
        bad = illegal.group() if illegal else next(c for c in text if not c.isascii())
        raise PropertyError(prop.name, f"{bad!r} is not allowed in a NetBIOS name")
    return text


def _clean_path(prop: Property, value: Any) -> str:
    text = str(value).strip()
    if not text.startswith("/") or "\0" in text:
        raise PropertyError(prop.name, f"{text!r} is not an absolute path")
    return text.rstrip("/") or "/"


_CLEANERS = {
    "text": _clean_text,
    "command": _clean_text,
    "int": _clean_int,
    "port": _clean_port,
    "bool": _clean_bool,
    "ip": _clean_ip,
    "netmask": _clean_netmask,
    "netbios": _clean_netbios,
    "path": _clean_path,
}
PROPERTY_KINDS = frozenset(_CLEANERS)


@dataclass(frozen=True, slots=True)
class Provider:
    """A resource that this one depends on: its name, type and private properties."""

    name: str
    type_name: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """What a resource shows about itself while it is up (`Context.show`).

    `level`: 0 as it should be, 1 a warning. `share`: how much of a whole, 0 to 1, for a bar.
    """

    name: str
    text: str
    level: int = 0
    share: float | None = None


class Process(Protocol):
    """A process that the DLL started through `context.spawn`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None:
        """Exit code, or minus the signal that ended it; None while it runs."""
        ...

    async def wait(self) -> int:
        """Wait for its end and return `returncode`. Cancelling this leaves the process alone."""
        ...


class Context(Protocol):
    """What the resource monitor offers to an instance. All methods may be called from any thread."""

    name: str
    group: str
    group_id: int
    """Stays the same when the group is renamed: what is written to shared storage carries it."""
    node: str
    epoch: int
    """Epoch of the group's ownership: it only grows, over all nodes (fencing token)."""
    providers: Sequence[Provider]
    """All resources of the group that this one depends on, directly or through others."""
    state_dir: Path
    """A folder of this node for this resource: logs and sockets, never data to keep. Processes
    write to `output.log` in it."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        watch: bool = True,
    ) -> Process:
        """Start a process that belongs to this resource.

        It gets its own session, a log file in `state_dir`, and a mark in its environment by
        which the guard finds it and all its descendants. `watch`: the end of the process
        fails the resource at once (section 10.2). Its end after `kill_all` is expected.
        """
        ...

    def spawn_service(self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True) -> Process:
        """Start `package.module:function` with `kwargs` in a process forked from a warm parent.

        As `spawn`, for Python services: the interpreter and the libraries are loaded once a
        node, so that a start costs milliseconds and the memory of the libraries is shared.
        """
        ...

    async def spawn_service_async(
        self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True
    ) -> Process:
        """As `spawn_service`, for an `async` entry point: nobody else waits while the parent loads."""
        ...

    def watched(self) -> Sequence[Process]:
        """The processes of this resource that were started with `watch` and run now, oldest first:
        for Adopt also those that an earlier agent started."""
        ...

    def kill_all(self, grace: float = 0.0) -> None:
        """End every process of this resource, descendants included, and wait for it.

        SIGTERM first where `grace` seconds are given, then SIGKILL. Blocking: call it from a
        plain entry point, or `await context.kill_all_async(grace)`.
        """
        ...

    async def kill_all_async(self, grace: float = 0.0) -> None: ...

    def pids(self) -> Sequence[int]:
        """Process ids of everything that runs for this resource now."""
        ...

    def failed(self, reason: str) -> None:
        """Asynchronous failure signal: leads to IsAlive at once (section 1.5)."""
        ...

    def progress(self, text: str) -> None:
        """Report a checkpoint of a pending Online or Offline; restarts the PendingTimeout clock."""
        ...

    def log(self, level: int, text: str, code: int = 0) -> None:
        """Add a line to the cluster's event history; `level` 0 information to 3 severe."""
        ...

    def show(self, name: str, text: str, *, level: int = 0, share: float | None = None) -> None:
        """Show a fact on the resource's page, in place of the one of the same name; an empty text
        takes it away, and all go when the resource goes down.

        `level` 1 is a warning: also on the group and the overview, its begin and end in the
        history. `share` (0 to 1) is drawn as a bar. Unchanged facts cost nothing, so that each
        IsAlive may call it; new words of the same level travel within half a minute.
        """
        ...


class ResourceDLL:
    """Base class of all resource types. Each entry point says what it must promise.

    Class attributes describe the type: they are read without an instance, by the pages that
    create and validate resources. Entry points signal an error by raising ResourceError;
    any other exception counts as one, with its traceback in the node's log.
    """

    type_name: ClassVar[str]
    description: ClassVar[str] = ""
    family: ClassVar[str] = "Generic"
    icon: ClassVar[str] = "box"
    notice: ClassVar[str] = ""
    """What to know before a resource of the type is made; shown where types are chosen."""
    unusable: ClassVar[str] = ""
    """Why no resource of the type can be made: it is listed with the reason, and refused."""
    properties: ClassVar[tuple[Property, ...]] = ()
    required_dependencies: ClassVar[tuple[str, ...]] = ()
    """Type names of which the group must hold one, and on which the resource must depend,
    directly or through others."""
    single_per_cluster: ClassVar[bool] = False
    single_per_group: ClassVar[bool] = False
    looks_alive_ms: ClassVar[int] = 5000
    is_alive_ms: ClassVar[int] = 60000
    pending_timeout_ms: ClassVar[int] = 180000
    deadlock_timeout_ms: ClassVar[int] = 300000
    polls_looks_alive: ClassVar[bool] = True
    """False: failures arrive by an event (a watched process), LooksAlive is never called."""
    warm_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of the services that it starts by `spawn_service`, loaded once a node before they
    are needed. Loading one must start no thread and open no file (no twisted reactor)."""

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        self.context = context
        self._values = dict(properties)

    def __getitem__(self, name: str) -> Any:
        """The validated value of a private property, its default where it was not set."""
        return self._values[name]

    @classmethod
    def clean(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all private properties, validated; PropertyError names the one that is wrong."""
        known = {prop.name for prop in cls.properties}
        for name in values:
            if name not in known:
                raise PropertyError(name, f"{cls.type_name} has no such property")
        cleaned = {prop.name: prop.clean(values.get(prop.name)) for prop in cls.properties}
        cls.check(cleaned)
        return cleaned

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        """Refuse combinations of properties that are each fine alone. Default: none."""

    def open(self) -> Any:
        """Prepare the instance. Must leave the real thing offline: end what is left of an earlier life."""

    def adopt(self) -> Any:
        """In place of Open and Online, on an instance just made: the agent has restarted, and the
        resource was online. Take over what runs (`context.watched`), take back what only the agent
        held (a lock, a socket), and return True. False: it cannot be taken over; it is terminated
        and brought online again, which counts as no failure. ResourceError: it is not as it should
        be, and has failed. Watched processes run, or this is not called; the first IsAlive
        follows at once. Default: False."""
        return False

    def online(self) -> Any:
        """Bring it up; what it depends on is online. Returns when it serves; call
        `context.progress` during long work. On an error, clean up is left to Terminate."""
        raise NotImplementedError

    def offline(self) -> Any:
        """Stop it gracefully and save what another node needs. An error leads to Terminate."""
        return self.terminate()

    def terminate(self) -> Any:
        """Stop it by force, at once. May interrupt Online or Offline. Nothing may run after it."""
        raise NotImplementedError

    def looks_alive(self) -> Any:
        """Cheap check, under 300 ms. False leads to IsAlive and never fails the resource alone."""
        return self.is_alive()

    def is_alive(self) -> Any:
        """Thorough check. False, or ResourceError with the reason, fails the resource."""
        raise NotImplementedError

    def close(self) -> Any:
        """The instance is given up. Free what Open took."""

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        """Take back what an instance left on the node when its agent died: an address on an
        interface, a mount. Called without an instance, by the guard and by the next agent,
        after all processes of the resource are ended; `state_dir` is the instance's.
        Default: nothing, which is right where a resource is made of processes alone."""

    # Helpers for authors

    def provider(self, type_name: str) -> Provider:
        """The provider of that type; ResourceError where there is none."""
        found = [p for p in self.context.providers if p.type_name == type_name]
        if not found:
            raise ResourceError(f"{self.context.name} depends on no {type_name}")
        return found[0]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A resource that comes into being with another (the Exchange System Attendant's tree)."""

    name: str
    """Without the group's name, which is put before it: resource names are unique in the cluster."""
    type_name: str
    requires: tuple[str, ...]
    """Type names, within the group, that it depends on."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    skip_if_in_cluster: bool = False
    """Leave it out where the cluster has a resource of the type (the one MTA)."""


class CompositeDLL(ResourceDLL):
    """A type whose creation brings further resources, and whose deletion takes them along."""

    @classmethod
    def blueprints(cls, values: Mapping[str, Any]) -> Iterable[Blueprint]:
        """The resources that come with it, providers first."""
        raise NotImplementedError
