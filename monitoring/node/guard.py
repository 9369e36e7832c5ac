"""The guard: a small process beside the agent that ends the node's resources where the agent cannot.

    python -m monitoring.node.guard HOME AGENT_PID

Standard input is a pipe from the agent. Each message is two numbers: the end of the lease in
nanoseconds of the boot clock, 0 where nothing is held; and the nanoseconds that the agent has
after it to end its resources and say so. The guard sleeps until the lease is over or the
agent is dead. Past the lease it kills every process of the node's resources. An agent that
is cut off does the same, ends what is no process, and says so. One that does not is stopped
or stuck: it is killed, for it holds what no other node can have meanwhile: claims of
addresses, locks of disks. After an agent's death the guard takes back what is left (see
`sweep`) and leaves.
"""

# pathlib would add much to a process that is to stay small:
# ruff: noqa: PTH112, PTH118, PTH208

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import sys
import time
from contextlib import suppress

from monitoring.node import marks

MESSAGE = struct.Struct("=QQ")
NOTHING_HELD = (0, 0)
READ = MESSAGE.size * 512


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def say(text: str) -> None:
    os.write(2, f"{time.strftime('%Y-%m-%d %H:%M:%S')} guard: {text}\n".encode())


def newest(lease: tuple[int, int]) -> tuple[int, int] | None:
    """Drain the pipe: the last (end, patience) that the agent sent, None once the agent is gone."""
    try:
        while data := os.read(0, READ):
            lease = MESSAGE.unpack(data[-MESSAGE.size :])
    except BlockingIOError:
        return lease
    return None


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
    lease = NOTHING_HELD
    while True:
        events = poll.poll(max(0, (lease[0] - boottime_ns()) // 1_000_000 + 1) if lease[0] else None)
        heard = newest(lease)
        if heard is None or any(fd == agent for fd, _ in events):
            return finish(home)
        lease = heard
        if lease[0] and boottime_ns() >= lease[0]:
            say("the lease is over: ending all resources")
            marks.end_marked(home, keep_warm=True)
            poll.poll(lease[1] // 1_000_000)
            heard = newest(lease)
            if heard == lease:
                say("the agent does not end its part: it is killed")
                signal.pidfd_send_signal(agent, signal.SIGKILL)
                poll.poll(1000)  # until it is gone
            if heard is None or heard == lease:
                return finish(home)
            lease = heard


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
