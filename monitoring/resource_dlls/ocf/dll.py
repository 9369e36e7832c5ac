"""OCF agents as resource types: one class for each agent, made from what the agent says of itself.

Nothing that an OCF agent starts needs the node's agent, so that a restarted one goes on with it.
Open asks the agent whether the thing runs (a probe) and stops it where it does. Online is
`validate-all`, then `start`. LooksAlive is `monitor` at level 0, IsAlive at the level in
CheckLevel. Offline is `stop`. Terminate is `stop`, then force, then `stop` again for what is no process.

PendingTimeout bounds each action that brings it up or down; MonitorTimeout the probes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.ocf.agent import Ended, Runner, stop_recorded
from monitoring.resource_dlls.ocf.catalogue import INSTANCE, SCRATCH, Agent
from monitoring.resource_dlls.ocf.codes import ALIVE, CANNOT_RUN_HERE, DEGRADED, Code
from monitoring.resource_dlls.ocf.metadata import Metadata, MetadataError, as_property, is_on, one_line
from monitoring.resource_dlls.ocf.script import DO_WITHOUT

TIMED_OUT = 1230
MAY_NOT_WORK = "may not work here, try it first"
STOP_FIRST, STOP_AGAIN = 10.0, 15.0
"""Seconds that Terminate gives `stop` before and after force; the monitor gives both 30."""
VERDICTS = frozenset({Code.SUCCESS, Code.UNIMPLEMENTED, Code.NOT_RUNNING})
"""Results of validate-all that say nothing against a start."""


class OCFResource(ResourceDLL):
    """Base of the types of all agents. `agent` and `about` are set by `make_type`."""

    family = "OCF agents"
    icon = "package"
    agent: ClassVar[Agent]
    about: ClassVar[Metadata]

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        secrets = [str(self[prop.name] or "") for prop in self.properties if prop.secret]
        self._runner = Runner(self.agent, context, self._given(), secrets)
        self._may_run = self._runner.is_recorded
        """Whether anything of it may be there that only `stop` takes away."""
        self._is_degraded = False

    def _given(self) -> dict[str, str]:
        """The parameters that have a value of their own, as the agent reads them."""
        given = {}
        for one in self.about.parameters:
            value = self[one.name]
            if isinstance(value, bool):
                if value != is_on(one.default):
                    given[one.name] = _boolean(value, one.default)
            elif value not in (None, ""):
                given[one.name] = str(value)
        return given

    async def open(self) -> None:
        """Find out whether it runs, and stop it where it does: an earlier life may have left it."""
        self.context.progress("asking whether it runs already")
        found = await self._monitor("the probe", 0, 0)
        if found.code in CANNOT_RUN_HERE:
            raise ResourceError(f"it cannot be used on {self.context.node}: {found}")
        if found.code != Code.NOT_RUNNING:
            self._may_run = True
            self.context.log(1, f"It was there before its start ({found}): it is stopped")
            await self._stop()

    async def adopt(self) -> bool:
        """Nothing of it needs the node's agent; its own says whether it works."""
        return self._may_run and await self.is_alive()

    async def online(self) -> None:
        if self.about.offers("validate-all"):
            self.context.progress("validate-all")
            checked = await self._runner.run("validate-all", timeout_ms=self._timeout_ms("validate-all"))
            if checked.code not in VERDICTS:
                raise ResourceError(str(checked))
        self.context.progress("start")
        self._runner.record(self._timeout_ms("stop"))
        self._may_run, self._is_degraded = True, False
        started = await self._runner.run("start", timeout_ms=self._timeout_ms("start"))
        if started.code != Code.SUCCESS:
            raise ResourceError(str(started))

    async def offline(self) -> None:
        await self._stop()
        await self.context.kill_all_async()

    async def terminate(self) -> None:
        """Whatever runs of the agent is ended; then its stop has to succeed, by force if need be."""
        if interrupted := self._runner.end_current():
            self.context.log(1, interrupted)
        try:
            if self._may_run:
                async with asyncio.timeout(STOP_FIRST):
                    await self._stop(STOP_FIRST)
        except (ResourceError, TimeoutError) as error:
            said = str(error) or f"stop did not end within {STOP_FIRST:g} s: {self._runner.last_words()}"
            self.context.log(1, f"{said}; its processes are ended by force")
        await self.context.kill_all_async()
        if self._may_run:
            try:
                async with asyncio.timeout(STOP_AGAIN):
                    await self._stop(STOP_AGAIN)
            except TimeoutError:
                raise ResourceError(f"stop did not end within {STOP_AGAIN:g} s") from None

    async def looks_alive(self) -> bool:
        found = await self._monitor("LooksAlive", 0, self.looks_alive_ms)
        return found.code in ALIVE

    async def is_alive(self) -> bool:
        found = await self._monitor("IsAlive", self["CheckLevel"], self.is_alive_ms)
        if found.code not in ALIVE:
            raise ResourceError(str(found))
        if (found.code in DEGRADED) is not self._is_degraded:
            self._is_degraded = not self._is_degraded
            self.context.log(2 if self._is_degraded else 0, str(found))
        return True

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        stop_recorded(state_dir)

    async def _stop(self, seconds: float = 0) -> None:
        """Stop it; an agent has to succeed also where nothing runs. `seconds`: what it is told to have."""
        self.context.progress("stop")
        timeout_ms = int(seconds * 1000) or self._timeout_ms("stop")
        stopped = await self._runner.run("stop", timeout_ms=timeout_ms)
        if stopped.code != Code.SUCCESS:
            raise ResourceError(str(stopped))
        self._may_run = False
        self._runner.strike()

    async def _monitor(self, what: str, level: int, interval_ms: int) -> Ended:
        seconds = self["MonitorTimeout"]
        try:
            async with asyncio.timeout(seconds):
                return await self._runner.run(
                    "monitor", timeout_ms=seconds * 1000, interval_ms=interval_ms, level=level
                )
        except TimeoutError:
            said = self._runner.last_words()
            raise ResourceError(
                f"{what}: monitor did not end within {seconds} s{f': {said}' if said else ''}", TIMED_OUT
            ) from None

    def _timeout_ms(self, action: str) -> int:
        return self.about.timeout_ms(action, 20_000)


