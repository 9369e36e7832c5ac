"""What a resource DLL instance gets to work with: the Context of the plugin API, on a node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from monitoring.core.messages import Fact, said
from monitoring.node import output
from monitoring.node.calls import CURRENT, in_thread
from monitoring.node.processes import Child, Processes
from monitoring.node.record import Record
from monitoring.node.services import ServiceError, Services
from monitoring.node.sweep import SweepNotes, state_dir
from monitoring.resource_dlls.api import Provider, ResourceDLL, ResourceError


class Log(Protocol):
    """Adds a line to the cluster's history; `code` is an event id, `output` what processes printed."""

    def __call__(self, resource: int | None, level: int, text: str, code: int, output: str = "") -> None: ...


@dataclass(slots=True)
class Host:
    """What all resources of a node share."""

    node: str
    home: Path
    loop: asyncio.AbstractEventLoop
    types: Mapping[str, type[ResourceDLL]]
    processes: Processes
    services: Services
    sweeps: SweepNotes
    may_start: Callable[[], bool]
    """Whether the node holds its lease at this moment."""
    record: Record
    log: Log
    """On the loop."""
    has_separate: bool = False
    """Whether resources may get monitor processes of their own."""


class Listener(Protocol):
    """Who hears what an instance says; called on the loop."""

    def signalled(self, reason: str) -> None: ...

    def progressed(self, text: str) -> None: ...

    def show(self, fact: Fact) -> None: ...


class NodeContext:
    """The context of one resource (api.Context)."""

    def __init__(self, host: Host, resource: int, name: str, listener: Listener) -> None:
        self._host = host
        self.resource = resource
        self._listener = listener
        self._starting = threading.Lock()
        self.name = name
        self.group = ""
        self.group_id = 0
        self.node = host.node
        self.epoch = 0
        self.providers: Sequence[Provider] = ()
        self.state_dir = state_dir(host.home, resource)
        self.open_for_starts = False
        """Whether threads of the DLL's own may start processes: from Online to Terminate."""
        self._output_begin = 0
        self._telling: asyncio.Task[None] | None = None

    @property
    def log_file(self) -> Path:
        return self.state_dir / "output.log"

    def begin_output(self) -> None:
        """What is printed from here on belongs to the attempt that begins."""
        self._output_begin = output.size(self.log_file)

    def tell_last_words(self) -> None:
        """It has failed: what it printed last goes into the history, where there is something."""
        self._telling = self._host.loop.create_task(self._tell_last_words())

    async def _tell_last_words(self) -> None:
        begin = self._output_begin
        await asyncio.sleep(output.LAST_WORDS_AFTER)
        if output.size(self.log_file) == begin:
            return
        if lines := await in_thread(lambda: output.last_words(self.log_file, begin)):
            text = f"What {self.name} printed before it failed"
            self._host.log(self.resource, 0, text, 0, lines)

    async def close_for_starts(self) -> None:
        """Once this returns, what is being started has a pid that can be killed, or never will have one."""
        self.open_for_starts = False
        if not self._starting.acquire(blocking=False):
            await in_thread(self._starting.acquire)
        self._starting.release()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        watch: bool = True,
    ) -> Child:
        with self._starting:
            self._check_start()
            return self._host.processes.spawn(
                self.resource, argv, cwd=cwd, env=env, log=self.log_file, watch=watch
            )

    def spawn_service(self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True) -> Child:
        with self._starting:
            self._check_start()
            try:
                return self._host.services.spawn(
                    self.resource, target, kwargs, log=self.log_file, watch=watch
                )
            except ServiceError as error:
                raise ResourceError(str(error)) from error

    async def spawn_service_async(
        self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True
    ) -> Child:
        if self._host.services.is_ready:
            return self.spawn_service(target, kwargs, watch=watch)
        child: Child = await in_thread(lambda: self.spawn_service(target, kwargs, watch=watch))
        return child

    def _check_start(self) -> None:
        """Refuse a start that comes too late: after Terminate, or after the end of the lease."""
        call = CURRENT.get()
        if call.revoked if call else not self.open_for_starts:
            raise ResourceError(f"{self.name} was terminated: nothing is started for it any more")
        if (call is None or call.starts) and not self._host.may_start():
            raise ResourceError(f"{self.node} has lost its lease: nothing is started for {self.name}")

    def kill_all(self, grace: float = 0.0) -> None:
        if not self._host.processes.kill(self.resource, grace):
            raise ResourceError(f"processes of {self.name} cannot be killed: {list(self.pids())}")

    async def kill_all_async(self, grace: float = 0.0) -> None:
        if not self._host.processes.is_clean(self.resource):
            await in_thread(lambda: self.kill_all(grace))

    def watched(self) -> Sequence[Child]:
        return self._host.processes.watched(self.resource)

    def pids(self) -> Sequence[int]:
        return self._host.processes.pids(self.resource)

    def failed(self, reason: str) -> None:
        self._on_loop(self._listener.signalled, reason)

    def progress(self, text: str) -> None:
        self._on_loop(self._listener.progressed, text)

    def log(self, level: int, text: str, code: int = 0) -> None:
        self._on_loop(self._host.log, self.resource, level, text, code)

    def show(self, name: str, text: str, *, level: int = 0, share: float | None = None) -> None:
        part = None if share is None else round(min(max(share, 0.0), 1.0), 3)
        fact = Fact(said(name)[:60] or "Fact", said(text)[:400], 1 if level > 0 else 0, part)
        self._on_loop(self._listener.show, fact)

    def _on_loop(self, function: Callable[..., None], *args: Any) -> None:
        self._host.loop.call_soon_threadsafe(function, *args)
