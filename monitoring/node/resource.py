"""One resource on this node: its state, and the operations that change it.

One operation runs at a time, as a task on the monitor's loop: Online, Offline, or taking
down by force. An operation that is no longer wanted is cancelled and replaced. Entry points
take turns, except Terminate, which may interrupt any other (semantics 1.6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain, repeat
from typing import Any

from monitoring.core.messages import ProbeSample, ResourceReport, ResourceSpec, event_code, said
from monitoring.core.states import ResourceState
from monitoring.node.calls import CURRENT, Call, EntryPoints, hear_out, in_thread, within
from monitoring.node.context import Host, NodeContext
from monitoring.node.plan import UP, Action, Known, Wish
from monitoring.node.probes import Prober
from monitoring.node.processes import Child
from monitoring.resource_dlls.api import PropertyError, Provider, ResourceDLL, ResourceError

logger = logging.getLogger(__name__)

TERMINATE_LIMIT = 30.0
"""Seconds that Terminate may take at most before it is tried again."""
STRAY_LIMIT = 1.0
"""Seconds that an interrupted entry point has to return after Terminate, before its thread is abandoned."""
RETRY_TERMINATE = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries to bring down what Terminate did not bring down; the last one repeats."""


class OverLimitError(Exception):
    """An entry point gave no sign of life for longer than its limit."""


