"""The guard: a small process beside the agent that ends the node's resources where the agent cannot.

    python -m monitoring.node.guard HOME AGENT_PID

Standard input is a pipe from the agent: each 8 bytes are the end of the lease in nanoseconds
of the boot clock. The guard sleeps until the lease is over or the agent is dead, then kills
every process of the node's resources, and takes back what is no process (see `sweep`). After
the agent's death it leaves; past a lease it stays, and looks again each second, until the
agent sends a new lease. It imports little, holds no connection, and has nothing to hang on.
"""

# pathlib would add much to a process that is to stay small:
# ruff: noqa: PTH112, PTH118, PTH208

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from contextlib import suppress

from monitoring.node import marks

FIRST_LOOK_AGAIN = 0.25
"""Seconds that a living agent has to take back by itself what is no process."""
LOOK_AGAIN = 1.0


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def say(text: str) -> None:
    os.write(2, f"{time.strftime('%Y-%m-%d %H:%M:%S')} guard: {text}\n".encode())


def newest_deadline(current: int) -> int | None:
    """Drain the pipe; the last lease end that the agent sent, None once the agent is gone."""
    data = b""
    with suppress(BlockingIOError):
        while chunk := os.read(0, 8192):
            data += chunk
        return None
    whole = len(data) // 8 * 8
    return int.from_bytes(data[whole - 8 : whole], sys.byteorder) if whole else current


def sweep(home: str) -> None:
    """Run the sweeps that are registered, in a process of its own: they load resource DLLs."""
    folder = os.path.join(home, "sweep")
    if os.path.isdir(folder) and os.listdir(folder):
        import subprocess  # not before it is needed

        with suppress(subprocess.TimeoutExpired):
            subprocess.run([sys.executable, "-m", "monitoring.node.sweep", home], timeout=30, check=False)


def finish(home: str) -> None:
    """The agent is dead: nothing may stay. Looked at twice, for what was just being started."""
    say("the agent is gone: ending all its resources")
    clean = marks.end_marked(home)
    time.sleep(0.02)
    clean = marks.end_marked(home) and clean
    sweep(home)
    say("done" if clean else "some processes cannot be killed")


def watch(home: str, agent_pid: int) -> None:
    """Sleep, and act when the lease ends or the agent does."""
    try:
        agent = os.pidfd_open(agent_pid)
    except ProcessLookupError:
        return finish(home)
    if os.getppid() != agent_pid:
        return finish(home)
    os.set_blocking(0, False)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(agent, select.POLLIN)
    deadline, expired_passes = 0, 0
    while True:
        if not deadline:
            timeout = None
        elif expired_passes:
            timeout = FIRST_LOOK_AGAIN if expired_passes == 1 else LOOK_AGAIN
        else:
            timeout = max(0.0, (deadline - boottime_ns()) / 1e9)
        events = poll.poll(None if timeout is None else timeout * 1000 + 1)
        newest = newest_deadline(deadline)
        if newest is None or any(fd == agent for fd, _ in events):
            return finish(home)
        if newest != deadline:
            deadline, expired_passes = newest, 0
        if deadline and boottime_ns() >= deadline:
            if not expired_passes:
                say("the lease is over: ending all resources")
            marks.end_marked(home, keep_warm=True)
            if expired_passes:
                sweep(home)
            expired_passes += 1


def main() -> None:
    home, agent_pid = sys.argv[1], int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the agent, and only so
    lock = os.open(os.path.join(home, "guard.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    watch(home, agent_pid)


if __name__ == "__main__":
    main()
