"""The warm parent: one process a node that has Python and its libraries loaded, and forks services.

    python -m monitoring.node.warm MODULE...

Standard input is a socket to the agent; each datagram is one JSON message. The parent says
{"ready"} once the modules are loaded. The agent asks {"id", "resource", "target", "kwargs",
"log"} and is answered {"id", "pid"} with a pidfd, or {"id", "error"}; {"pid", "returncode"}
tells how a service ended. Modules are loaded here, before the fork, so that all services
share their memory. When the agent is gone the parent leaves; its services are ended by the guard.
"""

# What is loaded here stays in the memory of every service:
# ruff: noqa: PTH123

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

from monitoring.node import marks

MESSAGE_LIMIT = 1 << 18


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    agent = socket.socket(fileno=os.dup(0))
    for module in sys.argv[1:]:
        try:
            importlib.import_module(module)
        except Exception:
            traceback.print_exc()  # a service that needs it will say so when it is asked for
    settle_memory()
    send(agent, {"ready": True})
    serve(agent)


def settle_memory() -> None:
    """Move what is loaded out of the collector's sight, so that it stays shared with the services."""
    gc.collect()
    gc.freeze()


def serve(agent: socket.socket) -> None:
    """Fork on request and tell of ends, until the agent hangs up."""
    selector = selectors.DefaultSelector()
    selector.register(agent, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is agent:
                request = agent.recv(MESSAGE_LIMIT)
                if not request:
                    return
                start(agent, selector, json.loads(request))
            else:
                selector.unregister(key.fileobj)
                tell_end(agent, key.fd, key.data)


def start(agent: socket.socket, selector: selectors.BaseSelector, request: dict[str, Any]) -> None:
    """Fork one service and answer with its pid."""
    module, _, function = request["target"].partition(":")
    try:
        if module not in sys.modules:
            importlib.import_module(module)
            settle_memory()
        target = getattr(sys.modules[module], function)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    except Exception as error:
        traceback.print_exc()
        send(agent, {"id": request["id"], "error": f"{request['target']}: {type(error).__name__}: {error}"})
        return
    marked, mark = os.pipe()
    pid = os.fork()
    if pid == 0:
        become(target, request, log, mark)
    os.close(log)
    os.close(mark)
    os.read(marked, 1)  # ends when the child carries its mark: from then on anybody can find it
    os.close(marked)
    pidfd = os.pidfd_open(pid)
    selector.register(pidfd, selectors.EVENT_READ, pid)
    socket.send_fds(agent, [json.dumps({"id": request["id"], "pid": pid}).encode()], [pidfd])


def tell_end(agent: socket.socket, pidfd: int, pid: int) -> None:
    """Reap a service that ended, and say how."""
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    send(agent, {"pid": pid, "returncode": os.waitstatus_to_exitcode(status)})


def send(agent: socket.socket, message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # the agent has gone; serve() will see it
        agent.send(json.dumps(message).encode())


def become(target: Any, request: dict[str, Any], log: int, mark: int) -> None:
    """In the child: turn into the service. Does not return."""
    code = 1
    try:
        os.setsid()
        write_mark(request["resource"])
        os.close(mark)
        os.environ.update(marks.environment(os.environ[marks.OWNER], request["resource"]))
        os.dup2(log, 1)
        os.dup2(log, 2)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.closerange(3, 1 << 16)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        name_process(request["target"])
        target(**request["kwargs"])
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def write_mark(resource: int) -> None:
    """Put the resource's id into this process's own initial environment, where /proc shows it.

    A forked process shows its parent's environment there, which is memory like any other:
    the parent's mark is overwritten in place with one of the same length.
    """
    prefix = f"{marks.RESOURCE}=".encode()
    with open("/proc/self/environ", "rb") as environ:
        at = environ.read().index(prefix) + len(prefix)
    with open("/proc/self/stat", "rb") as stat:
        env_start = int(stat.read().rpartition(b")")[2].split()[47])
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(env_start + at)
        memory.write(f"{resource:0{marks.WIDTH}d}".encode())


def name_process(target: str) -> None:
    """Let `ps` and `top` show the service's own name (15 characters)."""
    module, _, function = target.partition(":")
    with open("/proc/self/comm", "w") as comm:
        comm.write(f"{module.rpartition('.')[2]}:{function}"[:15])


if __name__ == "__main__":
    main()
