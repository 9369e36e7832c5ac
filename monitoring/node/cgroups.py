"""Control groups (cgroup v2): one for each resource, where the agent may make them.

What a resource starts stays in its group whatever it does: a daemon that wipes its environment, leaves
its session and its parent is still found, and the whole of it is ended at once. Where none can be
made (no cgroup v2, no right to it), the marks of `marks` do the work alone.

The node's group is made below that of the agent, and noted in HOME/cgroup for its guard and for
the next agent, which may run elsewhere. Groups that are empty are removed.

The guard loads this: it imports little.
"""

# ruff: noqa: PTH103, PTH105, PTH106, PTH110, PTH112, PTH116, PTH118, PTH123, PTH208

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress

MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where cgroup v2 is mounted: alone, or beside version 1."""
NOTE = "cgroup"
PROCESSES, KILL = "cgroup.procs", "cgroup.kill"
TRIES = 3
"""How often a group is made anew that somebody removes meanwhile, since it is empty."""


def mount() -> str:
    """Where cgroup v2 is mounted; "" where it is not."""
    for path in MOUNTS:
        if os.path.exists(os.path.join(path, "cgroup.controllers")):
            return path
    return ""


def _own() -> str:
    """The group that this process is in; "" where there is none."""
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("0::/") and (path := mount()):
                return os.path.join(path, line[4:].strip())
    return ""


def noted(home: str) -> str:
    """The node's group; "" where there is none now."""
    with suppress(OSError), open(os.path.join(home, NOTE), encoding="utf-8") as note:
        path = note.read().strip()
        if path and os.path.isdir(path):
            return path
    return ""


def choose(home: str) -> str:
    """The node's group for an agent that begins, noted for others; "" where it may make none.

    One in which something may run still stays the node's.
    """
    if path := noted(home):
        return path
    with suppress(OSError):
        if own := _own():
            about = os.stat(home)
            path = os.path.join(own, f"clusterweb-{about.st_dev:x}-{about.st_ino:x}")
            os.makedirs(path, exist_ok=True)
            usable = os.access(os.path.join(path, PROCESSES), os.W_OK) and os.path.exists(
                os.path.join(path, KILL)
            )
            if not usable:
                os.rmdir(path)
                return ""
            fresh = os.path.join(home, f"{NOTE}.new")
            with open(fresh, "w", encoding="utf-8") as note:
                note.write(path)
            os.replace(fresh, os.path.join(home, NOTE))
            return path
    return ""


def ready(group: str, resource: int) -> str:
    """Make the group of a resource; the file that a process enters it by, "" where that failed."""
    path = _of(group, resource)
    for _ in range(TRIES):
        with suppress(OSError):
            os.makedirs(path, exist_ok=True)
            return os.path.join(path, PROCESSES)
    return ""


def enter(file: str, pid: int = 0) -> None:
    """Put a process, this one for 0, into the group of that file; without effect where it cannot be."""
    with suppress(OSError), open(file, "w", encoding="ascii") as processes:
        processes.write(str(pid))


def members(group: str) -> Iterator[tuple[int, int]]:
    """(resource, process) of all that runs in the node's groups, and in groups that it made of its own."""
    for resource in resources(group):
        for folder in _folders(_of(group, resource)):
            with suppress(OSError), open(os.path.join(folder, PROCESSES), encoding="ascii") as lines:
                for line in lines:
                    if pid := int(line):
                        yield resource, pid


def _folders(path: str) -> list[str]:
    """The group, and all below it; most have none, which the count of links says at once."""
    with suppress(OSError):
        if os.stat(path).st_nlink <= 2:
            return [path]
    return [folder for folder, _, _ in os.walk(path)]


def resources(group: str) -> list[int]:
    """The resources that have a group now."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(group)
    return [int(name[2:]) for name in names if name.startswith("r-") and name[2:].isdigit()]


def kill(group: str, resource: int) -> None:
    """SIGKILL for all that is in the group, even while it forks. It is not waited for."""
    with suppress(OSError), open(os.path.join(_of(group, resource), KILL), "w", encoding="ascii") as file:
        file.write("1")


def kill_all(group: str, spared: Collection[int]) -> None:
    for resource in resources(group):
        if resource not in spared:
            kill(group, resource)


def remove(group: str, resource: int) -> None:
    """Remove the group of a resource where it is empty, and with the last one that of the node."""
    path = _of(group, resource)
    for folder in reversed(_folders(path)):
        with suppress(OSError):
            os.rmdir(folder)
    with suppress(OSError):
        os.rmdir(group)


def remove_empty(group: str) -> None:
    for resource in resources(group):
        remove(group, resource)
    with suppress(OSError):
        os.rmdir(group)


def _of(group: str, resource: int) -> str:
    return os.path.join(group, f"r-{resource}")
