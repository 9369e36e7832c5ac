"""Real agents under test, and the one part that is not real: a cluster service that answers as told."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from clusterweb.run.broker import find_server
from monitoring.core.messages import (
    Assignment,
    Downward,
    GroupReport,
    Heartbeat,
    HeartbeatAck,
    LogEntry,
    Report,
    ResourceReport,
    ResourceSpec,
    Upward,
    open_up,
    read_envelope,
    seal,
)
from monitoring.core.states import ResourceState
from monitoring.node import marks

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "plugin"
"""An installed package, in form, which offers the test types by its entry points."""
NODE, KEY = "NODE1", "k" * 64


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Broker:
    """A Valkey of the tests' own, which can be stopped and started again, empty."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        argv = [
            find_server(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self.url)
        until(lambda: _answers(client), 10)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def clear(self) -> None:
        redis.Redis.from_url(self.url).flushall()


def _answers(client: Any) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} s: {what or condition}")


class FakeService:
    """Takes what a node says, over the broker and HTTP, and answers heartbeats while `answers` is set."""

    def __init__(self, broker_url: str, *, interval_ms: int = 100, lease_ms: int = 1500) -> None:
        self.interval_ms, self.lease_ms = interval_ms, lease_ms
        self.answers = True
        self.answers_http = True
        self.resend = False
        self.heard: list[tuple[float, Upward]] = []
        self.over_http = 0
        self.incarnation = 0
        self.states: dict[int, ResourceReport] = {}
        self._news = threading.Condition()
        self._client = redis.Redis.from_url(broker_url)
        self._app = Celery("fake", broker=broker_url, set_as_current=False, fixups=[])
        self._app.conf.broker_transport_options = {"global_keyprefix": "clusterweb."}
        self._sending = threading.Lock()
        self._closed = False
        self._web = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._web.server_address[1]}"
        self._threads = [
            threading.Thread(target=t, daemon=True)
            for t in (self._work, lambda: self._web.serve_forever(poll_interval=0.02))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(redis.ConnectionError):
            self._client.lpush("clusterweb.cluster", "nothing more")  # so that nobody waits for a message
        self._web.shutdown()
        self._threads[0].join(3)

    def _work(self) -> None:
        while not self._closed:
            try:
                item = self._client.brpop(["clusterweb.cluster"], timeout=1)
            except redis.ConnectionError:
                time.sleep(0.05)
                continue
            if item is None or self._closed:
                continue
            body = json.loads(base64.b64decode(json.loads(item[1])["body"]))
            answer = self._hear(body[0][0])
            if answer is not None and self.answers:
                self.send(answer)

    def _hear(self, envelope: object) -> HeartbeatAck | None:
        message = open_up(read_envelope(envelope), KEY)
        with self._news:
            self.heard.append((time.monotonic(), message))
            if isinstance(message, Report):
                for group in message.groups:
                    for report in group.resources:
                        known = self.states.get(report.resource)
                        if known is None or report.sequence > known.sequence:
                            self.states[report.resource] = report
            self._news.notify_all()
        if not isinstance(message, Heartbeat) or message.leaving:
            return None
        if self.incarnation != message.incarnation:
            self.incarnation = message.incarnation
            self.states.clear()
        resend, self.resend = self.resend, False
        return HeartbeatAck(
            message.incarnation, message.number, self.interval_ms, self.lease_ms, 1000, resend=resend
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if not service.answers_http or self.path != "/node/messages":
                    self.send_error(503)
                    return
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answers = [a for e in body["messages"] if (a := service._hear(e)) is not None]
                service.over_http += 1
                text = json.dumps({"messages": [seal(NODE, a, KEY) for a in answers]}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: object) -> None: ...

        return Handler

    # To the node

    def send(self, message: Downward, key: str = KEY) -> None:
        with self._sending, contextlib.suppress(Exception):
            self._app.send_task(
                "node.command",
                args=[seal(NODE, message, key)],
                queue=f"node.{NODE}",
                retry=False,
                ignore_result=True,
            )

    def assign(self, *resources: ResourceSpec, epoch: int = 1, serial: int = 1, group: int = 1) -> None:
        self.send(Assignment(self.incarnation, group, f"GROUP{group}", epoch, serial, resources))

    # From the node

    def wait(self, condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
        """Wait for a message after which `condition` is true."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not (result := condition()):
                if not self._news.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"not within {seconds} s: {what}; states {self.states}")
            return result

    def grant(self, lease_ms: int) -> None:
        """Leases are this long from now on, and the agent that runs has one of them."""
        self.lease_ms = lease_ms
        count = len(self.heard)
        self.wait(lambda: len(self.heard) >= count + 5, 15, "heartbeats")

    def wait_joined(self) -> None:
        """The node is in a life that was answered."""
        self.wait(lambda: sum(isinstance(m, Heartbeat) for _, m in self.heard) >= 2, 15, "two heartbeats")

    def wait_state(self, resource: int, state: ResourceState, seconds: float = 10.0) -> ResourceReport:
        def reached() -> ResourceReport | None:
            report = self.states.get(resource)
            if report is None or report.state is not state:
                return None
            return report if state is ResourceState.ONLINE or not report.running else None

        found: ResourceReport = self.wait(reached, seconds, f"resource {resource} {state.label}")
        return found

    def reports_of(self, resource: int) -> list[ResourceReport]:
        return [r for g in self.group_reports() for r in g.resources if r.resource == resource]

    def group_reports(self) -> list[GroupReport]:
        with self._news:
            return [g for _, m in self.heard if isinstance(m, Report) for g in m.groups]

    def logs(self) -> list[LogEntry]:
        with self._news:
            return [m for _, m in self.heard if isinstance(m, LogEntry)]


class AgentProcess:
    """One agent in a process of its own."""

    def __init__(self, home: Path, broker_url: str, service_url: str = "") -> None:
        self.home = home
        self.environ = {
            **os.environ,
            "CLUSTERWEB_NODE": NODE,
            "CLUSTERWEB_NODE_KEY": KEY,
            "CLUSTERWEB_NODE_HOME": str(home),
            "CLUSTERWEB_REDIS_URL": broker_url,
            "CLUSTERWEB_SERVICE_URL": service_url,
            "CLUSTERWEB_NODE_STOP_S": "5",
            "PYTHONPATH": str(PLUGIN),
        }
        self.start()

    def start(self) -> None:
        self.home.mkdir(exist_ok=True, parents=True)
        with (self.home / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitoring.node"],
                cwd=ROOT,
                env=self.environ,
                stderr=log,
                stdout=log,
            )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self) -> None:
        """Make sure that it is gone, stopped or not."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        """SIGKILL, and it is gone."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def guard(self) -> int | None:
        """Process id of the guard, None where there is none."""
        lock = self.home / "guard.lock"
        with contextlib.suppress(OSError), lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read_text() or 0) or None
        return None

    def running(self) -> dict[int, list[int]]:
        """Pids of the node's resources, by resource; the warm parent is 0."""
        found: dict[int, list[int]] = {}
        for marked in marks.scan(str(self.home)):
            found.setdefault(marked.resource, []).append(marked.pid)
        return found

    def log(self) -> str:
        return (self.home / "agent.log").read_text()


def spec(resource: int, type_name: str, switch: Path | None = None, **changes: Any) -> ResourceSpec:
    """A resource that is wanted online, with short intervals."""
    values: dict[str, Any] = {
        "id": resource,
        "name": f"R{resource}",
        "type": type_name,
        "properties": {} if switch is None else {"Switch": str(switch)},
        "requires": (),
        "want_online": True,
        "attempt": 1,
        "looks_alive_ms": 200,
        "is_alive_ms": 200,
        "pending_timeout_ms": 3000,
        "deadlock_timeout_ms": 3000,
    } | changes
    return ResourceSpec(**values)
