"""The System Attendant: keeps house on the group's disk, and says how much room is left there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.task import LoopingCall

from monitoring.resource_dlls.exchange.services import calls
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.place import Place, run
from monitoring.resource_dlls.physical_disk import fence

ROUND_S = 300.0
LEAST_FREE = 16 * 1024 * 1024
"""Bytes below which the disk counts as full, before the store finds out by losing a write."""


class DiskFullError(Exception):
    """The group's disk has less room than the services need."""


def serve(place: Mapping[str, Any], port: int, journal_limit: int, ready: str) -> None:
    def start(here: Place) -> None:
        house = HouseKeeping(here, journal_limit)
        calls.listen(here, port, house.check)
        # The reactor is not running yet: the first round is made when it does
        reactor.callWhenRunning(LoopingCall(house.round).start, ROUND_S)

    run(place, ready, start)


class HouseKeeping:
    """Sets grown journals aside, and watches the room on the disk."""

    def __init__(self, place: Place, journal_limit: int) -> None:
        self._place = place
        self._journal_limit = journal_limit

    def check(self) -> None:
        fence.check(self._place.disk, self._place.epoch)
        free = shutil.disk_usage(self._place.disk).free
        if free < LEAST_FREE:
            raise DiskFullError(f"{self._place.disk} has {free >> 20} MiB left")

    def round(self) -> None:
        for journal in (Path(self._place.disk) / "journal").glob("*.jsonl"):
            if journal.stat().st_size > self._journal_limit:
                journal.replace(journal.with_suffix(".old"))
