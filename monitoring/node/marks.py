"""Finds and ends all processes of this node's resources, by a mark in their environment.

Every process that the agent starts carries the node's home and its resource's id in the
environment that /proc shows, and so does whatever it starts in turn, daemons included. What
wipes that away (some servers write their title over it) is still found through its parent
or its session while one of those is marked, and through its control group where the agent may
make those (see `cgroups`); and what the agent watches is noted beside, in the names of empty
files, which stand until the agent knows of its end.

The agent and the guard share this module; it imports little, for the guard is to stay small.
"""

# The guard does not load pathlib:
# ruff: noqa: PTH103, PTH108, PTH118, PTH120, PTH208

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from monitoring.node import cgroups

OWNER = "CLUSTERWEB_OWNED_BY"
RESOURCE = "CLUSTERWEB_RESOURCE_ID"
WIDTH = 20
"""Digits of a resource id in a mark: a forked service writes its own over its parent's."""
KERNEL_THREAD = 0x00200000
"""The flag of a kernel thread in /proc/PID/stat (PF_KTHREAD, proc(5))."""
EXEC_LOOKS = 50
"""How many milliseconds an exec(2) is waited for."""
WATCHED = "watched"
"""Folder in the home; a file in it is named PID.TICKS.RESOURCE."""
NO_RESOURCE = 0
"""Marks what serves the agent itself: the warm parent, separate monitors."""


def environment(home: str, resource: int) -> dict[str, str]:
    """The marks, as environment variables."""
    return {OWNER: home, RESOURCE: f"{resource:0{WIDTH}d}"}


class Marked:
    """A process found by a scan. `started` (clock ticks after boot) tells it from a successor in its pid."""

    __slots__ = ("pid", "resource", "session", "started")

    def __init__(self, pid: int, resource: int, started: int, session: int = 0) -> None:
        self.pid = pid
        self.resource = resource
        self.started = started
        self.session = session

    def open(self) -> int | None:
        """A pidfd of exactly this process, None where it is gone."""
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            return None
        stat = _stat(self.pid)
        if stat is None or stat[2] != self.started:
            os.close(fd)
            return None
        return fd


def note(home: str, pid: int, started: int, resource: int) -> str:
    """Note a process, whatever becomes of its environment; the path of the note."""
    path = os.path.join(home, WATCHED, f"{pid}.{started}.{resource}")
    with suppress(OSError):  # it is still found by its marks
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return path


def noted(home: str) -> dict[int, tuple[int, int]]:
    """Start time and resource of each process that is noted, by its pid; some may be dead."""
    try:
        names = os.listdir(os.path.join(home, WATCHED))
    except OSError:
        return {}
    numbers = (name.split(".") for name in names)
    return {int(pid): (int(started), int(resource)) for pid, started, resource in numbers}


def strike_dead(home: str) -> None:
    """Take away the notes of processes that are gone."""
    for pid, (started, resource) in noted(home).items():
        if ticks(pid) != started:
            with suppress(OSError):
                os.unlink(os.path.join(home, WATCHED, f"{pid}.{started}.{resource}"))


def scan(home: str) -> list[Marked]:
    """All living processes of the node whose state is in `home`.

    Costs about 20 µs for each process on the machine.
    """
    needle = f"{OWNER}={home}".encode()
    notes = noted(home)
    group = cgroups.noted(home)
    grouped = {pid: resource for resource, pid in cgroups.members(group)} if group else {}
    marked: dict[int, Marked] = {}
    sessions: dict[int, int] = {}
    others: list[tuple[int, int, int, int]] = []
    me = os.getpid()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or (pid := int(entry)) == me:
            continue
        stat = _stat(pid)
        if stat is None:
            continue
        parent, session, started = stat
        resource = _resource_of(pid, needle)
        if resource is None and pid in notes and notes[pid][0] == started:
            resource = notes[pid][1]
        if resource is None:
            resource = grouped.get(pid)
        if resource is None:
            others.append((pid, parent, session, started))
        else:
            marked[pid] = Marked(pid, resource, started, session)
            if session == pid:
                sessions[session] = resource
    _add_kin(marked, sessions, others)
    return list(marked.values())


