"""Fence agents: programs of Debian's fence-agents package, and others with the same interface.

An agent reads `name=value` lines from its standard input. With `action=metadata` it prints what
can be set, as XML; `off`, `on`, `status` and `monitor` do what they say and tell the result by the
exit code: 0 for success, and for `status` 0 is on and 2 is off. `off` succeeds when the device
says that the node is off, also where it was so before; where an agent has `status`, that is asked
as well, and has to agree.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.fencing.api import FenceError, FenceMethod, Kind, Power, Property, PropertyError
from monitoring.fencing.metadata import Metadata, read_metadata
from monitoring.fencing.program import Ended, run

DIRECTORIES = "CLUSTERWEB_FENCE_AGENTS"
"""Environment variable: folders in which agents are looked for, separated by colons."""
DEFAULT_DIRECTORIES = "/usr/sbin:/usr/bin"
METADATA_WITHIN = 5.0
REMEMBERED = 60.0
"""Seconds for which an agent that does not tell its metadata is not asked again: pages wait for it."""
STATUS_ON, STATUS_OFF = 0, 2

_NAME = re.compile(r"fence_[A-Za-z0-9_]{1,60}")
_PROVES_NOTHING = frozenset({"fence_heuristics_ping", "fence_delay"})
_NO_AGENTS = frozenset({"fence_ack_manual"})

_MEANINGS = {
    2: "the agent was called wrongly",
    3: "it cannot log in to the device",
    4: "the connection to the device was lost",
    5: "the device did not answer in time",
    6: "it waited for power on, and gave up",
    7: "it waited for power off, and gave up",
    8: "the device does not know the plug, or not its state",
    9: "the device does not know the plug, or not its state",
    10: "a password is missing",
    11: "the user of the device may not do this",
    12: "there is no virtual machine of this name",
}


def directories() -> list[Path]:
    """Where agents are looked for."""
    return [Path(part) for part in os.environ.get(DIRECTORIES, DEFAULT_DIRECTORIES).split(":") if part]


def find(agent: str) -> Path:
    """The program of an agent; FenceError where it is not on this machine."""
    if _NAME.fullmatch(agent):
        for folder in directories():
            path = folder / agent
            if path.is_file() and os.access(path, os.X_OK):
                return path
    raise FenceError(f"there is no fence agent {agent!r} on this machine (Debian: fence-agents)")


def installed() -> list[str]:
    """Names of the agents on this machine."""
    found: set[str] = set()
    for folder in directories():
        if folder.is_dir():
            found.update(
                path.name
                for path in folder.glob("fence_*")
                if _NAME.fullmatch(path.name) and os.access(path, os.X_OK)
            )
    return sorted(found - _NO_AGENTS)


def metadata(agent: str) -> Metadata:
    """What an agent says of itself. Asked once for each version of the program."""
    path = find(agent)
    stat = path.stat()
    version = (path, stat.st_mtime_ns, stat.st_size)
    known = _known.get(version)
    if known is None or (isinstance(known[1], FenceError) and time.monotonic() - known[0] > REMEMBERED):
        try:
            told: Metadata | FenceError = _ask_metadata(path)
        except FenceError as error:
            told = error
        known = _known[version] = (time.monotonic(), told)
    if isinstance(known[1], FenceError):
        raise FenceError(str(known[1]))
    return known[1]


_known: dict[tuple[Path, int, int], tuple[float, Metadata | FenceError]] = {}


def _ask_metadata(path: Path) -> Metadata:
    ended = run([str(path), "-o", "metadata"], "action=metadata\n", METADATA_WITHIN)
    if ended.timed_out or ended.code != 0:
        raise FenceError(f"{path.name} does not tell its metadata: {_why(path.name, ended)}")
    return read_metadata(path.name, ended.output)


class FenceAgent(FenceMethod):
    """Any agent with the standard interface; the agent's name is the kind."""

    method_name = "Fence agent"
    description = "A program that switches power: through a management board, a power strip, a hypervisor."
    per_node = frozenset({"plug"})

    @classmethod
    def kinds(cls) -> tuple[Kind, ...]:
        return tuple(Kind(name) for name in installed())

    @classmethod
    def properties(cls, kind: str) -> tuple[Property, ...]:
        return metadata(kind).properties

    @classmethod
    def confirms(cls, kind: str) -> bool:
        return kind not in _PROVES_NOTHING

    @classmethod
    def clean(cls, kind: str, values: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
        about = metadata(kind)
        for name in values:
            if reason := about.refused.get(name):
                raise PropertyError(name, reason)
        return super().clean(kind, values, complete=complete)

    def off(self) -> str:
        began = time.monotonic()
        ended = self._act("off")
        if ended.code != 0:
            raise FenceError(_why(self.kind, ended))
        if "status" in metadata(self.kind).actions:
            left = self.context.timeout - (time.monotonic() - began)
            if self._status(max(1.0, left)) is not Power.OFF:
                raise FenceError(f"{self.kind} says that it turned the node off, and that it is on")
            return f"{self.kind} turned it off and says that it is off"
        return f"{self.kind} says that it is off"

    def on(self) -> str:
        ended = self._act("on")
        if ended.code != 0:
            raise FenceError(_why(self.kind, ended))
        return f"{self.kind} turned it on"

    def status(self) -> Power:
        return self._status(self.context.timeout)

    def _status(self, seconds: float) -> Power:
        ended = self._act("status", seconds)
        if ended.code == STATUS_ON:
            return Power.ON
        if ended.code == STATUS_OFF and not ended.timed_out:
            return Power.OFF
        raise FenceError(_why(self.kind, ended))

    def monitor(self) -> str:
        ended = self._act("monitor")
        if ended.code != 0:
            raise FenceError(_why(self.kind, ended))
        return "the device answers"

    def _act(self, action: str, seconds: float | None = None) -> Ended:
        """Run the agent for `seconds` at most, None for all that there are.

        What it prints is kept without the secrets that it was given.
        """
        about = metadata(self.kind)
        secrets = [str(self[prop.name]) for prop in about.properties if prop.secret and self[prop.name]]
        given = [prop.name for prop in about.properties if self[prop.name] not in (None, "")]
        lines = [f"action={action}", *(f"{name}={_written(self[name])}" for name in given)]
        if "nodename" in about.accepts and self.context.node:
            lines.append(f"nodename={self.context.node}")
        seconds = self.context.timeout if seconds is None else seconds
        ended = run([str(find(self.kind))], "\n".join(lines) + "\n", seconds, secrets)
        if ended.timed_out:
            raise FenceError(f"{self.kind} was ended: {action} took longer than {seconds:.3g} s")
        return ended


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _why(agent: str, ended: Ended) -> str:
    """Why an agent failed: what its exit code means, and the last that it said."""
    code = ended.code if ended.code >= 0 else f"signal {-ended.code}"
    meaning = _MEANINGS.get(ended.code, "it failed")
    said = f": {ended.last_words}" if ended.last_words else ""
    return f"{agent}: {meaning} (exit code {code}){said}"
