"""The Generic Service resource: a systemd unit that runs on one node at a time.

systemd starts and stops it, and says at once by a signal when it is not up any more; LooksAlive
is therefore not polled. While the cluster has the unit, systemd does not restart it by itself (see
`unit`): of two managers one has to decide. A unit that runs when the node gets the resource is stopped.

Its processes are systemd's, not the agent's; what they print is read from the journal. What was
started stands in `unit` in the state folder, by which it is stopped where the agent has died.

Source: semantics 5.1, 5.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.environment import with_network_name
from monitoring.resource_dlls.generic_service import unit as units
from monitoring.resource_dlls.generic_service.manager import (
    NO_SUCH_UNIT,
    SERVICE,
    Changed,
    Manager,
    ManagerError,
    manager,
)

RECORD = "unit"
"""Name of the file in the state folder that names what may run."""
JOURNAL_LAG = 0.4
"""Seconds after which the last lines of a unit have come out of the journal, which gathers them for 0.25."""
KILL_EVERY = 0.25
KILL_LIMIT = 20.0
"""Seconds that a unit has to be down in after SIGKILL; the guard gives all sweeps together 30."""
BOOT_STATES = frozenset({"enabled", "enabled-runtime"})


class GenericService(ResourceDLL):
    type_name = "Generic Service"
    description = "A systemd unit. Its state is known at once."
    icon = "cog"
    polls_looks_alive = False
    notice = "Disable the unit on every node (systemctl disable): the cluster alone is to start it."
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "ServiceName",
            required=True,
            help="a systemd unit that every node has, such as nginx or nginx.service",
            details=(
                "Of the unit types service, socket, target, timer, path and mount. A template ends in @ and"
                " takes its instance from StartupParameters. While the resource is on a node, a file below"
                " /run tells systemd there not to restart the unit by itself."
            ),
        ),
        Property("StartupParameters", help="the instance of a template: berlin for openvpn@berlin"),
        Property(
            "UseNetworkName",
            kind="bool",
            default=False,
            help="give it the group's network name as HOSTNAME and COMPUTERNAME",
        ),
    )

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self._unit = units.full_name(self["ServiceName"], self["StartupParameters"] or "")
        self._path = ""
        """Its object on the bus, empty before it was looked for."""
        self._is_up = False
        self._is_pending = False
        """systemd starts or stops it: what it says meanwhile is shown as progress."""
        self._reader: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._invocation = b""
        self._main_pid = 0
        """0 where there is none, or it is not to be seen from here (another PID namespace)."""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        name, parameters = values["ServiceName"], values["StartupParameters"] or ""
        if not units.UNIT_NAME.fullmatch(name):
            raise PropertyError("ServiceName", f"{name!r} cannot be the name of a unit")
        if name.startswith("clusterweb-"):
            raise PropertyError("ServiceName", f"{name} is a part of the cluster itself")
        is_template = units.full_name(name, "").rpartition(".")[0].endswith("@")
        if is_template and not parameters:
            raise PropertyError("StartupParameters", f"{name} is a template: say which instance of it")
        if parameters and not is_template:
            raise PropertyError(
                "StartupParameters", f"{name} takes none: only a template, whose name ends in @, does"
            )

    # Up and down

    async def open(self) -> None:
        systemd, state = await self._find()
        if state["ActiveState"] not in units.DOWN:
            self._record.write_text(self._unit)
            self.context.log(1, f"{self._unit} was there before its start ({_state(state)}): it is stopped")
            await self._stop(systemd)

    async def adopt(self) -> bool:
        """Nothing of it needs the node's agent."""
        systemd, state = await self._find()
        if not self._record.exists() or state["ActiveState"] not in units.UP:
            raise ResourceError(await self._ended(systemd, state))
        self._record.write_text(self._unit)
        self._read_journal()
        await self._follow(systemd, state)
        return True

    async def online(self) -> None:
        systemd, _ = await self._find()
        self._record.write_text(self._unit)
        await self._take_charge(systemd)
        with contextlib.suppress(ManagerError):  # it had not failed
            await systemd.call(*_MANAGER, "ResetFailedUnit", "s", self._unit)
        await systemd.watch(self._path, self._changed)
        self._read_journal()
        await systemd.call(*_MANAGER, "RefUnit", "s", self._unit)  # else it forgets what became of it
        try:
            result = await self._while_pending(systemd.start(self._unit))
            state = await systemd.properties(self._path)
            if result not in ("done", "skipped") or state["ActiveState"] not in units.UP:
                raise ResourceError(await self._not_started(systemd, result, state))
        finally:
            with contextlib.suppress(ManagerError):
                await systemd.call(*_MANAGER, "UnrefUnit", "s", self._unit)
        await self._follow(systemd, state)

    async def offline(self) -> None:
        self._is_up = False
        systemd, _ = await self._find()
        await self._stop(systemd)
        self._stop_reading()

    async def terminate(self) -> None:
        """By force; what was never started needs nothing, not even systemd."""
        self._is_up = False
        if self._record.exists():
            await _kill(manager(), self._record.read_text())
            self._record.unlink(missing_ok=True)
        self._stop_reading()

    async def is_alive(self) -> bool:
        systemd = manager()
        try:
            state = await systemd.properties(self._path)
        except ManagerError as error:
            return self._unheard(error)
        self.context.show("Service manager", "")
        if state["ActiveState"] not in units.UP:
            raise ResourceError(await self._ended(systemd, state))
        service = await self._service(systemd)
        if service.get("NRestarts", 0) > self._restarts:
            said = f": {reason}" if (reason := units.why(state, service)) else ""
            raise ResourceError(f"{self._unit} ended, and systemd has started it again by itself{said}")
        await self._follow(systemd, state)
        return True

    async def close(self) -> None:
        self._stop_reading()
        systemd = manager()
        if self._path:
            await systemd.unwatch(self._path, self._changed)
        if units.remove_drop_in(self._unit):
            await systemd.reload()

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        record = state_dir / RECORD
        if record.exists():
            asyncio.run(_end_for_good(record.read_text()))
            record.unlink(missing_ok=True)

    # Parts

    @property
    def _record(self) -> Path:
        return self.context.state_dir / RECORD

    async def _find(self) -> tuple[Manager, dict[str, Any]]:
        """The manager, and the unit as it is; ResourceError where the node has none of the name."""
        systemd = manager()
        self._path = await systemd.load(self._unit)
        state = await systemd.properties(self._path)
        if state["LoadState"] == "not-found":
            raise ResourceError(f"{self.context.node} has no unit {self._unit}")
        if state["LoadState"] != "loaded":
            said = state.get("LoadError") or ["", ""]
            reason = f" ({said[1]})" if said[1] else ""
            raise ResourceError(f"{self._unit} cannot be used: it is {state['LoadState']}{reason}")
        self._unit = state["Id"]  # it may have been named by an alias
        return systemd, state

    async def _take_charge(self, systemd: Manager) -> None:
        """Tell systemd that the cluster has the unit."""
        environment = with_network_name(self.context) if self["UseNetworkName"] else {}
        text = units.drop_in(environment, is_service=self._is_service)
        try:
            if units.write_drop_in(self._unit, text):
                self.context.progress("systemd reads its unit files anew")
                await systemd.reload()
        except OSError as error:
            raise ResourceError(f"systemd cannot be told that the cluster has it: {error}") from error

    async def _follow(self, systemd: Manager, state: Mapping[str, Any]) -> None:
        """It is up: hear what becomes of it, and tell what an operator should know about it."""
        await systemd.watch(self._path, self._changed)
        service = await self._service(systemd)
        invocation = bytes(state.get("InvocationID", b""))
        if self._is_up and invocation != self._invocation:
            self.context.log(1, f"{self._unit} was restarted outside of the cluster")
        self._invocation = invocation
        self._restarts = service.get("NRestarts", 0)
        pid = service.get("MainPID", 0)
        self._main_pid = pid if units.runs(pid, self._unit) else 0
        self._is_up = True
        at_boot = state.get("UnitFileState") in BOOT_STATES
        self.context.show(
            "Start at boot",
            f"the unit would start outside of the cluster: systemctl disable {self._unit}" if at_boot else "",
            level=1,
        )
        policy = service.get("Restart", "no")
        self.context.show(
            "Restart",
            f"systemd restarts it too (Restart={policy}): set Restart=no in the unit"
            if policy != "no"
            else "",
            level=1,
        )
        starters = [name for name in state.get("TriggeredBy", []) if await self._is_active(systemd, name)]
        names = " ".join(starters)
        self.context.show(
            "Started by",
            f"{names} would start it outside of the cluster: systemctl disable --now {names}"
            if names
            else "",
            level=1,
        )

    async def _is_active(self, systemd: Manager, unit: str) -> bool:
        return await systemd.property(await systemd.load(unit), "ActiveState") in units.UP

    async def _service(self, systemd: Manager) -> dict[str, Any]:
        return await systemd.properties(self._path, SERVICE) if self._is_service else {}

    @property
    def _is_service(self) -> bool:
        return self._unit.endswith(".service")

    async def _stop(self, systemd: Manager) -> None:
        result = await self._while_pending(systemd.stop(self._unit, units.AGENT))
        state = await systemd.properties(self._path)
        if state["ActiveState"] not in units.DOWN:
            raise ResourceError(f"{self._unit} is still {_state(state)} after its stop ({result})")
        if state["ActiveState"] == "failed":
            self.context.log(1, f"{await self._ended(systemd, state)} as it was stopped")
            await systemd.call(*_MANAGER, "ResetFailedUnit", "s", self._unit)
        self._record.unlink(missing_ok=True)

    async def _while_pending(self, job: Awaitable[str]) -> str:
        self._is_pending = True
        try:
            return await job
        finally:
            self._is_pending = False

    def _changed(self, changed: Changed) -> None:
        """A signal of systemd about the unit."""
        state = changed.get("ActiveState")
        if self._is_up and state is not None and state not in units.UP:
            self.context.failed(f"systemd says that {self._unit} is {state}")
        elif self._is_pending and (said := changed.get("StatusText") or changed.get("SubState")):
            self.context.progress(f"{self._unit}: {said}")

    def _unheard(self, error: ManagerError) -> bool:
        """systemd does not answer: its last word stands, unless the process that it named is gone."""
        if self._main_pid and not units.runs(self._main_pid, self._unit):
            raise ResourceError(f"process {self._main_pid} of {self._unit} is gone, and {error}")
        self.context.show("Service manager", f"systemd does not say how it is: {error}", level=1)
        return True

    async def _ended(self, systemd: Manager, state: Mapping[str, Any]) -> str:
        service = await self._service(systemd)
        reason = units.why(state, service)
        return f"{self._unit} is {_state(state)}{f': {reason}' if reason else ''}"

    async def _not_started(self, systemd: Manager, result: str, state: Mapping[str, Any]) -> str:
        reason = units.why(state, await self._service(systemd))
        if result == "dependency":
            reason = "a unit that it needs could not be started"
        elif result == "done" and state["ActiveState"] == "inactive" and "ended" in reason:
            reason = "it ended at once; a unit that only does something needs RemainAfterExit=yes"
        said = reason or f"its job ended as {result}"
        return f"{self._unit} could not be started: {said}"

    def _read_journal(self) -> None:
        """Let what the unit prints go where the output of other resources goes, until it is down.

        The one who reads is no process of the resource: it is nothing to wait for, and ends with the agent.
        """
        self._stop_reading()
        with contextlib.suppress(OSError):
            self._reader = units.read_journal(self._unit, self.context.state_dir / "output.log")

    def _stop_reading(self) -> None:
        """In a moment: the last lines are the ones to read."""
        reader, self._reader = self._reader, None
        if reader is not None:
            asyncio.get_running_loop().call_later(JOURNAL_LAG, units.stop_reading, reader)


