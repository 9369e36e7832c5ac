"""Find and end what belongs to a home and outlived its supervisor.

Every process that a supervisor starts, and all that those start, carry a mark in their
environment. On Linux the marked ones are found in /proc; elsewhere there is nothing to find
them by, and the agents' own means must do.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

MARK = "CLUSTERWEB_SUPERVISED"


def find(home: Path) -> dict[int, str]:
    """The processes that belong to `home` (pid: command), this one and zombies not counted."""
    mark = f"{MARK}={home}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(folder.name)] = command.strip()
        except OSError:
            continue  # ended meanwhile, or somebody else's
    found.pop(os.getpid(), None)
    return found


async def end(home: Path, grace: float) -> list[str]:
    """End them: SIGTERM, after `grace` seconds SIGKILL. Returns the commands that were found."""
    first = find(home)
    deadline = asyncio.get_running_loop().time() + grace
    if grace:
        _signal(first, signal.SIGTERM)
    left = first
    while left and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
        left = find(home)
    for _ in range(20):  # one that forks while it is being killed needs another round
        if not left:
            break
        _signal(left, signal.SIGKILL)
        await asyncio.sleep(0.05)
        left = find(home)
    return list(first.values())


def _signal(processes: dict[int, str], number: signal.Signals) -> None:
    for pid in processes:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass
