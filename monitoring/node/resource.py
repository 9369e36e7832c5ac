"""One resource on this node: its state, and the operations that change it.

One operation runs at a time, as a task on the monitor's loop: Online, Offline, taking over
what an earlier agent left, or taking down by force. An operation that is no longer wanted is
cancelled and replaced. Entry points take turns, except Terminate, which may interrupt any
other (semantics 1.6). Each step is written down before it is taken (see `record`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from monitoring.core.messages import ProbeSample, ResourceSpec
from monitoring.core.states import ResourceState
from monitoring.node.calls import CURRENT, Call, in_thread, within
from monitoring.node.context import Host
from monitoring.node.instance import Points
from monitoring.node.limits import explain
from monitoring.node.listening import Listening
from monitoring.node.plan import UP, Action, Known, Wish
from monitoring.node.probes import HUNG
from monitoring.node.record import Phase, Step
from monitoring.resource_dlls.api import Provider

logger = logging.getLogger(__name__)

TERMINATE_LIMIT = 30.0
"""Seconds that Terminate may take at most before it is tried again."""
STRAY_LIMIT = 1.0
"""Seconds that an interrupted entry point has to return after Terminate, before its thread is abandoned."""
RETRY_TERMINATE = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries to bring down what Terminate did not bring down; the last one repeats."""
OLD_FACTS_COUNT = 60.0
"""Seconds for which what an earlier agent showed is left standing, after the resource was taken over."""
INTERRUPTED = "the agent ended before it was online"


