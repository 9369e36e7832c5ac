"""The watchdog of the machine, as the guard holds it: it resets the machine unless it is fed.

CLUSTERWEB_WATCHDOG names the device, such as /dev/watchdog; without it nothing is held. The
guard feeds it while the lease is held, or nothing is: a machine that hangs, or whose resources
cannot be ended, is reset once the watchdog's timeout has passed after the end of the lease. On
that the cluster service relies, so that what the guard says of its timeout (HOME/watchdog, in
milliseconds) is what the driver has said, and nothing where the driver says nothing.

Source: Documentation/watchdog/watchdog-api.rst of Linux.
"""

# The guard is to stay small: no pathlib
# ruff: noqa: PTH105, PTH108, PTH118, PTH123

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress

DEVICE = "CLUSTERWEB_WATCHDOG"
SECONDS = "CLUSTERWEB_WATCHDOG_S"
DEFAULT_SECONDS = 10
NOTE = "watchdog"

SET_TIMEOUT = 0xC0045706
GET_TIMEOUT = 0x80045707
FOOD, FAREWELL = b"\0", b"V"


class Watchdog:
    """One device, from its opening to its release. Without a device every method does nothing."""

    def __init__(
        self, home: str, device: str, seconds: int, now_ns: Callable[[], int], say: Callable[[str], None]
    ) -> None:
        self._note = os.path.join(home, NOTE)
        self._now_ns, self._say = now_ns, say
        self._fd = -1
        self._every_ns = 0
        self._next_ns = 0
        with suppress(FileNotFoundError):
            os.unlink(self._note)
        if device:
            self._open(device, seconds)

    @classmethod
    def from_environment(cls, home: str, now_ns: Callable[[], int], say: Callable[[str], None]) -> Watchdog:
        """The watchdog that the node's settings name."""
        text = os.environ.get(SECONDS, "")
        seconds = int(text) if text.isascii() and text.isdigit() and int(text) else DEFAULT_SECONDS
        return cls(home, os.environ.get(DEVICE, ""), seconds, now_ns, say)

    def _open(self, device: str, seconds: int) -> None:
        try:
            self._fd = os.open(device, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._say(f"the watchdog {device} cannot be held: {error.strerror}")
            return
        told = self._agree(seconds)
        self._every_ns = (told or seconds) * 1_000_000_000 // 4
        self.feed()
        if told is None:
            self._say(f"{device} does not tell its timeout: it is fed, and nobody relies on it")
            return
        with open(f"{self._note}.new", "w") as note:
            note.write(str(told * 1000))
        os.replace(f"{self._note}.new", self._note)
        self._say(f"the watchdog {device} resets this machine {told} s after it was last fed")

    def _agree(self, seconds: int) -> int | None:
        """Ask the driver for a timeout; what it really is, None where it does not say."""
        with suppress(OSError):
            fcntl.ioctl(self._fd, SET_TIMEOUT, struct.pack("=i", seconds))
        try:
            answer: bytes = fcntl.ioctl(self._fd, GET_TIMEOUT, struct.pack("=i", 0))
        except OSError:
            return None
        told: int = struct.unpack("=i", answer)[0]
        return told if told > 0 else None

    def feed(self) -> None:
        """Feed it, where that is due."""
        now = self._now_ns()
        if self._fd < 0 or now < self._next_ns:
            return
        try:
            os.write(self._fd, FOOD)
            self._next_ns = now + self._every_ns
        except OSError as error:  # it is tried again at once: time is short
            self._say(f"the watchdog cannot be fed: {error.strerror}")
            self._next_ns = now + self._every_ns // 4

    def within(self, milliseconds: int | None) -> int | None:
        """`milliseconds` (None: any time), cut short so that it is fed in time."""
        if self._fd < 0:
            return milliseconds
        left = max(0, (self._next_ns - self._now_ns()) // 1_000_000 + 1)
        return left if milliseconds is None else min(left, milliseconds)

    def release(self) -> None:
        """Nothing runs any more: the machine need not be reset. Not where the driver forbids that."""
        if self._fd < 0:
            return
        with suppress(FileNotFoundError):
            os.unlink(self._note)
        with suppress(OSError):
            os.write(self._fd, FAREWELL)
        os.close(self._fd)
        self._fd = -1


def held_ms(home: str) -> int:
    """Timeout of the watchdog that the guard of this node holds, as the driver said it; 0 for none."""
    try:
        with open(os.path.join(home, NOTE)) as note:
            return int(note.read(12) or 0)
    except (OSError, ValueError):
        return 0
