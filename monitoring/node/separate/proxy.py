"""The Context of an instance that runs in a process of its own: it asks the agent, which does the work."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from monitoring.node.separate.wire import Message, raised
from monitoring.resource_dlls.api import Process, Provider

TOKEN: ContextVar[int | None] = ContextVar("TOKEN", default=None)
"""The operation whose entry point is running."""


class ProxyProcess:
    """A process of the resource, whose parent is the agent (api.Process)."""

    def __init__(self, pid: int, returncode: int | None) -> None:
        self._pid = pid
        self._returncode = returncode
        self._ended = asyncio.Event()
        if returncode is not None:
            self._ended.set()

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        return self._returncode

    async def wait(self) -> int:
        await self._ended.wait()
        assert self._returncode is not None
        return self._returncode

    def end(self, returncode: int) -> None:
        """On the loop: the agent says that it has ended."""
        self._returncode = returncode
        self._ended.set()


class ProxyContext:
    """Called from any thread, as the agent's own (api.Context)."""

    name: str
    group: str
    group_id: int
    node: str
    epoch: int
    providers: Sequence[Provider]
    state_dir: Path

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._asked: dict[int, Future[Any]] = {}
        self._processes: dict[int, ProxyProcess] = {}
        self._ended_early: dict[int, int] = {}
        """Return codes of processes that ended before the thread that started them had a name for them."""
        self._naming = threading.Lock()

    def update(self, told: Message) -> None:
        """The agent says how group, epoch and providers are now."""
        self.name, self.group, self.node = told["name"], told["group"], told["node"]
        self.group_id, self.epoch = told["group_id"], told["epoch"]
        self.providers = tuple(Provider(*provider) for provider in told["providers"])
        self.state_dir = Path(told["state_dir"])

    # From the agent

    def answered(self, message: Message) -> None:
        """On the thread that reads: whoever has asked may be the loop itself."""
        future = self._asked.pop(message["answer"], None)
        if future is None or not future.set_running_or_notify_cancel():
            return  # who asked was cancelled meanwhile
        if "error" in message:
            future.set_exception(raised(message["error"]))
        else:
            future.set_result(message["result"])

    def ended(self, handle: int, returncode: int) -> None:
        """On the loop: a process of the resource has ended."""
        with self._naming:
            process = self._processes.pop(handle, None)
            if process is None:
                self._ended_early[handle] = returncode
        if process is not None:
            process.end(returncode)

    # To the agent

    def _ask(self, what: str, **args: Any) -> Future[Any]:
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._asked[number] = future
        try:
            self._send({"ask": what, "number": number, "token": TOKEN.get(), "args": args})
        except BaseException:
            del self._asked[number]
            raise
        return future

    def _process(self, told: Message) -> ProxyProcess:
        handle = told["handle"]
        with self._naming:
            if handle in self._ended_early:
                return ProxyProcess(told["pid"], self._ended_early.pop(handle))
            return self._processes.setdefault(handle, ProxyProcess(told["pid"], None))

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        watch: bool = True,
    ) -> Process:
        told = self._ask(
            "spawn",
            argv=[str(word) for word in argv],
            cwd=None if cwd is None else str(cwd),
            env=None if env is None else dict(env),
            watch=watch,
        )
        return self._process(told.result())

    def spawn_service(self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True) -> Process:
        return self._process(self._ask_for_service(target, kwargs, watch).result())

    async def spawn_service_async(
        self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True
    ) -> Process:
        return self._process(await asyncio.wrap_future(self._ask_for_service(target, kwargs, watch)))

    def _ask_for_service(self, target: str, kwargs: Mapping[str, Any], watch: bool) -> Future[Any]:
        return self._ask("spawn_service", target=target, kwargs=dict(kwargs), watch=watch)

    def watched(self) -> Sequence[Process]:
        return [self._process(told) for told in self._ask("watched").result()]

    def kill_all(self, grace: float = 0.0) -> None:
        self._ask("kill_all", grace=grace).result()

    async def kill_all_async(self, grace: float = 0.0) -> None:
        await asyncio.wrap_future(self._ask("kill_all", grace=grace))

    def pids(self) -> Sequence[int]:
        found: list[int] = self._ask("pids").result()
        return found

    def failed(self, reason: str) -> None:
        self._tell("failed", reason=reason)

    def progress(self, text: str) -> None:
        self._tell("progress", text=text)

    def log(self, level: int, text: str, code: int = 0) -> None:
        self._tell("log", level=level, text=text, code=code)

    def show(self, name: str, text: str, *, level: int = 0, share: float | None = None) -> None:
        self._tell("show", name=name, text=text, level=level, share=share)

    def _tell(self, what: str, **args: Any) -> None:
        self._send({"tell": what, "args": args})