def make_type(agent: Agent) -> type[ResourceDLL]:
    """The resource type of an agent; MetadataError where it cannot be one."""
    about = agent.metadata
    if about is None:
        raise MetadataError(agent.problem)
    monitors = about.monitors()
    cheap = monitors[0]
    deep_ms = max((one.interval_ms for one in monitors if one.depth > cheap.depth), default=0)
    slowest_ms = max(about.timeout_ms("start", 20_000), about.timeout_ms("stop", 20_000))
    own = (
        Property(
            "CheckLevel",
            kind="int",
            default=0,
            maximum=100,
            help=f"OCF_CHECK_LEVEL of IsAlive; {_levels(about)}",
        ),
        Property(
            "MonitorTimeout",
            kind="int",
            default=max(1, about.timeout_ms("monitor", 20_000) // 1000),
            minimum=1,
            maximum=3600,
            unit="s",
            help="a monitor that takes longer is ended, and counts as failed",
        ),
    )
    parameters = tuple(as_property(one, (INSTANCE, SCRATCH)) for one in about.parameters)
    attributes = {
        "__module__": __name__,
        "__qualname__": agent.type_name,
        "__doc__": f"The OCF agent {agent.path}.",
        "type_name": agent.type_name,
        "family": f"OCF agents: {agent.provider}",
        "description": _sentence(about.short or one_line(about.long)[:200]),
        "notice": _notice(agent),
        "unusable": _unusable(agent),
        "properties": (*sorted(parameters, key=lambda prop: not prop.required), *own),
        "looks_alive_ms": cheap.interval_ms or 10_000,
        "is_alive_ms": max(deep_ms or 60_000, cheap.interval_ms),
        "pending_timeout_ms": slowest_ms,
        "deadlock_timeout_ms": max(300_000, slowest_ms),
        "agent": agent,
        "about": about,
    }
    return type(agent.name, (OCFResource,), attributes)


def _levels(about: Metadata) -> str:
    deeper = sorted({one.depth for one in about.monitors() if one.depth > 0})
    return f"the agent names {', '.join(map(str, [0, *deeper]))}" if deeper else "the agent names only 0"


def _notice(agent: Agent) -> str:
    """What to know before use; empty where there is nothing."""
    said = []
    if agent.findings.tools:
        tools = ", ".join(agent.findings.tools)
        known = agent.type_name in DO_WITHOUT
        advice = "only where it replicates: as one server it works here" if known else MAY_NOT_WORK
        said.append(f"Calls Pacemaker's {tools}{' ' if known else ': '}{advice}.")
    if agent.metadata is not None and agent.metadata.offers("promote"):
        said.append("Runs on one node, unpromoted.")
    return " ".join(said)


def _unusable(agent: Agent) -> str:
    if agent.findings.runs_alone:
        return ""
    return "It does its work only where a cluster manager promotes it, and nothing does that here."


def _boolean(value: bool, default: str | None) -> str:
    """In the spelling of the agent's default: some compare texts."""
    pairs = {"yes": "no", "true": "false", "1": "0", "on": "off"}
    pairs |= {no: yes for yes, no in pairs.items()}
    other = pairs.get((default or "").strip().lower())
    return other if other is not None and is_on(other) is value else ("true" if value else "false")


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