class ManagedResource:
    """A resource that the node holds for a group. All methods are called on the loop."""

    def __init__(
        self,
        host: Host,
        spec: ResourceSpec,
        next_sequence: Callable[[], int],
        on_change: Callable[[int], None],
        on_samples: Callable[[Sequence[ProbeSample]], None],
    ) -> None:
        self.id = spec.id
        self.spec = spec
        self.wanted = spec.want_online
        self.state = ResourceState.OFFLINE
        self.running = False
        self.attempt = 0
        self.cause = ""
        self.code = 0
        self.simulated = 0
        """The operation whose simulated failure was carried out last."""
        self.progress = ""
        self.epoch_up = 0
        """The ownership under which it came online."""
        self.turn = asyncio.Lock()
        self._host = host
        self._loop = host.loop
        self._next_sequence = next_sequence
        self._on_change = on_change
        self._on_samples = on_samples
        self._sequence = next_sequence()
        self._since = self._loop.time()
        self._elapsed = 0.0
        self._sign_of_life = 0.0
        self._operation: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._stray: asyncio.Task[Any] | None = None
        self._context = NodeContext(host, spec.id, spec.name, self)
        self._dll: ResourceDLL | None = None
        self._dll_made_of: tuple[str, dict[str, Any]] | None = None
        self._points: EntryPoints | None = None
        self._prober: Prober | None = None
        self._group: tuple[int, str, int] = (0, "", 0)
        self._providers: Sequence[Provider] = ()
        self._watch_only = False

    # What is wanted and known

    def configure(
        self, spec: ResourceSpec, group: tuple[int, str, int], providers: Sequence[Provider]
    ) -> None:
        """Take over a new specification. An instance that is up takes its intervals at once, its private
        properties when it next comes online. `group`: (id, name, epoch)."""
        self.spec = spec
        self.wanted = spec.want_online
        self._group = group
        self._providers = providers
        if self._prober is not None:
            self._prober.retime(*self._times())

    def watch(self, *, only: bool) -> None:
        """In maintenance a failure is told, and nothing is done about it; IsAlive judges when it ends."""
        ended = self._watch_only and not only
        self._watch_only = only
        if ended and self._prober is not None:
            self._prober.recheck()

    def wish(self) -> Wish:
        return Wish(self.wanted, self.spec.attempt, self.spec.requires)

    def known(self, epoch: int) -> Known:
        return Known(self.state, self.running, self.attempt, outdated=self.epoch_up != epoch)

    @property
    def is_at_rest(self) -> bool:
        """No operation is under way."""
        return not self.state.is_pending and (self.state is ResourceState.ONLINE or not self.running)

    @property
    def is_down(self) -> bool:
        return self.state.is_down and not self.running

    def report(self) -> ResourceReport:
        checked = self._prober.true_at if self._prober is not None else None
        return ResourceReport(
            resource=self.id,
            state=self.state,
            sequence=self._sequence,
            attempt=self.attempt,
            running=self.running,
            elapsed_ms=round(self._elapsed * 1000),
            age_ms=round((self._loop.time() - self._since) * 1000),
            cause=said(self.cause),
            code=event_code(self.code),
            progress=said(self.progress),
            checked_ms_ago=None if checked is None else round((self._loop.time() - checked) * 1000),
            simulated=self.simulated,
        )

    def samples(self) -> list[ProbeSample]:
        """Probe times since the last call of this."""
        tallies = self._prober.tallies.items() if self._prober is not None else ()
        return [sample for name, tally in tallies if (sample := tally.take(self.id, name)) is not None]

    def trim_log(self) -> None:
        self._host.processes.trim_log(self._context.log_file)

    # Orders

    def act(self, action: Action) -> None:
        """Begin what the plan says."""
        if action is Action.ONLINE:
            self.attempt = self.spec.attempt
            self.epoch_up = self._group[2]
            self._set(ResourceState.ONLINE_PENDING, running=True)
            self._begin(self._go_online)
        elif action is Action.OFFLINE:
            self._set(ResourceState.OFFLINE_PENDING, running=True)
            self._begin(self._go_offline)
        elif action is Action.CANCEL:
            self._begin_take_down(ResourceState.OFFLINE)
        else:
            self._set(ResourceState.OFFLINE)

    def fail(self, cause: str, code: int = 0) -> None:
        """The resource failed: Failed at once, then Terminate. Without effect unless it is up."""
        if self.state in UP:
            self.attempt = self.spec.attempt
            self._begin_take_down(ResourceState.FAILED, cause, code)

    def simulate(self, operation: int, reason: str) -> None:
        """Fail as an operator wants it, once for an operation. Without effect unless it is up."""
        if self.state in UP and operation > self.simulated:
            self.simulated = operation
            self.fail(reason)

    def end_now(self, cause: str) -> None:
        """Terminate it without Offline, whatever it is doing."""
        if self.state in UP or self.state is ResourceState.OFFLINE_PENDING:
            self._begin_take_down(ResourceState.OFFLINE, cause)

    def process_ended(self, child: Child) -> None:
        """The end of a watched process is certain: no probe is needed (semantics 10.2)."""
        if child.watch and not child.expected and not self.tolerates(child.epitaph()):
            self.fail(child.epitaph())

    async def close(self) -> None:
        """Give the instance up. The resource is down."""
        if self._points is not None:
            try:
                await within(STRAY_LIMIT, self._points.call("close"))
            except Exception:
                logger.exception("%s: Close", self.spec.name)
            self._points.abandon()
        self._dll, self._points, self._dll_made_of = None, None, None

    # What the instance and its probes say

    def signalled(self, reason: str) -> None:
        if self._prober is not None:
            self._prober.check_now(reason)

    def progressed(self, text: str) -> None:
        self._sign_of_life = self._loop.time()
        if self.state.is_pending and text != self.progress:
            self.progress = text
            self._changed()

    def tolerates(self, cause: str) -> bool:
        """True in maintenance: what would be a failure is told, and the resource is left alone."""
        if self._watch_only:
            self._host.log(self.id, 2, f"{cause}. It is in maintenance: nothing is done about it", 0)
        return self._watch_only

    def probe_failed(self, cause: str, code: int) -> None:
        if code:
            self._host.log(self.id, 2, cause, code)
        self.fail(cause, code)

    def probe_changed(self) -> None:
        self._on_samples(self.samples())

    def denied(self, reason: str) -> None:
        self._host.log(self.id, 1, f"signalled a failure ({reason}), but IsAlive says that it works", 0)

    # Operations

    def _begin(self, operation: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start an operation in place of the one that runs."""
        if self._operation is not None:
            self._operation.cancel()
        self._operation = self._loop.create_task(self._run(operation))

    async def _run(self, operation: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await operation()
        except Exception:
            logger.exception("%s: an operation broke off", self.spec.name)
            await self._take_down(ResourceState.FAILED, "the resource monitor had an internal error")

    def _begin_take_down(self, final: ResourceState, cause: str = "", code: int = 0) -> None:
        self._going_down(final, cause, code)
        self._begin(lambda: self._take_down(final, cause, code))

    async def _go_online(self) -> None:
        call = Call(starts=True)
        self._context.open_for_starts = True
        try:
            await self._limited(self._bring_up(call), call)
        except Exception as error:
            cause, code = self._explain("Online", error)
            await self._take_down(ResourceState.FAILED, cause, code)
            return
        self._set(ResourceState.ONLINE, running=True)
        self._prober = self._new_prober()

    async def _bring_up(self, call: Call) -> None:
        async with self.turn:
            CURRENT.set(call)
            points = await self._instance()
            await points.call("online")

    async def _instance(self) -> EntryPoints:
        """The opened instance, made anew where type or properties have changed."""
        made_of = (self.spec.type, dict(self.spec.properties))
        self._context.name = self.spec.name
        self._context.group_id, self._context.group, self._context.epoch = self._group
        self._context.providers = self._providers
        if self._points is None or self._dll_made_of != made_of:
            await self.close()
            dll_class = self._host.types.get(self.spec.type)
            if dll_class is None:
                raise ResourceError(f"{self._host.node} has no resource DLL for {self.spec.type}")
            self._context.state_dir.mkdir(parents=True, exist_ok=True)
            self._dll = dll_class(self._context, dll_class.clean(self.spec.properties))
            self._points = EntryPoints(self._dll, self._loop, self.spec.name)
            self._dll_made_of = made_of
            await self._points.call("open")
        assert self._dll is not None
        self._host.sweeps.add(self.id, type(self._dll))
        return self._points

    async def _go_offline(self) -> None:
        if self._prober is not None:
            self._prober.stop()
        call = Call(starts=False)
        try:
            await self._limited(self._bring_down(call), call)
        except Exception as error:
            cause, code = self._explain("Offline", error)
            self._host.log(self.id, 1, f"{cause}; it is terminated", code)
            await self._take_down(ResourceState.OFFLINE, cause, code)
            return
        if not await self._nothing_left():
            await self._take_down(ResourceState.OFFLINE, "Offline left processes behind")
            return
        self._is_down_as(ResourceState.OFFLINE)

    async def _bring_down(self, call: Call) -> None:
        async with self.turn:
            CURRENT.set(call)
            assert self._points is not None
            await self._points.call("offline")

    def _going_down(self, final: ResourceState, cause: str, code: int) -> None:
        state = ResourceState.FAILED if final is ResourceState.FAILED else ResourceState.OFFLINE_PENDING
        if (state, cause) != (self.state, self.cause):
            self._set(state, running=True, cause=cause, code=code)
        if self._prober is not None:
            self._prober.kill()
        if self._call is not None:
            self._call.revoked = True

    async def _take_down(self, final: ResourceState, cause: str = "", code: int = 0) -> None:
        """Terminate until nothing is left, then settle in `final`."""
        self._going_down(final, cause, code)
        for delay in chain(RETRY_TERMINATE, repeat(RETRY_TERMINATE[-1])):
            if await self._terminate():
                break
            await asyncio.sleep(delay)
        self._is_down_as(final, cause, code)

    async def _terminate(self) -> bool:
        """One Terminate; True where nothing of the resource is left."""
        CURRENT.set(Call(starts=False))
        await self._context.close_for_starts()
        done = True
        if self._points is not None:
            try:
                await within(min(self._limit, TERMINATE_LIMIT), self._points.call_beside("terminate"))
            except Exception as error:
                cause, code = self._explain("Terminate", error)
                self._host.log(self.id, 2, f"{cause}; it is tried again", code)
                done = False
            await self._settle_interrupted()
        return await self._nothing_left() and done

    async def _settle_interrupted(self) -> None:
        """Let the entry point that Terminate interrupted return; go on without it where it hangs."""
        if self._stray is not None:
            await asyncio.wait({self._stray}, timeout=STRAY_LIMIT)
            self._stray = None
        if self._points is not None:
            await self._points.settle(STRAY_LIMIT)
        if self.turn.locked():
            self.turn = asyncio.Lock()  # whoever holds it was given up
        self._call = None

    async def _nothing_left(self) -> bool:
        """Kill what entry points left behind; True once no process is left."""
        if self._host.processes.is_clean(self.id):
            return True
        return bool(await in_thread(lambda: self._host.processes.kill(self.id)))

    def _is_down_as(self, state: ResourceState, cause: str = "", code: int = 0) -> None:
        self._prober = None
        self._context.open_for_starts = False
        self._host.sweeps.strike(self.id)
        self._set(state, cause=cause, code=code)

    # Limits, words, changes

    @property
    def _limit(self) -> float:
        """Seconds of silence that an entry point may keep (semantics 1.3)."""
        return min(self.spec.pending_timeout_ms, self.spec.deadlock_timeout_ms) / 1000

    async def _limited(self, operation: Coroutine[Any, Any, None], call: Call) -> None:
        """Run an entry point; each sign of progress gives it another `_limit` seconds."""
        self._sign_of_life = self._loop.time()
        self._call = call
        task = self._loop.create_task(operation)
        task.add_done_callback(hear_out)
        try:
            while not task.done():
                left = self._sign_of_life + self._limit - self._loop.time()
                if left <= 0:
                    raise OverLimitError
                await asyncio.wait({task}, timeout=left)
            task.result()
            self._call = None
        finally:
            if not task.done():
                call.revoked = True
                task.cancel()
                self._stray = task

    def _explain(self, entry_point: str, error: Exception) -> tuple[str, int]:
        """The sentence that an operator reads, and the event id that fits it."""
        if isinstance(error, OverLimitError):
            return f"{entry_point} reported nothing for {self._limit:g} s", 0
        if isinstance(error, TimeoutError):
            return f"{entry_point} did not return in time", 0
        if isinstance(error, ResourceError):
            return f"{entry_point}: {error}", error.code
        if isinstance(error, PropertyError):
            return f"{entry_point}: property {error}", 0
        logger.error("%s: %s", self.spec.name, entry_point, exc_info=error)
        return f"{entry_point}: {type(error).__name__}: {error}", 0

    def _new_prober(self) -> Prober:
        assert self._points is not None and self._dll is not None
        looks_alive_s, is_alive_s, deadlock_s = self._times()
        return Prober(
            self,
            self._points.call,
            self._loop,
            phase_of=self.id,
            looks_alive_s=looks_alive_s,
            is_alive_s=is_alive_s,
            deadlock_s=deadlock_s,
        )

    def _times(self) -> tuple[float | None, float, float]:
        """LooksAlivePollInterval (None: not polled), IsAlivePollInterval, DeadlockTimeout, in seconds."""
        polled = self._dll is not None and self._dll.polls_looks_alive
        looks_alive_s = self.spec.looks_alive_ms / 1000 if polled else None
        return looks_alive_s, self.spec.is_alive_ms / 1000, self.spec.deadlock_timeout_ms / 1000

    def _set(self, state: ResourceState, *, running: bool = False, cause: str = "", code: int = 0) -> None:
        now = self._loop.time()
        if state is not self.state:
            self._elapsed = now - self._since
            self._since = now
            logger.info("%s: %s%s", self.spec.name, state.label, f" ({cause})" if cause else "")
        self.state, self.running, self.cause, self.code, self.progress = state, running, cause, code, ""
        self._changed()

    def _changed(self) -> None:
        self._sequence = self._next_sequence()
        self._on_change(self.id)
