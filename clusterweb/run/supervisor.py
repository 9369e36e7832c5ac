"""Start a whole cluster, watch over it, stop it; one sentence on the terminal for each step."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from clusterweb.run import leftovers, processes
from clusterweb.run.broker import Broker, check_reachable
from clusterweb.run.child import AT_ONCE, FIRST_DELAY, Child
from clusterweb.run.config import BASE_DIR, Config, StartError
from clusterweb.run.home import Home

READY_WITHIN = 60.0
"""Seconds that a process may take until it answers."""
AGENT_GRACE = 75.0
"""Seconds that an agent may take to stop: a little more than it gives its resources."""
GRACE = 10.0
LOG_CHECK = 60.0


class Supervisor:
    """The processes of one home. `say` prints a line for the operator."""

    def __init__(self, config: Config, say: Callable[[str], None] = print) -> None:
        self.config = config
        self.home = Home(config.home)
        self._say = say
        self._started = time.monotonic()
        self._children: dict[str, Child] = {}
        self._bring_up: asyncio.subprocess.Process | None = None
        self._logins: list[str] = []
        self._stop = asyncio.Event()
        self._force = asyncio.Event()

    async def run(self) -> None:
        """Start everything, and return when it was stopped. Raises StartError where it cannot start."""
        self.home.acquire()
        self._check_port()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        for command in await leftovers.end(self.home.path, grace=0):
            self._say(f"  ended a process that an earlier run left behind: {command[:80]}")
        try:
            work = asyncio.create_task(self._start_and_watch())
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            await asyncio.gather(work, return_exceptions=self._stop.is_set())
        finally:
            await self._stop_all()

    def _check_port(self) -> None:
        """Refuse a port that is taken, before anything is started."""
        family = socket.AF_INET6 if ":" in self.config.bind else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.config.bind, self.config.port))
            except OSError as error:
                raise StartError(
                    f"port {self.config.port} of {self.config.bind} cannot be used ({error.strerror}); "
                    "choose another: CLUSTERWEB_PORT=8001 make run"
                ) from None

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._force.set()
        self._stop.set()

    # Start

    async def _start_and_watch(self) -> None:
        self._say(f"ClusterWeb in {self.home.path}")
        redis_url = self.config.redis_url
        broker = None if redis_url else Broker(self.home)
        env = processes.environment(self.config, broker.url if broker else redis_url)
        if broker:
            await self._start(processes.BROKER, broker.argv, env)
            ready: Awaitable[None] = self._ready(processes.BROKER, broker.answers)
        else:
            await check_reachable(redis_url)
            self.home.write(self.home.broker_url, redis_url)
            ready = asyncio.sleep(0)
        progress, _ = await asyncio.gather(self._prepare(env), ready)
        await self._start(processes.WEB, processes.web(self.config), env)
        await self._start(processes.SERVICE, processes.service(), env)
        for node in self.home.local_nodes():
            agent_env = processes.agent_environment(env, node, self.home, self.config)
            await self._start(f"agent-{node}", processes.agent(), agent_env, AT_ONCE)
        await self._ready(processes.WEB, self._web_answers)
        self._say(f"\n  Dashboard: {self.config.url}/")
        if self._logins:
            self._say("\n".join(self._logins))
            self._say("  These passwords are shown once; ./manage.py changepassword NAME sets another,")
            self._say("  those for mail are set on the Information Stores.")
        self._say("")
        await self._tell_groups(progress)
        while True:
            await asyncio.sleep(LOG_CHECK)
            for child in self._children.values():
                child.cap_log()

    async def _start(
        self, name: str, argv: list[str], env: dict[str, str], first_delay: float = FIRST_DELAY
    ) -> None:
        def tell(sentence: str) -> None:
            self._say(f"  {name} {sentence}")

        child = self._children[name] = Child(name, argv, env, self.home, tell, first_delay)
        await child.start()

    async def _ready(self, name: str, answers: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a process answers; StartError with its last words where it does not."""
        child = self._children[name]
        deadline = time.monotonic() + READY_WITHIN
        while not await answers():
            if time.monotonic() > deadline or child.restarts > 2:
                raise StartError(f"{name} does not start: {child.last_words()} (see {child.log})")
            await asyncio.sleep(0.05)
        self._step(name, "answers")

    async def _web_answers(self) -> bool:
        """True once the dashboard has answered a request."""
        try:
            reader, writer = await asyncio.open_connection(self.config.host, self.config.port)
        except OSError:
            return False
        try:
            writer.write(b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return (await reader.readline()).startswith(b"HTTP/")
        except OSError:
            return False
        finally:
            writer.close()

    async def _prepare(self, env: dict[str, str]) -> asyncio.StreamReader:
        """Make the database ready. Returns what tells of the groups from then on."""
        log = self.home.logs / "bring-up.log"
        with log.open("wb") as errors:
            self._bring_up = await asyncio.create_subprocess_exec(
                *processes.bring_up(),
                cwd=BASE_DIR,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._bring_up.stdout is not None
        while news := await _read_news(self._bring_up.stdout):
            if login := news.get("login"):
                self._logins.append("  {role:<14} {name:<9} password {password}".format(**login))
            if "ready" in news:
                self._step("database", news["ready"])
                return self._bring_up.stdout
        code = await self._bring_up.wait()
        words = log.read_text(errors="replace").strip().splitlines() or [f"exit code {code}"]
        raise StartError(f"the database cannot be prepared: {words[-1]} (see {log})")

    async def _tell_groups(self, progress: asyncio.StreamReader) -> None:
        """Say how the groups come up, until all have, or it takes too long to wait for."""
        while news := await _read_news(progress):
            self._step(news["group"], news["state"])
        self._say("\n  Ctrl-C stops everything.")

    def _step(self, what: str, state: str) -> None:
        self._say(f"  {time.monotonic() - self._started:5.1f} s  {what:<10} {state}")

    # Stop

    async def _stop_all(self) -> None:
        """Stop all, and leave nothing running. A second signal kills instead."""
        if self._children:
            self._say("\nStopping")
        orderly = asyncio.create_task(self._stop_in_order())
        forced = asyncio.create_task(self._force.wait())
        await asyncio.wait((orderly, forced), return_when=asyncio.FIRST_COMPLETED)
        if not orderly.done():
            self._say("  forced: everything is killed")
            for child in self._children.values():
                child.send(signal.SIGKILL)
        await orderly
        forced.cancel()
        for command in await leftovers.end(self.home.path, grace=0 if self._force.is_set() else 1.0):
            self._say(f"  ended what was still running: {command[:80]}")
        if self._children:
            self._say("Stopped")

    async def _stop_in_order(self) -> None:
        """First those who decide: a stop of the whole cluster is no failure of a node.

        So every group keeps its owner and its wanted state, and the next start resumes them.
        Then the agents, which take their resources offline in order; the broker last.
        """
        if self._bring_up and self._bring_up.returncode is None:
            self._bring_up.terminate()
        agents = [name for name in self._children if name.startswith("agent-")]
        for names, grace in (
            ([processes.SERVICE, processes.WEB], GRACE),
            (agents, AGENT_GRACE),
            ([processes.BROKER], GRACE),
        ):
            running = [self._children[name] for name in names if name in self._children]
            await asyncio.gather(*(child.stop(grace) for child in running))


async def _read_news(stream: asyncio.StreamReader) -> dict[str, Any]:
    """The next line of JSON; empty at the end."""
    line = await stream.readline()
    return dict(json.loads(line)) if line else {}