class ManagedResource(Listening):
    """A resource that the node holds for a group. All methods are called on the loop."""

    def __init__(
        self,
        host: Host,
        spec: ResourceSpec,
        next_sequence: Callable[[], int],
        on_change: Callable[[int], None],
        on_samples: Callable[[Sequence[ProbeSample]], None],
    ) -> None:
        super().__init__(host, spec, next_sequence, on_change, on_samples)
        self.wanted = spec.want_online
        self.epoch_up = 0
        """The ownership under which it came online."""
        self.turn = asyncio.Lock()
        self._found = False
        """An earlier agent brought it online; whether this one can take it over is not known yet."""
        self._made_of: tuple[str, dict[str, Any]] = (spec.type, {})
        """The type and the properties with which it was last brought online."""
        self._noted: Step | None = None
        self._operation: asyncio.Task[None] | None = None
        self._group: tuple[int, str, int] = (0, "", 0)
        self._providers: Sequence[Provider] = ()

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
            self._prober.retime(*self._instance.times(self.spec))

    def watch(self, *, only: bool) -> None:
        """In maintenance a failure is told, and nothing is done about it; IsAlive judges when it ends."""
        ended = self._watch_only and not only
        self._watch_only = only
        if ended and self._prober is not None:
            self._prober.recheck()

    def wish(self) -> Wish:
        return Wish(self.wanted, self.spec.attempt, self.spec.requires)

    def known(self, epoch: int) -> Known:
        outdated = self.epoch_up != epoch or self._is_foreign
        return Known(self.state, self.running, self.attempt, outdated, unsure=self._found)

    @property
    def _is_foreign(self) -> bool:
        """It is online, and no instance of this agent knows how: it has to be brought online again."""
        return self.state is ResourceState.ONLINE and not self._found and not self._instance.is_open

    @property
    def log_file(self) -> Path:
        return self._context.log_file

    def trim_log(self) -> None:
        self._host.processes.trim_log(self._context.log_file)

    # What an earlier agent left

    def restore(self, step: Step, processes: Mapping[int, int]) -> None:
        """Be what the record says that it was. What was on its way up or down is taken down at once;
        what was online waits for `take_over`."""
        self.attempt, self.epoch_up, self._made_of = step.attempt, step.epoch, (step.type, step.properties)
        self.simulated = step.simulated
        if step.phase is Phase.DOWN:
            self._set(step.state, cause=step.cause, code=step.code)
            return
        self._host.processes.expect_start(self.id)
        lost = [pid for pid, ticks in processes.items() if not self._host.processes.find(self.id, pid, ticks)]
        self._tell_context(step.epoch)
        try:
            self._instance.make(step.type, step.properties, separate=self.spec.separate_monitor)
        except Exception:
            logger.exception("%s: no instance can be made of what runs", self.spec.name)
        if step.phase is Phase.STARTING:
            self._begin_take_down(ResourceState.OFFLINE, INTERRUPTED)
        elif step.phase is Phase.GOING:
            self._begin_take_down(step.state, step.cause, step.code)
        else:
            self._found = True
            self._set(ResourceState.ONLINE, running=True)
            if lost and not self.tolerates(cause := f"process {lost[0]} ended while the agent was away"):
                self.fail(cause)

    def take_over(self) -> None:
        """Take over what was found online; it is terminated, and brought online again, where that fails."""
        if self._found:
            self._begin(self._take_over)

    async def _take_over(self) -> None:
        call = Call(starts=True)
        self._context.open_for_starts = True
        try:
            taken = await self._limiter.run(self._adopt(call), call, self._limit)
        except Exception as error:
            cause, code = self._explain("Adopt", error)
            if not self.tolerates(cause):
                self.attempt = self.spec.attempt
                await self._take_down(ResourceState.FAILED, cause, code)
                return
            taken = False  # it is brought online again after the maintenance
        self._found = False
        if taken:
            self._instance.is_open = True
            self._prober = self._instance.prober(self, self.spec)
            self._loop.call_later(OLD_FACTS_COUNT, self.forget_old_facts)
        else:
            self._host.log(self.id, 1, self._not_taken_over, 0)
        self._on_change(self.id)

    async def _adopt(self, call: Call) -> bool:
        async with self.turn:
            CURRENT.set(call)
            points = self._instance.points
            return points is not None and bool(await points.call("adopt"))

    @property
    def _not_taken_over(self) -> str:
        return f"the agent restarted, and a resource of type {self._made_of[0]} has to be restarted with it"

    # Orders

    def act(self, action: Action) -> None:
        """Begin what the plan says."""
        if action is Action.ONLINE:
            self.attempt = self.spec.attempt
            self.epoch_up = self._group[2]
            self._made_of = (self.spec.type, self.spec.properties)
            self._context.begin_output()
            self._note(Phase.STARTING, ResourceState.ONLINE)
            self._set(ResourceState.ONLINE_PENDING, running=True)
            self._begin(self._go_online)
        elif action is Action.OFFLINE and self._is_foreign:
            self._begin_take_down(ResourceState.OFFLINE, self._not_taken_over)
        elif action is Action.OFFLINE:
            self._note(Phase.GOING, ResourceState.OFFLINE)
            self._set(ResourceState.OFFLINE_PENDING, running=True)
            self._begin(self._go_offline)
        elif action is Action.CANCEL:
            self._begin_take_down(ResourceState.OFFLINE)
        else:
            self._note(Phase.DOWN, ResourceState.OFFLINE)
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

    async def close(self) -> None:
        """Give the instance up. The resource is down."""
        await self._instance.close()

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
            await self._limiter.run(self._bring_up(call), call, self._limit)
        except Exception as error:
            cause, code = self._explain("Online", error)
            if code == HUNG:
                self._host.log(self.id, 2, f"{cause} ({self.spec.type})", HUNG)
            await self._take_down(ResourceState.FAILED, cause, code)
            return
        self._note(Phase.ONLINE, ResourceState.ONLINE)
        self._set(ResourceState.ONLINE, running=True)
        self._show_isolation()
        self._prober = self._instance.prober(self, self.spec)

    async def _bring_up(self, call: Call) -> None:
        async with self.turn:
            CURRENT.set(call)
            self._tell_context(self.epoch_up)
            points = await self._instance.opened(*self._made_of, separate=self.spec.separate_monitor)
            await points.call("online")

    def _tell_context(self, epoch: int) -> None:
        self._context.name = self.spec.name
        self._context.group_id, self._context.group, _ = self._group
        self._context.epoch = epoch
        self._context.providers = self._providers

    async def _go_offline(self) -> None:
        if self._prober is not None:
            self._prober.stop()
        call = Call(starts=False)
        try:
            await self._limiter.run(self._bring_down(call), call, self._limit)
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
            assert self._instance.points is not None
            await self._instance.points.call("offline")

    def _going_down(self, final: ResourceState, cause: str, code: int) -> None:
        self._note(Phase.GOING, final, cause, code)
        self._found = False
        if final is ResourceState.FAILED and self.state is not ResourceState.FAILED:
            self._context.tell_last_words()
        state = ResourceState.FAILED if final is ResourceState.FAILED else ResourceState.OFFLINE_PENDING
        if (state, cause) != (self.state, self.cause):
            self._set(state, running=True, cause=cause, code=code)
        if self._prober is not None:
            self._prober.kill()
        self._limiter.revoke()

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
        if (points := self._instance.points) is not None:
            interrupts = points.is_busy
            done = await self._ask_to_terminate(points)
            await self._limiter.settle(STRAY_LIMIT)
            await points.settle(STRAY_LIMIT)
            if interrupts:  # what the interrupted call made after Terminate had looked goes as well
                done = await self._ask_to_terminate(points) and done
            if self.turn.locked():
                self.turn = asyncio.Lock()  # whoever holds it was given up
        return await self._nothing_left() and done and await self._is_swept()

    async def _ask_to_terminate(self, points: Points) -> bool:
        try:
            await within(min(self._limit, TERMINATE_LIMIT), points.call_beside("terminate"))
        except Exception as error:
            if isinstance(error, TimeoutError):
                points.give_up("Terminate did not return")
            cause, code = self._explain("Terminate", error)
            self._host.log(self.id, 2, f"{cause}; it is tried again", code)
            return False
        return True

    async def _nothing_left(self) -> bool:
        """Kill what entry points left behind; True once no process is left."""
        if self._host.processes.is_clean(self.id):
            return True
        return bool(await in_thread(lambda: self._host.processes.kill(self.id)))

    async def _is_swept(self) -> bool:
        problem = await self._instance.sweep()
        if problem:
            self._host.log(self.id, 2, f"{problem}; it is tried again", 0)
        return not problem

    def _is_down_as(self, state: ResourceState, cause: str = "", code: int = 0) -> None:
        self._note(Phase.DOWN, state, cause, code)
        self._prober = None
        self._context.open_for_starts = False
        self._host.sweeps.strike(self.id)
        self._set(state, cause=cause, code=code)

    # Limits, words, changes

    @property
    def _limit(self) -> float:
        """Seconds of silence that an entry point may keep (semantics 1.3)."""
        return min(self.spec.pending_timeout_ms, self.spec.deadlock_timeout_ms) / 1000

    def _explain(self, entry_point: str, error: Exception) -> tuple[str, int]:
        is_deadlock = self.spec.deadlock_timeout_ms <= self.spec.pending_timeout_ms
        return explain(self.spec.name, entry_point, error, self._limit, HUNG if is_deadlock else 0)

    def _note(self, phase: Phase, state: ResourceState, cause: str = "", code: int = 0) -> None:
        """Write down what comes next."""
        step = Step(
            self.id, phase, state, self.attempt, self.epoch_up, *self._made_of, cause, code, self.simulated
        )
        if step != self._noted:
            self._host.record.add(step)
            self._noted = step
