"""A data directory: which version made it, who owns it, which processes work in it.

A postmaster that is killed leaves `postmaster.pid`, and for moments its backends, which have
overwritten their environment and have sessions of their own. They are found by their working
directory: it is the data directory in every process of a server.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from monitoring.resource_dlls.api import ResourceError

PROGRAM_FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/usr/local/pgsql/bin")
"""Where Debian, Red Hat and PostgreSQL's own installation put the programs of a version."""
PID_FILE = "postmaster.pid"
KILL_LIMIT_S = 10.0


def read_version(data: Path) -> str:
    """The major version that made the directory, such as "15"; ResourceError where it holds no database."""
    try:
        return (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise ResourceError(
            f"DataDirectory: {data} holds no database (it has no PG_VERSION); make one there with initdb"
        ) from None
    except (OSError, ValueError) as error:
        raise ResourceError(f"DataDirectory: {data} cannot be read: {error}") from error


def find_program(version: str, given: str | None) -> str:
    """The server program of a version."""
    folders = [given] if given else [folder.format(version) for folder in PROGRAM_FOLDERS]
    for folder in folders:
        if os.access(program := f"{folder}/postgres", os.X_OK):
            return program
    raise ResourceError(
        f"PostgreSQL {version}, which made the database, is not installed on this node"
        f" (no postgres in {', '.join(folders)})"
    )


def owner(data: Path) -> tuple[int, int]:
    """User and group id of the directory, which the server has to run as."""
    found = data.stat()
    if found.st_uid == 0:
        raise ResourceError(
            f"DataDirectory: {data} belongs to root, and PostgreSQL does not run as root;"
            " give it to the account postgres"
        )
    return found.st_uid, found.st_gid


def processes(data: str) -> Iterator[int]:
    """Processes of servers that work in the directory; `data` without symbolic links. Asks no storage."""
    here = Path("/proc/self/ns/mnt").readlink()  # in another one, the same path is another directory
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if Path(entry.path, "comm").read_text() not in ("postgres\n", "postmaster\n"):
                continue
            if str(Path(entry.path, "cwd").readlink()) != data:
                continue
            if Path(entry.path, "ns", "mnt").readlink() == here:
                yield int(entry.name)


def end_processes(data: str) -> None:
    """Kill what works in the directory, and wait until it is gone. Blocking."""
    deadline = time.monotonic() + KILL_LIMIT_S
    while found := [fd for pid in processes(data) if (fd := _open(pid)) is not None]:
        for fd in found:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        for fd in found:
            select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
            os.close(fd)
        if time.monotonic() > deadline:
            raise ResourceError(f"processes that work in {data} cannot be killed: {list(processes(data))}")


def boot_id() -> str:
    """Another one after each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def remove_foreign_pid_file(data: Path) -> str:
    """Remove a `postmaster.pid` whose process lives and is another program by now; the sentence says so.

    PostgreSQL would take that process for its own earlier life. Where it is gone, PostgreSQL sees it.
    """
    path = data / PID_FILE
    try:
        pid = abs(int(path.read_text().splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return ""
    if not Path(f"/proc/{pid}").exists():
        return ""
    path.unlink()
    return f"{path}, left by an earlier life, named process {pid}, another program by now: it was removed"


def recovery(postmaster: int) -> str:
    """What the process is doing that replays the log at a start: "" where there is none."""
    with suppress(OSError):
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for child in children:
            title = Path(f"/proc/{child}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
            if ": startup" in title:
                doing = title.partition(": startup")[2].strip() or "preparing"
                return f"{doing}, {_bytes_read(child) >> 20} MiB read"
    return ""


def _bytes_read(pid: str) -> int:
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    return 0


def parent_of(pid: int) -> int:
    """The parent of a process, 0 where it is gone."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
