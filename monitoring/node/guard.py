"""The guard: a small process beside the agent that ends the node's resources where the agent cannot.

    python -m monitoring.node.guard HOME

Standard input is a listening socket, HOME/guard.sock (SOCK_SEQPACKET), on which the agent that
started the guard waits already. Whoever connects is told the present lease, as two numbers and
the guard's process id: the end of the lease in nanoseconds of the boot clock, 0 where nothing
is held; and the nanoseconds that an agent has after it to end its resources and say so. The
agent sends the first two, again with each renewal.

The guard outlives its agent. It keeps what an agent that died has left until the lease is
over, so that the next one can take it over by connecting and renewing; it ends at once where
nothing was held. Past the lease it kills every process of the node's resources. An agent that
is cut off does the same, ends what is no process, and says so. One that does not is stopped
or stuck: it is killed, for it holds what no other node can have meanwhile: claims of
addresses, locks of disks. Then the guard takes back what is left (see `sweep`) and leaves.
"""

# pathlib would add much to a process that is to stay small:
# ruff: noqa: PTH112, PTH118, PTH208

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress

from monitoring.node import marks
from monitoring.node.watchdog import Watchdog

MESSAGE = struct.Struct("=QQ")
HELLO = struct.Struct("=QQQ")
CREDENTIALS = struct.Struct("=iii")
"""Process, user and group at the other end (unix(7))."""
NOTHING_HELD = (0, 0)
FIRST_AGENT_WITHIN = 10_000
"""Milliseconds in which the agent that started the guard is heard; it has connected before."""
GONE_WITHIN = 1000
"""Milliseconds that an agent which was killed is waited for."""

Lease = tuple[int, int]


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def say(text: str) -> None:
    os.write(2, f"{time.strftime('%Y-%m-%d %H:%M:%S')} guard: {text}\n".encode())


def sweep(home: str) -> None:
    """Run the sweeps that are registered, in a process of its own: they load resource DLLs."""
    folder = os.path.join(home, "sweep")
    if os.path.isdir(folder) and os.listdir(folder):
        import subprocess  # not before it is needed

        with suppress(subprocess.TimeoutExpired):
            subprocess.run([sys.executable, "-m", "monitoring.node.sweep", home], timeout=30, check=False)


def finish(home: str) -> bool:
    """Nothing may stay. Looked at twice, for what was just being started. True where nothing does."""
    say("ending all resources")
    clean = marks.end_marked(home)
    time.sleep(0.02)
    clean = marks.end_marked(home) and clean
    sweep(home)
    say("done" if clean else "some processes cannot be killed")
    return clean


class Agent:
    """The agent at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        pid, self.uid, _ = struct.unpack(
            "=iii", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        )
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError:
            self.pidfd = -1  # it is dead; what it said before is still to be read

    def newest(self, lease: Lease) -> tuple[Lease, bool]:
        """Read all that was sent: the last lease, and whether the agent still lives.

        The connection is at its end once the process is: a pid that has a new owner
        by now is not taken for it.
        """
        try:
            while data := self.connection.recv(MESSAGE.size):
                lease = MESSAGE.unpack(data)
        except BlockingIOError:
            return lease, self.pidfd >= 0
        except ConnectionResetError:
            pass
        return lease, False

    def has_ended(self) -> bool:
        """True for a dead process, whose connection a child of it may still hold for a moment."""
        ended = select.poll()
        ended.register(self.pidfd, select.POLLIN)
        return bool(ended.poll(0))

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        self.connection.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


class Guard:
    """Waits for what agents say, and for the end of the lease."""

    def __init__(self, home: str, listening: socket.socket) -> None:
        self._home = home
        self._listening = listening
        self._listening.setblocking(False)
        self._poll = select.poll()
        self._poll.register(listening, select.POLLIN)
        self._agent: Agent | None = None
        self._lease: Lease = NOTHING_HELD
        self._watchdog = Watchdog.from_environment(home, boottime_ns, say)

    def watch(self) -> None:
        """Return once nothing is held any more, and nobody is there to hold it."""
        self._wait(FIRST_AGENT_WITHIN)
        while self._agent is not None or self._lease[0]:
            left = (self._lease[0] - boottime_ns()) // 1_000_000 + 1 if self._lease[0] else None
            if left is None or left > 0:
                self._watchdog.feed()  # the lease is held, or nothing is
                self._wait(self._watchdog.within(left))
            if self._lease[0] and boottime_ns() >= self._lease[0] and self._over():
                break
        self._listening.close()  # who comes from here on starts anew
        if finish(self._home):
            self._watchdog.release()  # else the machine is left to it

    def _wait(self, milliseconds: int | None) -> None:
        """Wait for an event or that long; hear what is said, and let in who comes."""
        self._poll.poll(milliseconds)
        self._hear()
        with suppress(BlockingIOError):
            while True:
                self._welcome(self._listening.accept()[0])

    def _welcome(self, connection: socket.socket) -> None:
        """One agent at a time: the next is let in once this one is gone."""
        agent = Agent(connection)
        if self._agent is not None and self._agent.has_ended():
            self._part()
        if self._agent is not None or agent.uid != os.getuid():
            agent.close()
            return
        with suppress(OSError):
            connection.send(HELLO.pack(*self._lease, os.getpid()))
        self._agent = agent
        self._poll.register(connection, select.POLLIN)
        self._hear()

    def _hear(self) -> None:
        if self._agent is None:
            return
        self._lease, alive = self._agent.newest(self._lease)
        if not alive:
            self._part()

    def _part(self) -> None:
        """The agent is gone."""
        assert self._agent is not None
        kept = "what it ran is kept until its lease is over" if self._lease[0] else "it held nothing"
        say(f"the agent is gone: {kept}")
        self._poll.unregister(self._agent.connection)
        self._agent.close()
        self._agent = None

    def _over(self) -> bool:
        """The lease is over. True where the guard has to finish what the agent does not."""
        say("the lease is over: ending all resources")
        if self._agent is None:
            return True
        lease = self._lease
        marks.end_marked(self._home, spared=(marks.NO_RESOURCE,))
        self._wait(lease[1] // 1_000_000)
        if self._agent is not None and self._lease == lease:
            say("the agent does not end its part: it is killed")
            self._agent.kill()
            self._wait(GONE_WITHIN)
            return True
        return self._agent is None


def main() -> None:
    home = sys.argv[1]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when its work is done, and only so
    lock = os.open(os.path.join(home, "guard.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    Guard(home, socket.socket(fileno=0)).watch()


if __name__ == "__main__":
    main()