def _add_kin(
    marked: dict[int, Marked], sessions: dict[int, int], others: list[tuple[int, int, int, int]]
) -> None:
    """Add unmarked children of marked processes, and members of their sessions."""
    grew = bool(marked)
    while grew:
        grew = False
        for pid, parent, session, started in others:
            if pid in marked:
                continue
            kin = marked[parent].resource if parent in marked else sessions.get(session)
            if kin is not None:
                marked[pid] = Marked(pid, kin, started, session)
                grew = True


def _environ(pid: int) -> bytes:
    """The initial environment of a process; empty where it has none, is gone, or is not ours to see.

    A process in the middle of exec(2) has no environment for a moment, and is waited for:
    who starts a process hears of its success just before it has one.
    """
    for _ in range(EXEC_LOOKS):
        environ = _read(f"/proc/{pid}/environ", 1 << 18)
        if environ or environ is None or not _has_more(pid):
            return environ or b""
        time.sleep(0.001)
    return b""


def _has_more(pid: int) -> bool:
    """True for a process in exec, whose program has no place in memory yet, or just out of it.

    Never for init and for the kernel's own.
    """
    text = b"" if pid == 1 else _read(f"/proc/{pid}/stat", 1024) or b""
    fields = text[text.rfind(b")") + 2 :].split()
    if len(fields) < 49 or fields[0] in (b"Z", b"X"):
        return False
    code, begins, ends = int(fields[23]), int(fields[47]), int(fields[48])
    return not int(fields[6]) & KERNEL_THREAD and (code == 0 or begins < ends)


def _read(path: str, size: int) -> bytes | None:
    """The beginning of a file of /proc; None where it is gone, or not ours to see."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(fd, size)
    except OSError:
        return None
    finally:
        os.close(fd)


def _resource_of(pid: int, needle: bytes) -> int | None:
    """The resource whose mark the process carries, None where it carries none of this node."""
    environ = _environ(pid)
    if needle not in environ:
        return None
    variables = environ.split(b"\0")
    if needle not in variables:
        return None
    prefix = RESOURCE.encode() + b"="
    for variable in variables:
        if variable.startswith(prefix):
            digits = variable[len(prefix) :]
            return int(digits) if digits.isdigit() else NO_RESOURCE
    return NO_RESOURCE


def _stat(pid: int) -> tuple[int, int, int] | None:
    """(parent, session, start time) of a process; None where it is gone or dead."""
    text = _read(f"/proc/{pid}/stat", 1024)
    if not text:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[1]), int(fields[3]), int(fields[19])


def ticks(pid: int) -> int:
    """When the process was started, in clock ticks after boot; 0 where it is gone or dead."""
    stat = _stat(pid)
    return stat[2] if stat is not None else 0


def end(pidfds: Iterable[int], grace: float, limit: float) -> bool:
    """Signal the processes and wait: SIGTERM for `grace` seconds, then SIGKILL. True once all are gone."""
    left = set(pidfds)
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, limit)):
        if seconds > 0 and left:
            for fd in left:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, number)
            left = _await(left, seconds)
    return not left


def _await(pidfds: set[int], seconds: float) -> set[int]:
    """Wait until the processes have ended; return those that have not in time."""
    left = set(pidfds)
    poll = select.poll()
    for fd in left:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + seconds
    while left:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        for fd, _ in poll.poll(remaining * 1000):
            poll.unregister(fd)
            left.discard(fd)
    return left


def end_session(home: str, session: int, limit: float) -> bool:
    """Kill what serves the agent itself in a session (a separate monitor, its forks); true once it ended."""
    found = [m for m in scan(home) if m.session == session and m.resource == NO_RESOURCE]
    fds = [fd for m in found if (fd := m.open()) is not None]
    try:
        return end(fds, 0.0, limit)
    finally:
        for fd in fds:
            os.close(fd)


def end_marked(home: str, *, spared: Collection[int] = (), limit: float = 10.0) -> bool:
    """Kill everything marked, until a scan finds nothing. False where something outlives `limit` seconds.

    `spared`: resources whose processes are left alone; NO_RESOURCE is what serves the agent itself.
    """
    deadline = time.monotonic() + limit
    group = cgroups.noted(home)
    while True:
        cgroups.kill_all(group, spared)
        found = [m for m in scan(home) if m.resource not in spared]
        if not found:
            cgroups.remove_empty(group)
            return True
        if time.monotonic() > deadline:
            return False
        fds = [fd for m in found if (fd := m.open()) is not None]
        try:
            end(fds, 0.0, max(0.1, deadline - time.monotonic()))
        finally:
            for fd in fds:
                os.close(fd)
