"""The agent's side of the guard: finds or starts one, sends it each new lease, replaces it if it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monitoring.node.guard import HELLO, MESSAGE, NOTHING_HELD, Lease
from monitoring.node.processes import inherited, open_log

logger = logging.getLogger(__name__)

PATIENCE = 0.6
"""Part of the margin that the agent has, past its lease, to end its resources, before it is killed."""
RESTART_EVERY = 1.0
"""Seconds between two starts of a guard that keeps dying, at least."""
HELLO_WITHIN = 1.0
"""Seconds that the guard of an earlier agent has to say what it holds."""


@dataclass(frozen=True, slots=True)
class Found:
    """The guard of an earlier agent, which still holds that one's lease."""

    connection: socket.socket
    pid: int
    lease: Lease

    @property
    def ends(self) -> float:
        """End of the lease in seconds of the boot clock; 0.0 where nothing is held."""
        return self.lease[0] / 1e9

    def dismiss(self) -> None:
        """Nobody will take over what it keeps: it ends everything now, and leaves."""
        with self.connection, suppress(OSError):
            self.connection.send(MESSAGE.pack(*NOTHING_HELD))


def find(home: Path) -> Found | None:
    """The guard of an earlier agent, None where there is none that speaks. Blocking, for a second at most."""
    connection = _new_socket()
    connection.settimeout(HELLO_WITHIN)
    try:
        with _Folder(home) as folder:
            connection.connect(f"{folder}/guard.sock")
        hello = connection.recv(HELLO.size)
        if len(hello) == HELLO.size:
            ends, patience, pid = HELLO.unpack(hello)
            return Found(connection, pid, (ends, patience))
    except TimeoutError:
        logger.error("the guard of an earlier agent does not speak: it is killed")
        _kill_guard(home)
    except OSError:
        pass  # there is none, or it is just finishing
    connection.close()
    return None


def _kill_guard(home: Path) -> None:
    """Kill the guard that holds the lock of the home: it is alive, so the pid in there is its own."""
    with suppress(OSError, ValueError):
        os.kill(int((home / "guard.lock").read_text()), signal.SIGKILL)


class GuardKeeper:
    """Keeps one guard running. All methods are called on the loop."""

    def __init__(self, home: Path, loop: asyncio.AbstractEventLoop, found: Found | None = None) -> None:
        self._home = home
        self._loop = loop
        self._found = found
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._pid = 0
        self._started_at = 0.0
        self._lease = found.lease if found is not None else NOTHING_HELD

    def start(self) -> None:
        """Go on with the guard that was found, or start one; where the machine cannot now, try again."""
        self._started_at = self._loop.time()
        found, self._found = self._found, None
        if found is not None:
            self._pid = found.pid
            self._listen_to(found.connection)
            return
        try:
            self._start()
        except OSError as error:
            logger.error("the guard could not be started, it is tried again: %s", error)
            self._loop.call_later(RESTART_EVERY, self.start)

    def _start(self) -> None:
        with _new_socket() as listening, open_log(self._home / "guard.log") as log:
            connection = _new_socket()
            try:
                with _Folder(self._home) as folder:
                    (self._home / "guard.sock").unlink(missing_ok=True)
                    listening.bind(f"{folder}/guard.sock")
                    listening.listen()
                    connection.connect(f"{folder}/guard.sock")
                self._process = subprocess.Popen(
                    [sys.executable, "-S", "-m", "monitoring.node.guard", str(self._home)],
                    env={**inherited(), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                    stdin=listening.fileno(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError:
                connection.close()
                raise
        self._pid = self._process.pid
        self._listen_to(connection)
        self._tell()

    def _listen_to(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._loop.add_reader(connection, self._heard)

    def renew(self, ends: float, margin: float) -> None:
        """The lease ends at `ends`, seconds of the boot clock; others may start `margin` seconds later."""
        self._lease = (int(ends * 1e9), int(margin * PATIENCE * 1e9))
        self._tell()

    def nothing_held(self) -> None:
        """The lease is over, and nothing runs any more."""
        self._lease = NOTHING_HELD
        self._tell()

    def _tell(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.send(MESSAGE.pack(*self._lease))
        except BlockingIOError:
            logger.error("the guard does not read: it is replaced")
            os.kill(self._pid, signal.SIGKILL)  # it is alive: else the connection would be at its end
        except OSError:
            pass  # it has died, and will be replaced

    def _heard(self) -> None:
        """The guard says hello, or its end of the connection is closed: it has died."""
        assert self._connection is not None
        try:
            if self._connection.recv(HELLO.size):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._loop.remove_reader(self._connection)
        self._connection.close()
        self._connection = None
        process, self._process = self._process, None
        how = f" with {process.wait()}" if process is not None else ""
        logger.error("the guard ended%s: a new one is started", how)
        self._loop.call_at(max(self._loop.time(), self._started_at + RESTART_EVERY), self.start)


class _Folder:
    """A short path to a folder: that of a socket may have 107 characters only (unix(7))."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
