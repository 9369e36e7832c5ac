"""One resource on a node of its own, for the tests that an author writes: each call is the test's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from monitoring.conformance.bench import Bench
from monitoring.conformance.direct import Direct, Times
from monitoring.conformance.report import Failure
from monitoring.conformance.subject import make
from monitoring.conformance.suite import scratch
from monitoring.core.messages import Fact
from monitoring.resource_dlls.api import ResourceDLL

_T = TypeVar("_T")


class Trial:
    """Its entry points, as the node calls them; what they raise passes through."""

    def __init__(self, direct: Direct, run: Callable[[Awaitable[Any]], Any], said: list[str]) -> None:
        self._direct = direct
        self._run = run
        self.said = said
        """What operators were told: lines of the history, progress, facts, errors."""

    def open(self) -> None:
        self._run(self._direct.open())

    def online(self) -> None:
        self._call("online")

    def looks_alive(self) -> bool:
        return bool(self._call("looks_alive"))

    def is_alive(self) -> bool:
        return bool(self._call("is_alive"))

    def offline(self) -> None:
        self._call("offline")

    def terminate(self) -> None:
        self._run(self._direct.terminate())

    def _call(self, name: str) -> Any:
        return self._run(self._direct.call(name))

    @property
    def pids(self) -> list[int]:
        """What runs for it, descendants included."""
        found: list[int] = self._run(self._direct.pids())
        return found

    @property
    def facts(self) -> Mapping[str, Fact]:
        """What it shows on its page, by name."""
        return dict(self._direct.facts)

    @property
    def state_dir(self) -> Path:
        return self._direct.context.state_dir

    def output(self) -> str:
        """What its processes printed."""
        return self._direct.context.log_file.read_text(errors="replace")


@contextmanager
def resource(
    dll: str | type[ResourceDLL],
    properties: Mapping[str, Any] | None = None,
    *,
    providers: Sequence[tuple[str | type[ResourceDLL], Mapping[str, Any]]] = (),
) -> Iterator[Trial]:
    """A resource that was opened, on a node of its own with what it depends on online; all of it is
    taken down when the block ends.

        with resource(MyType, {"Port": 7000}) as mine:
            mine.online()
            assert mine.is_alive()
    """
    subject = make(dll, properties, providers)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="trial", daemon=True)
    thread.start()

    def run(work: Awaitable[_T]) -> _T:
        try:
            return asyncio.run_coroutine_threadsafe(_awaited(work), loop).result()
        except Failure as failure:
            if failure.__cause__ is not None:
                raise failure.__cause__ from None
            raise

    with scratch() as folder:
        bench = run(_bench(folder / "node", subject))
        direct = run(_direct(bench))
        try:
            run(bench.start())
            run(direct.open())
            yield Trial(direct, run, bench.said)
        finally:
            run(direct.clean_up())
            run(bench.end())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _awaited(work: Awaitable[_T]) -> _T:
    return await work


async def _bench(home: Path, subject: Any) -> Bench:
    return Bench(home, subject)


async def _direct(bench: Bench) -> Direct:
    return Direct(bench, Times())
