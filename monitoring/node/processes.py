"""The processes of this node's resources: start, watch, end.

Each runs in a session of its own under the marks of `marks`, and is watched through a pidfd,
so that its end is known within a millisecond and no pid is ever confused with a later one.
Ending a resource's processes takes the known ones first; a scan of /proc then finds what they
left behind. Scans are shared: whoever waits while one runs is served by the next.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, cast

from monitoring.node import cgroups, marks
from monitoring.node.marks import Marked
from monitoring.node.record import Ended, Record, Started

LOG_LIMIT = 1 << 20
"""Bytes that the log of one resource's processes may hold before it is set aside as `.1`."""
KILL_LIMIT = 10.0
"""Seconds to wait after SIGKILL; what outlives it hangs in the kernel."""

PRIVATE = frozenset({"CLUSTERWEB_NODE_KEY", "CLUSTERWEB_NODE_KEY_FILE", "CLUSTERWEB_REDIS_URL"})
"""Variables of the agent that no resource's process gets to see."""


class Child:
    """A process of a resource that the agent started, directly or through the warm parent."""

    def __init__(self, pid: int, pidfd: int, resource: int, watch: bool, forked: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.resource = resource
        self.watch = watch
        self.forked = forked
        """Its parent is the warm parent, which tells how it ended."""
        self.expected = False
        """Its end was asked for, and is no failure."""
        self.returncode: int | None = None
        self.note = ""
        """The file that tells of it whatever becomes of its marks."""
        self.ended = False
        self._waiters: list[asyncio.Future[int]] = []

    async def wait(self) -> int:
        """Wait for the end on the monitor's loop; cancelling it leaves the process alone."""
        if self.returncode is not None:
            return self.returncode
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def settle(self, returncode: int) -> None:
        self.returncode = returncode
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(returncode)
        self._waiters.clear()

    def epitaph(self) -> str:
        """How it ended, as a sentence: "process 1234 ended with signal 9 (SIGKILL)"."""
        code = self.returncode
        if code is None or code == UNKNOWN_END:
            return f"process {self.pid} ended"
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = "unknown"
            return f"process {self.pid} ended with signal {-code} ({name})"
        return f"process {self.pid} ended with exit code {code}"


UNKNOWN_END = 1 << 16
"""Return code of a forked service whose parent died before it could tell."""
TOLD_WITHIN = 0.05
"""Seconds that the warm parent has to tell how a service ended, once its end is known."""


class Processes:
    """All processes of the node's resources. Called from any thread, but where a method says so."""

    def __init__(
        self, home: Path, loop: asyncio.AbstractEventLoop, record: Record, on_end: Callable[[Child], None]
    ) -> None:
        self.home = str(home)
        self._loop = loop
        self._record = record
        self._on_end = on_end
        self._lock = threading.Lock()
        self._children: dict[int, dict[Child, None]] = {}
        self._unconfirmed: set[int] = set()
        """Resources that started something since a scan last found nothing of theirs."""
        self._scans = SharedScan(self.home)
        self._group: str | None = None
        """The node's control group, "" where there can be none; None before it was asked for."""
        self._entering = Entering()
        marks.strike_dead(self.home)

    def spawn(
        self,
        resource: int,
        argv: Sequence[str],
        *,
        cwd: str | Path | None,
        env: Mapping[str, str] | None,
        log: Path,
        watch: bool,
    ) -> Child:
        """Start a program in a session of its own, its output in `log`; `env` is added to the agent's."""
        self.expect_start(resource)
        environment = {**inherited(), **(env or {}), **marks.environment(self.home, resource)}
        entry = self._group_entry(resource)
        with open_log(log) as output:
            process = subprocess.Popen(
                entered(entry, argv, environment, cwd),
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child = Child(process.pid, os.pidfd_open(process.pid), resource, watch, forked=False)
        process.returncode = 0  # it is reaped here, through its pidfd
        self._add(child)
        return child

    def _group_entry(self, resource: int) -> str:
        """The file by which a process enters the resource's control group; "" where there is none."""
        with self._lock:
            if self._group is None:
                self._group = cgroups.choose(self.home)
            return cgroups.ready(self._group, resource) if self._group else ""

    def take(self, resource: int, pid: int, pidfd: int, watch: bool) -> Child:
        """Take over a service that the warm parent forked."""
        child = Child(pid, pidfd, resource, watch, forked=True)
        if entry := self._group_entry(resource):
            self._entering.put(entry, pid, marks.ticks(pid))
        self._add(child)
        return child

    def find(self, resource: int, pid: int, ticks: int) -> bool:
        """Watch a process that an earlier agent started; False where it is no more."""
        self.expect_start(resource)
        pidfd = Marked(pid, resource, ticks).open()
        if pidfd is None:
            return False
        child = Child(pid, pidfd, resource, watch=True, forked=False)
        child.note = marks.note(self.home, pid, ticks, resource)
        self._watch(child)
        return True

    def watched(self, resource: int) -> list[Child]:
        """The watched processes of the resource that run, in the order of their start."""
        with self._lock:
            return [child for child in self._children.get(resource, ()) if child.watch]

    def expect_start(self, resource: int) -> None:
        """Something of the resource is about to be started by another process."""
        with self._lock:
            self._unconfirmed.add(resource)

    def _add(self, child: Child) -> None:
        if child.watch:
            ticks = marks.ticks(child.pid)
            child.note = marks.note(self.home, child.pid, ticks, child.resource)
            self._record.add(Started(child.resource, child.pid, ticks))
        self._watch(child)

    def _watch(self, child: Child) -> None:
        with self._lock:
            self._children.setdefault(child.resource, {})[child] = None
        self._loop.call_soon_threadsafe(self._loop.add_reader, child.pidfd, self._ended, child)

    def _ended(self, child: Child) -> None:
        """On the loop: the pidfd says that the process is over."""
        self._loop.remove_reader(child.pidfd)
        with self._lock:
            child.ended = True
            self._children.get(child.resource, {}).pop(child, None)
        if child.forked and child.returncode is None:
            self._loop.call_later(TOLD_WITHIN, self._settle, child, UNKNOWN_END)
            return
        if not child.forked:
            child.settle(_reap(child.pidfd))
        self._finish(child)

    def told(self, child: Child, returncode: int) -> None:
        """On the loop: the warm parent tells how a service ended."""
        self._settle(child, returncode)

    def _settle(self, child: Child, returncode: int) -> None:
        if child.returncode is not None:
            return
        child.settle(returncode)
        if child.ended:
            self._finish(child)

    def _finish(self, child: Child) -> None:
        with self._lock:
            os.close(child.pidfd)
            child.pidfd = -1
        self._on_end(child)
        if child.watch:
            self._record.add(Ended(child.resource, child.pid))
            with suppress(OSError):
                Path(child.note).unlink()

    def pids(self, resource: int) -> list[int]:
        """Everything that runs for the resource now, descendants included."""
        return sorted(m.pid for m in self._scans.fresh() if m.resource == resource)

    def is_clean(self, resource: int) -> bool:
        """True where nothing was started since a scan last found nothing of the resource."""
        return resource not in self._unconfirmed

    def kill(self, resource: int, grace: float = 0.0) -> bool:
        """End everything of the resource and wait. Blocking. False where something cannot be killed."""
        with self._lock:
            if resource not in self._unconfirmed:
                return True
            known = [child for child in self._children.get(resource, ()) if child.pidfd >= 0]
            fds = [os.dup(child.pidfd) for child in known]
            for child in known:
                child.expected = True
        try:
            if grace > 0:
                fds += self._open_others(resource, {child.pid for child in known})
            marks.end(fds, grace, KILL_LIMIT)
        finally:
            for fd in fds:
                os.close(fd)
        return self._kill_rest(resource)

    def _open_others(self, resource: int, known: set[int]) -> list[int]:
        """Pidfds of descendants that were not started by the agent itself: they get their grace too."""
        found = [m for m in self._scans.fresh() if m.resource == resource and m.pid not in known]
        return [fd for m in found if (fd := m.open()) is not None]

    def _kill_rest(self, resource: int) -> bool:
        """Kill what scans still find, until one finds nothing."""
        for _ in range(20):
            with self._lock:
                self._unconfirmed.discard(resource)  # a start from here on enters it again
            if group := cgroups.noted(self.home):
                cgroups.kill(group, resource)
            fds = self._open_others(resource, set())
            if not fds:
                self._remove_group(group, resource)
                return True
            with self._lock:
                self._unconfirmed.add(resource)
            try:
                gone = marks.end(fds, 0.0, KILL_LIMIT)
            finally:
                for fd in fds:
                    os.close(fd)
            if not gone:
                return False
        return False

    def _remove_group(self, group: str, resource: int) -> None:
        """Nothing is in it: it goes, unless something is being started meanwhile."""
        with self._lock:
            if group and resource not in self._unconfirmed:
                cgroups.remove(group, resource)

    def trim_log(self, log: Path) -> None:
        """Set a log aside that has grown over its limit; the process keeps writing to the same file."""
        with suppress(OSError):
            if log.stat().st_size > LOG_LIMIT:
                log.with_suffix(".log.1").write_bytes(log.read_bytes()[-LOG_LIMIT:])
                os.truncate(log, 0)


class SharedScan:
    """Scans of /proc, shared among threads: each caller gets one that began after its call."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._turn = threading.Condition()
        self._started = 0
        self._finished = 0
        self._running = False
        self._result: list[Marked] = []

    def fresh(self) -> list[Marked]:
        with self._turn:
            wanted = self._started + 1
            while self._finished < wanted and self._running:
                self._turn.wait()
            if self._finished >= wanted:
                return self._result
            self._started += 1
            number = self._started
            self._running = True
        try:
            result = marks.scan(self._home)
        except BaseException:
            with self._turn:
                self._running = False
                self._turn.notify_all()
            raise
        with self._turn:
            self._result, self._finished, self._running = result, number, False
            self._turn.notify_all()
            return result


ENTER = '{ echo 0 >"$0"; } 2>/dev/null; exec "$@"'
"""A shell enters the control group of the file in $0, then becomes the program: so that nothing which
the program does comes before that."""


def entered(
    entry: str, argv: Sequence[str], environment: Mapping[str, str], cwd: str | Path | None
) -> list[str]:
    """The command line that enters the control group first; `argv` itself where there is none.

    OSError where there is no such program, as starting it would say.
    """
    argv = list(argv)
    if not entry or not all(name.isidentifier() for name in environment):  # a shell drops other names
        return argv
    folder = str(cwd or ".")
    places = [folder] if "/" in argv[0] else os.get_exec_path(environment)
    if not any(os.access(Path(place, argv[0]), os.X_OK) for place in places):
        known = any(Path(place, argv[0]).exists() for place in places)
        number = errno.EACCES if known else errno.ENOENT
        raise OSError(number, os.strerror(number), argv[0])
    return ["/bin/sh", "-c", ENTER, entry, *argv]


class Entering:
    """Puts services into their control groups on a thread of its own: the kernel takes some 10 ms for
    it, and a service that carries its mark need not wait for that."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[str, int, int]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, entry: str, pid: int, ticks: int) -> None:
        """`ticks`: when the process was started, by which no other is taken for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="control groups", daemon=True)
            self._thread.start()
        self._waiting.put((entry, pid, ticks))

    def _work(self) -> None:
        while True:
            entry, pid, ticks = self._waiting.get()
            if ticks and marks.ticks(pid) == ticks:
                cgroups.enter(entry, pid)


def inherited() -> dict[str, str]:
    """The agent's environment, without what is its own secret."""
    return {name: value for name, value in os.environ.items() if name not in PRIVATE}


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, its folder made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return cast(BinaryIO, path.open("ab", buffering=0))


def _reap(pidfd: int) -> int:
    """Exit code of an ended child, or minus the signal that ended it."""
    try:
        info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return UNKNOWN_END
    if info is None:
        return UNKNOWN_END
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
