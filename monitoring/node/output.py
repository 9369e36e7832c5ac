"""What the processes of resources print: their newest lines, for the history and for whoever asks.

The lines lie in the resource's `output.log`, a ring of two files (see `Processes.trim_log`). They
are read on a thread, never on the loop, and never more than a message takes.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.core.messages import AGES, OUTPUT, said
from monitoring.node.calls import in_thread

LOOK_EVERY = 1.0
"""Seconds between two looks at the logs that are followed."""
FOLLOWED = 50
"""Logs that are followed at a time at most; the one that was asked for first gives way."""
LAST_WORDS_AFTER = 0.35
"""Seconds after a failure at which they are read: some take a way of their own into the log."""
LAST_LINES, LAST_CHARACTERS = 20, 2000
"""What of its output goes into the history with a failure."""

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.?)")
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\uffff\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log. `written_ms_ago`: age of its last line, None where there is none."""

    text: str = ""
    written_ms_ago: int | None = None
    cut: bool = False


def tail(log: Path, limit: int = OUTPUT, begin: int = 0) -> Tail:
    """The last whole lines of a log within `limit` bytes, not before byte `begin` where it is as long.

    A log that was just set aside is completed from there. Blocking.
    """
    data, cut, written = _end(log, limit, begin)
    if begin == 0 and not cut and len(data) < limit:
        older, cut, before = _end(log.with_suffix(".log.1"), limit - len(data), 0)
        data, written = older + data, max(written, before)
    text = plain(data.decode(errors="replace"))
    if cut and "\n" in text[:-1]:
        text = text[text.index("\n") + 1 :]
    if not text.strip():
        return Tail()
    return Tail(said(text[-limit:], limit), min(max(0, round((time.time() - written) * 1000)), AGES), cut)


def _end(path: Path, limit: int, begin: int) -> tuple[bytes, bool, float]:
    """The end of a file, whether there is more before it, and when it was written."""
    with suppress(OSError), path.open("rb") as file:
        about = os.fstat(file.fileno())
        start = begin if begin <= about.st_size else 0  # it was set aside meanwhile
        at = max(start, about.st_size - limit)
        file.seek(at)
        return file.read(limit), at > start, about.st_mtime
    return b"", False, 0.0


def plain(text: str) -> str:
    """Without what only a terminal understands."""
    return _UNPRINTABLE.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def last_words(log: Path, begin: int) -> str:
    """The last lines since byte `begin`, for the history. Blocking."""
    lines = tail(log, LAST_CHARACTERS, begin).text.rstrip().splitlines()
    return "\n".join(lines[-LAST_LINES:])


def size(log: Path) -> int:
    """How long the log is now."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


@dataclass(slots=True)
class _Followed:
    log: Path
    until: float
    seen: tuple[int, int] | None = None


class Follower:
    """Tells the end of logs, and again while they grow. All methods are called on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[int, Tail], None]) -> None:
        self._loop = loop
        self._tell = tell
        self._followed: dict[int, _Followed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_looking = False

    def follow(self, resource: int, log: Path, seconds: float) -> None:
        """Tell the end of the log now, and for `seconds` whenever something was added."""
        before = self._followed.pop(resource, None)
        until = max(self._loop.time() + seconds, before.until if before is not None else 0.0)
        self._followed[resource] = _Followed(log, until)
        while len(self._followed) > FOLLOWED:
            del self._followed[next(iter(self._followed))]
        self._begin(self._look_at([resource]))
        if not self._is_looking:
            self._is_looking = True
            self._begin(self._look())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        while self._followed:
            await asyncio.sleep(LOOK_EVERY)
            await self._look_at(list(self._followed))
        self._is_looking = False

    async def _look_at(self, resources: Sequence[int]) -> None:
        """Tell what is new of these, and let go whose time is over. One thread for all of them."""
        looked = {resource: self._followed[resource] for resource in resources if resource in self._followed}
        found = await in_thread(lambda: [(resource, _news(one)) for resource, one in looked.items()])
        for resource, news in found:
            if news is not None:
                self._tell(resource, news)
            one = looked[resource]
            if self._loop.time() >= one.until and self._followed.get(resource) is one:
                del self._followed[resource]


def _news(followed: _Followed) -> Tail | None:
    """The end of the log where it is another than the last time. Blocking."""
    try:
        about = followed.log.stat()
        now = (about.st_size, about.st_mtime_ns)
    except OSError:
        now = (0, 0)
    if now == followed.seen:
        return None
    followed.seen = now
    return tail(followed.log)
