"""Where a service runs and for whom, and the life that all services share.

`run` brings a service up, tells the resource DLL on its pipe, keeps the journal, and ends it
on SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from monitoring.resource_dlls.exchange.services.late_reactor import reactor

READY = "ready"


@dataclass(frozen=True, slots=True)
class Place:
    """Made by base.ExchangeService.place; `names` is the directory of network names, or empty."""

    service: str
    address: str
    name: str
    names: str
    disk: str
    node: str
    epoch: int

    @property
    def folder(self) -> Path:
        """Where the services of the virtual server keep what they tell each other."""
        return Path(self.disk) / "exchange"

    def journal(self, event: str, **details: Any) -> None:
        """Append a line to <disk>/journal/SERVICE-NODE.jsonl: who served what, when and under which epoch.

        Written whatever the epoch: it is how one finds out afterwards whether two served at once.
        The file is opened each time, so that it can be set aside by another process.
        """
        line = {
            "at": time.time(),
            "monotonic": time.monotonic(),
            "pid": os.getpid(),
            "service": self.service,
            "node": self.node,
            "epoch": self.epoch,
            "event": event,
            **details,
        }
        path = Path(self.disk) / "journal" / f"{self.service}-{self.node}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def run(place: Mapping[str, Any], ready: str, start: Callable[[Place], None]) -> None:
    """Call `start`, which begins to listen; say on the pipe `ready` how that went; serve until SIGTERM."""
    here = Place(**place)
    _log_warnings()
    pipe = os.open(ready, os.O_WRONLY | os.O_NONBLOCK)
    try:
        start(here)
    except Exception as error:
        os.write(pipe, f"{type(error).__name__}: {error}".encode()[:4000])
        raise
    here.journal("start")
    reactor.callWhenRunning(_tell_ready, pipe)
    reactor.run()
    here.journal("stop")


def _tell_ready(pipe: int) -> None:
    with suppress(BrokenPipeError):  # whoever started this does not wait any more
        os.write(pipe, READY.encode())
    os.close(pipe)


def _log_warnings() -> None:
    """Twisted's warnings and errors go to standard error, its chatter nowhere."""
    everything: Any = textFileLogObserver(sys.stderr)  # Twisted declares its interfaces at run time
    warnings: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    observer: Any = FilteringLogObserver(everything, [warnings])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
