"""Running one action of an OCF agent: its environment, its output, its end.

Where the agent may have left something that is no process (an address, a mount), a record of
how to stop it lies in the resource's state folder, so that `stop_recorded` can do it after the
node's agent died.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from monitoring.resource_dlls.api import Context, Process, ResourceError
from monitoring.resource_dlls.environment import variables
from monitoring.resource_dlls.ocf.catalogue import PATH, Agent
from monitoring.resource_dlls.ocf.codes import Code, in_words

LOG = "output.log"
RECORD = "ocf.json"
TAIL = 16_384
"""Bytes of an action's output that are looked at for the cause of a failure."""
WORDS = 300
HIDDEN = "•••"
SWEEP_LIMIT = 20.0
"""Seconds that a recorded stop may take; the guard gives all of them together 30."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STAMP = re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ")
_REASON = "ocf-exit-reason:"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an action ended, and the last that it said."""

    action: str
    code: int
    said: str

    def __str__(self) -> str:
        return f"{self.action}: {in_words(self.code)}{f': {self.said}' if self.said else ''}"


class Runner:
    """Runs the actions of one resource, one at a time."""

    def __init__(self, agent: Agent, context: Context, given: Mapping[str, str], secrets: list[str]) -> None:
        self._agent = agent
        self._context = context
        self._given = given
        """Parameters by name, as the agent reads them; those without a value are left out."""
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._current: Process | None = None
        self._action = ""
        self._begun_at = 0

    async def run(self, action: str, *, timeout_ms: int, interval_ms: int = 0, level: int = 0) -> Ended:
        """Run an action to its end; being cancelled ends it, with what it started in its session."""
        environment = self._environment(action, timeout_ms, interval_ms, level)
        self._begun_at = self._log_size()
        try:
            process = self._context.spawn([self._agent.path, action], cwd="/", env=environment, watch=False)
        except (OSError, ValueError) as error:
            raise ResourceError(f"{self._agent.path} cannot be started: {error}") from error
        self._current, self._action = process, action
        try:
            code = await process.wait()
        finally:
            _end(process)  # this one alone: Terminate may run another by now
        return Ended(action, code, self.last_words())

    def end_current(self) -> str:
        """End the action that runs, if one does; the sentence says which, and what it said last."""
        if self._current is None or self._current.returncode is not None:
            return ""
        _end(self._current)
        said = self.last_words()
        return f"{self._action} was still running, and was ended{f': {said}' if said else ''}"

    def last_words(self) -> str:
        """The last lines that the action printed, without secrets."""
        with suppress(OSError), (self._context.state_dir / LOG).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            begun = self._begun_at if self._begun_at <= size else 0  # the log was set aside meanwhile
            log.seek(max(begun, size - TAIL))
            return self._tidy(log.read().decode("utf-8", "replace"))
        return ""

    def _tidy(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        lines = (_STAMP.sub("", line.removeprefix(_REASON)).strip() for line in text.splitlines())
        said = "; ".join(list(dict.fromkeys(line for line in lines if line))[-3:])
        return "".join(c if c.isprintable() else " " for c in said)[-WORDS:].strip()

    def _log_size(self) -> int:
        try:
            return (self._context.state_dir / LOG).stat().st_size
        except OSError:
            return 0

    def _environment(self, action: str, timeout_ms: int, interval_ms: int, level: int) -> dict[str, str]:
        """What an agent finds beside the environment of the node's agent (OCF API, section "Environment")."""
        program = Path(self._agent.path)
        return {
            **variables(self._context),
            "PATH": PATH,
            "LC_ALL": "C",
            "OCF_ROOT": str(program.parent.parent.parent),
            "OCF_RA_VERSION_MAJOR": "1",
            "OCF_RA_VERSION_MINOR": "1",
            "OCF_RESOURCE_INSTANCE": instance_name(self._context.name),
            "OCF_RESOURCE_TYPE": self._agent.name,
            "OCF_RESOURCE_PROVIDER": self._agent.provider,
            "OCF_CHECK_LEVEL": str(level),
            "OCF_RESKEY_CRM_meta_name": action,
            "OCF_RESKEY_CRM_meta_timeout": str(timeout_ms),
            "OCF_RESKEY_CRM_meta_interval": str(interval_ms),
            "OCF_RESKEY_CRM_meta_on_node": self._context.node,
            "HA_RSCTMP": str(scratch(self._context.state_dir)),
            "HA_debug": "0",
            **{f"OCF_RESKEY_{name}": value for name, value in self._given.items()},
        }

    # The record of how to stop it

    def record(self, timeout_ms: int) -> None:
        """Note how to stop it, before anything is started. Only this account may read it."""
        noted = {"program": self._agent.path, "environment": self._environment("stop", timeout_ms, 0, 0)}
        path = self._context.state_dir / RECORD
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(noted))
        fresh.replace(path)

    @property
    def is_recorded(self) -> bool:
        """Whether it was started and not stopped, by this instance or an earlier one."""
        return (self._context.state_dir / RECORD).exists()

    def strike(self) -> None:
        """It is stopped: there is nothing left to do."""
        (self._context.state_dir / RECORD).unlink(missing_ok=True)


def _end(process: Process) -> None:
    """End an action that is given up, with what it started in its session; a finished one is left alone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def stop_recorded(state_dir: Path) -> None:
    """Stop what a dead agent left started; ResourceError where it cannot be stopped. Blocking."""
    path = state_dir / RECORD
    if not path.exists():
        return
    noted = json.loads(path.read_text())
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTERWEB_")}
    with (state_dir / LOG).open("ab") as log:
        process = subprocess.Popen(
            [noted["program"], "stop"],
            env={**ours, **noted["environment"]},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        code = process.wait(SWEEP_LIMIT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise ResourceError(f"stop did not end within {SWEEP_LIMIT:g} s") from None
    if code != Code.SUCCESS:
        raise ResourceError(f"stop: {in_words(code)}")
    path.unlink()


def instance_name(name: str) -> str:
    """The resource's name, made fit for the file names that agents build from it."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


def scratch(state_dir: Path) -> Path:
    """The folder for the agents' own state, which all of a node share as their locks demand.

    It is another one after each boot: what it says of processes is not true any more.
    """
    folder = state_dir.parent / "ocf" / _BOOT_ID.read_text().strip()
    if not folder.is_dir():
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return folder
