"""The checks in their order, and the run of them over one type."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from monitoring.conformance import declared, lives, running, secrets
from monitoring.conformance.bench import DIRECT, SUBJECT, Bench
from monitoring.conformance.lives import Lives
from monitoring.conformance.machine import look
from monitoring.conformance.nursery import Nursery
from monitoring.conformance.report import Failure, NotApplicable, Outcome, Report, Result
from monitoring.conformance.running import Workshop
from monitoring.conformance.subject import InputError, Subject
from monitoring.node.calls import in_thread
from monitoring.node.sweep import state_dir

DECLARED: dict[str, Callable[[Subject], list[str]]] = {
    "class": declared.check_class,
    "properties": declared.check_properties,
    "values": declared.check_values,
    "round-trip": declared.check_round_trip,
    "secret-words": declared.check_secret_words,
}
"""Nothing is started; each returns warnings."""
RUNNING: dict[str, Callable[[Workshop], Awaitable[None]]] = {
    "cycle": running.check_cycle,
    "offline-twice": running.check_offline_twice,
    "terminate-at-rest": running.check_terminate_at_rest,
    "terminate-online": running.check_terminate_during_online,
    "terminate-offline": running.check_terminate_during_offline,
    "terminate-is-alive": running.check_terminate_during_is_alive,
    "killed": lives.check_killed,
}
"""The resource comes online on the suite's node."""
LIVES: dict[str, Callable[[Lives], Awaitable[None]]] = {
    "adopt": lives.check_adopt,
    "sweep": lives.check_sweep,
}
"""The resource is online under another agent, which is killed."""
MEASURED: dict[str, Callable[[Workshop], Awaitable[None]]] = {
    "times": running.check_times,
    "loop": running.check_loop,
}
"""What the others have measured."""
SECRETS = "secrets"
CHECKS: dict[str, str] = {
    name: (function.__doc__ or "").partition("\n")[0]
    for table in (DECLARED, RUNNING, LIVES, MEASURED)
    for name, function in table.items()
} | {SECRETS: "A secret stands in no text, on no command line and in no output."}
"""Every check by its name, with what it says."""
FIRST = "cycle"
"""What cannot pass this one is not tried further."""


@dataclass(slots=True)
class Run:
    """One run of the suite over one type."""

    subject: Subject
    chosen: Collection[str]
    nursery: Nursery
    tell: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)
    _stuck: bool = False
    """It does not come online, and go offline, at all."""

    async def all(self) -> Report:
        for name, check in DECLARED.items():
            await self._judge(name, partial(_at_once, check, self.subject), [])
        if any(name not in DECLARED for name in self.chosen):
            with scratch() as folder, secrets.heard() as logged:
                await self._online(folder, logged)
        order = list(CHECKS)
        self.results.sort(key=lambda result: order.index(result.check))
        return Report(self.subject.dll.type_name, tuple(self.results))

    async def _online(self, folder: Path, logged: list[str]) -> None:
        before = await in_thread(lambda: look(folder))
        bench = Bench(folder / "node", self.subject)
        try:
            await bench.start()
            shop = Workshop(bench, await bench.look())
            for name, check in RUNNING.items():
                await self._judge(name, partial(check, shop), shop.warnings)
        finally:
            await bench.end()
        for name, live in LIVES.items():
            kept = Lives(self.subject, self.nursery, folder / name, before)
            await self._judge(name, partial(live, kept), kept.warnings)
        for name, check in MEASURED.items():
            await self._judge(name, partial(check, shop), shop.warnings)
        told = [*logged, *bench.said, *(result.text for result in self.results)]
        outputs = [state_dir(bench.home, resource) for resource in (SUBJECT, DIRECT)]
        await self._judge(
            SECRETS, partial(_at_once, secrets.check, self.subject, told, shop.seen, outputs), []
        )

    async def _judge(self, name: str, check: Callable[[], Awaitable[object]], warnings: list[str]) -> None:
        """Run one check, unless nobody asked for it; what others stand on is run all the same."""
        is_asked = name in self.chosen
        if not is_asked and not (
            name == FIRST and any(n not in DECLARED and n not in LIVES for n in self.chosen)
        ):
            return
        began = time.monotonic()
        warnings.clear()
        outcome, text, advice = Outcome.PASS, "", ""
        try:
            if self._stuck:
                raise NotApplicable(f"the check {FIRST} comes first")
            warnings += await check() or ()  # type: ignore[arg-type]
        except NotApplicable as reason:
            outcome, text = Outcome.NOT_APPLICABLE, str(reason)
        except Failure as failure:
            outcome, text, advice = Outcome.FAIL, str(failure), failure.advice
            self._stuck = self._stuck or name == FIRST
        ms = round((time.monotonic() - began) * 1000)
        result = Result(name, outcome, text, advice, tuple(dict.fromkeys(warnings)), ms)
        if is_asked or outcome is Outcome.FAIL:
            self.results.append(result)
            self.tell(result)


async def _at_once(check: Callable[..., object], *args: object) -> object:
    return check(*args)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the state of the suite's nodes, removed after it."""
    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(
    subject: Subject,
    *,
    checks: Collection[str] = (),
    nursery: Nursery | None = None,
    tell: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Run the checks, all where none is named, and `tell` each result as it comes. InputError where
    a check is unknown, or what the resource depends on does not come online."""
    if unknown := [name for name in checks if name not in CHECKS]:
        raise InputError(f"there is no check {unknown[0]}; there are {', '.join(CHECKS)}")
    own = nursery or Nursery()
    try:
        return asyncio.run(Run(subject, checks or tuple(CHECKS), own, tell).all())
    finally:
        if nursery is None:
            own.close()