_MANAGER = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")


def _state(state: Mapping[str, Any]) -> str:
    active, sub = state["ActiveState"], state.get("SubState", "")
    return active if sub in ("", active) else f"{active} ({sub})"


async def _kill(systemd: Manager, unit: str) -> None:
    """Stop a unit by force; ResourceError where it is not down in time."""
    path = await systemd.load(unit)
    stop = asyncio.ensure_future(systemd.stop(unit, units.AGENT))  # no restart from here on
    stop.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    try:
        async with asyncio.timeout(KILL_LIMIT):
            while True:
                try:
                    await systemd.call(*_MANAGER, "KillUnit", "ssi", unit, "all", 9)
                except ManagerError as error:
                    if error.name == NO_SUCH_UNIT:
                        return
                await asyncio.sleep(0)
                if await systemd.property(path, "ActiveState") in units.DOWN:
                    break
                await asyncio.wait({stop}, timeout=KILL_EVERY)
    except TimeoutError:
        raise ResourceError(f"{unit} is not down {KILL_LIMIT:g} s after SIGKILL") from None
    finally:
        stop.cancel()
    with contextlib.suppress(ManagerError):  # it had not failed
        await systemd.call(*_MANAGER, "ResetFailedUnit", "s", unit)


async def _end_for_good(unit: str) -> None:
    """Stop what a dead agent left, and take back what it told systemd about the unit."""
    systemd = manager()
    try:
        await _kill(systemd, unit)
        if units.remove_drop_in(unit):
            await systemd.reload()
    finally:
        systemd.close()
