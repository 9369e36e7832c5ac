"""A small Context for tests: real processes and sockets, without an agent around them."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Fact, Provider, ResourceDLL

RUN_SERVICE = (
    "import importlib, json, sys; module, name = sys.argv[1].split(':');"
    "getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))"
)
_addresses = itertools.count(1)


def free_address() -> str:
    """A loopback address that no other test uses now, in this process or beside it."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    number = next(_addresses)
    return f"127.{100 + worker}.{os.getpid() % 250}.{number % 250 + 1}"


class RunningProcess:
    """A process that the context started."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()

    async def wait(self) -> int:
        loop = asyncio.get_running_loop()
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return self._popen.wait()
        ended = asyncio.Event()
        loop.add_reader(pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        return self._popen.wait()


class LocalContext:
    """Offers what the resource monitor offers; remembers what it was told."""

    def __init__(
        self,
        state_dir: Path,
        name: str = "resource",
        group: str = "GROUP",
        group_id: int = 1,
        node: str = "NODE1",
        epoch: int = 1,
        providers: Sequence[Provider] = (),
    ) -> None:
        self.name = name
        self.group = group
        self.group_id = group_id
        self.node = node
        self.epoch = epoch
        self.providers = providers
        self.state_dir = state_dir
        state_dir.mkdir(parents=True, exist_ok=True)
        self.failures: list[str] = []
        self.lines: list[tuple[int, str, int]] = []
        self.facts: dict[str, Fact] = {}
        self._processes: list[RunningProcess] = []

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        watch: bool = True,
    ) -> RunningProcess:
        with (self.state_dir / "output.log").open("ab") as log:
            popen = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = RunningProcess(popen)
        self._processes.append(process)
        return process

    def spawn_service(self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True) -> RunningProcess:
        return self.spawn([sys.executable, "-c", RUN_SERVICE, target, json.dumps(kwargs)], watch=watch)

    async def spawn_service_async(
        self, target: str, kwargs: Mapping[str, Any], *, watch: bool = True
    ) -> RunningProcess:
        return self.spawn_service(target, kwargs, watch=watch)

    def watched(self) -> Sequence[RunningProcess]:
        return [process for process in self._processes if process.returncode is None]

    def kill_all(self, grace: float = 0.0) -> None:
        sessions = [process.pid for process in self._processes]
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + seconds
            if not seconds:
                continue
            for session in sessions:
                with suppress(ProcessLookupError):
                    os.killpg(session, number)
            while any(process.returncode is None for process in self._processes):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.005)
        self._processes.clear()

    async def kill_all_async(self, grace: float = 0.0) -> None:
        await asyncio.to_thread(self.kill_all, grace)

    def pids(self) -> Sequence[int]:
        return [process.pid for process in self._processes if process.returncode is None]

    def output(self) -> str:
        return (self.state_dir / "output.log").read_text(errors="replace")

    def failed(self, reason: str) -> None:
        self.failures.append(reason)

    def progress(self, text: str) -> None:
        pass

    def log(self, level: int, text: str, code: int = 0) -> None:
        self.lines.append((level, text, code))

    def show(self, name: str, text: str, *, level: int = 0, share: float | None = None) -> None:
        self.facts[name] = Fact(name, text, level, share)
        if not text:
            del self.facts[name]


def make(type_name: str, context: LocalContext, **properties: Any) -> ResourceDLL:
    """An instance of the type with validated properties, opened."""
    dll = registry.get(type_name)
    instance = dll(context, dll.clean(properties))
    call(instance.open)
    return instance


def call(entry_point: Any) -> Any:
    """Call an entry point as the monitor does, plain or async."""
    result = entry_point()
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:
    return await result


@contextmanager
def online(instance: ResourceDLL) -> Iterator[ResourceDLL]:
    """The resource online for the time of a block, taken down by force after it."""
    try:
        call(instance.online)
        yield instance
    finally:
        call(instance.terminate)
        call(instance.close)


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
