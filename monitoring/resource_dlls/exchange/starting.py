"""Starting a service process, and hearing from it that it serves, or why it cannot.

The service says so on a named pipe in the resource's state folder: no port is polled, and
the operator reads the service's own words ("Address already in use").
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import Context, Process, ResourceError

READY = "ready"
START_FAILED = 2065


async def start(context: Context, target: str, kwargs: Mapping[str, Any]) -> Process:
    """Start `target` and return once it serves. It is given the pipe as the argument `ready`.

    How long that may take is the monitor's business (PendingTimeout).
    """
    pipe = context.state_dir / READY
    reading = _make_pipe(pipe)
    try:
        process = await context.spawn_service_async(target, {**kwargs, "ready": str(pipe)})
        said = asyncio.ensure_future(_read(reading))
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({said, ended}, return_when=asyncio.FIRST_COMPLETED)
            answer = said.result() if said.done() else ""
        finally:
            said.cancel()
            ended.cancel()
    finally:
        os.close(reading)
        pipe.unlink(missing_ok=True)
    if answer != READY:
        raise ResourceError(
            answer or f"the service ended while starting; see {context.state_dir}", START_FAILED
        )
    return process


def _make_pipe(pipe: Path) -> int:
    """A named pipe, open for reading; what an earlier start left is replaced."""
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    return os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)


async def _read(reading: int) -> str:
    """What the service says, to the end; "" where it ended without a word."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    said = b""
    loop.add_reader(reading, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            with suppress(BlockingIOError):
                chunk = os.read(reading, 4096)
                if not chunk:
                    return said.decode("utf-8", "replace").strip()
                said += chunk
    finally:
        loop.remove_reader(reading)
