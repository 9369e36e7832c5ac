"""The process from which the suite's agents are forked, and what they do: bring a resource online, and stay.

    python -m monitoring.conformance.agents

Standard input: one JSON line an agent, {"home", "subject"}. Standard output: one line an agent,
{"pid", "problem", "since"}, once its resource is online, or cannot be; `since` when, in clock
ticks after boot. When standard input ends, all that is left of them is ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from monitoring.conformance.bench import Bench
from monitoring.conformance.report import Failure
from monitoring.conformance.subject import InputError, Subject
from monitoring.node import marks


def main() -> None:
    children: list[tuple[int, str]] = []
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            _be_agent(Path(order["home"]), order["subject"])
        children.append((pid, order["home"]))
    for pid, home in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        marks.end_marked(home)


def _be_agent(home: Path, message: Sequence[Sequence[Any]]) -> None:
    """In the child: does not return."""
    try:
        asyncio.run(_bring_online(home, message))
    finally:
        os._exit(1)


async def _bring_online(home: Path, message: Sequence[Sequence[Any]]) -> None:
    problem, since = "", 0
    try:
        bench = Bench(home, Subject.from_message(message))
        await bench.start()
        await bench.online()
        since = bench.online_at
    except (Failure, InputError) as error:
        problem = str(error)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    os.write(1, (json.dumps({"pid": os.getpid(), "problem": problem, "since": since}) + "\n").encode())
    if not problem:
        await asyncio.Event().wait()
    threading.Event().wait()


if __name__ == "__main__":
    main()
