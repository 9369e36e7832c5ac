"""2,000 IsAlive calls a second in one agent's monitor, and the same calls in a bare asyncio loop.

The call is a real one: connect to a port and read the greeting. The server that greets is a
process of its own, so that only the side that asks is measured. The third side has plain methods
that block for a millisecond: what do threads cost?
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.figures import Figure, run
from monitoring.core.messages import Assignment, ResourceSpec
from monitoring.node.context import Host
from monitoring.node.monitor import Monitor
from monitoring.node.outbox import Outbox
from monitoring.node.processes import Processes
from monitoring.node.record import Record
from monitoring.node.services import Services
from monitoring.node.sweep import SweepNotes
from monitoring.resource_dlls.api import ResourceDLL

RESOURCES = 2000
GROUPS = 100
INTERVAL = 1.0
WARM_UP = 4.0
WATCH = 10.0
HOST = "127.0.0.1"

GREETER = f"""
import asyncio, socket
async def greet(reader, writer):
    writer.write(b"220 ready\\r\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(greet, "{HOST}", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Counter:
    """Counts the calls, and remembers the port that they go to."""

    calls = 0
    port = 0


async def greeting() -> bool:
    """The call that is measured."""
    reader, writer = await asyncio.open_connection(HOST, Counter.port)
    try:
        line = await reader.readline()
    finally:
        writer.close()
    Counter.calls += 1
    return line.startswith(b"220 ")


class Greeted(ResourceDLL):
    """A resource that is alive while its port greets."""

    type_name = "Greeted"
    polls_looks_alive = False

    async def online(self) -> None:
        pass

    async def terminate(self) -> None:
        pass

    async def is_alive(self) -> bool:
        return await greeting()


class Blocking(Greeted):
    """The same with plain methods, which run on threads."""

    def online(self) -> None:  # type: ignore[override]
        pass

    def is_alive(self) -> bool:  # type: ignore[override]
        Counter.calls += 1
        time.sleep(0.001)
        return True


async def _watch() -> dict[str, float]:
    """Calls and processor seconds, once all are in their rhythm."""
    await asyncio.sleep(WARM_UP)
    calls, used, began = Counter.calls, time.process_time(), time.monotonic()
    await asyncio.sleep(WATCH)
    seconds = time.monotonic() - began
    return {
        "rate": (Counter.calls - calls) / seconds,
        "cores": (time.process_time() - used) / seconds,
        "threads": threading.active_count(),
    }


async def in_an_agent_with_threads() -> dict[str, float]:
    return await in_an_agent(Blocking)


async def in_an_agent(dll: type[ResourceDLL] = Greeted) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="clusterweb-bench-") as name:
        home = Path(name)
        record = Record(home / "record")
        record.begin(1, 0.0)
        processes = Processes(home, loop, record, lambda child: None)
        host = Host(
            node="NODE1",
            home=home,
            loop=loop,
            types={Greeted.type_name: dll},
            processes=processes,
            services=Services(home, processes, loop, ()),
            sweeps=SweepNotes(home),
            may_start=lambda: True,
            record=record,
            log=lambda resource, level, text, code, output="": None,
        )
        outbox = Outbox(1, lambda changes: monitor.compose(changes))
        monitor = Monitor(host, outbox, lambda: None)
        for group in range(1, GROUPS + 1):
            monitor.assign(_assignment(group))
        measured = await _watch()
        await monitor.stop(30)
    return measured


def _assignment(group: int) -> Assignment:
    size = RESOURCES // GROUPS
    first = (group - 1) * size + 1
    return Assignment(
        group=group,
        group_name=f"GROUP{group}",
        epoch=1,
        incarnation=1,
        serial=1,
        resources=tuple(
            ResourceSpec(
                id=number,
                name=f"resource {number}",
                type=Greeted.type_name,
                properties={},
                requires=(),
                want_online=True,
                attempt=1,
                looks_alive_ms=5000,
                is_alive_ms=round(INTERVAL * 1000),
                pending_timeout_ms=180_000,
                deadlock_timeout_ms=300_000,
            )
            for number in range(first, first + size)
        ),
    )


async def in_a_bare_loop() -> dict[str, float]:
    async def poll(phase: float) -> None:
        await asyncio.sleep(phase)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            assert await greeting()
            due += INTERVAL
            await asyncio.sleep(due - loop.time())

    tasks = [asyncio.create_task(poll(number / RESOURCES * INTERVAL)) for number in range(RESOURCES)]
    measured = await _watch()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return measured


SIDES: dict[str, Callable[[], Awaitable[dict[str, float]]]] = {
    "agent": in_an_agent,
    "bare": in_a_bare_loop,
    "threads": in_an_agent_with_threads,
}


def _side(name: str) -> dict[str, float]:
    """Measure one side in a process of its own, against a greeter of its own."""
    with subprocess.Popen([sys.executable, "-c", GREETER], stdout=subprocess.PIPE, text=True) as greeter:
        assert greeter.stdout is not None
        port = greeter.stdout.readline().strip()
        try:
            command = [sys.executable, "-m", "benchmarks.probes", name, port]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
        finally:
            greeter.terminate()
    return dict(json.loads(done.stdout))


def measure() -> list[Figure]:
    agent, bare, plain = _side("agent"), _side("bare"), _side("threads")
    return [
        Figure("probes in one agent", agent["rate"], "/s"),
        Figure("  processor", agent["cores"], "cores", None, f"bare loop {bare['cores']:.3g} cores"),
        Figure("the same calls in a bare asyncio loop", bare["rate"], "/s"),
        Figure("  processor, agent to bare loop", agent["cores"] / bare["cores"], "times"),
        Figure("probes on threads in one agent", plain["rate"], "/s"),
        Figure("  processor", plain["cores"], "cores"),
        Figure("  threads for 2,000 resources", plain["threads"], ""),
    ]


async def _main(name: str) -> None:
    print(json.dumps(await SIDES[name]()))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        Counter.port = int(sys.argv[2])
        asyncio.run(_main(sys.argv[1]))
    else:
        run(measure)
