"""Where the servers of a virtual server run on a node, and what they need of it.

Their sockets lie under /run/clusterweb, since most of their processes are no longer root and
can enter neither a node's home nor reach a path as long as one there can be.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from monitoring.resource_dlls.api import Context, ResourceError

RUN = Path("/run/clusterweb")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
MARKS = ("CLUSTERWEB_OWNED_BY", "CLUSTERWEB_RESOURCE_ID")
"""What the servers have to leave in the environment of their processes, that the node finds them by."""
LONG_AGO_S = 60.0
_PLAIN = re.compile(r"[/\w.+@=-]+", re.ASCII)


def run_folder(context: Context, part: str) -> Path:
    """The folder for the sockets of one part of the group's virtual server on this node.

    The resources of one group on one node find each other's by it: a node's state folders
    lie side by side.
    """
    node = hashlib.sha256(str(context.state_dir.parent).encode()).hexdigest()[:10]
    return RUN / f"{node}-{context.group_id}" / part


def make_run_folder(folder: Path) -> None:
    """An empty folder that everybody may pass through, and only root may list."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for each in (RUN, folder.parent, folder):
        each.chmod(0o755 if each == folder else 0o711)  # Dovecot would have it so


def remove_run_folder(folder: Path) -> None:
    """Sockets, hashes and the probes' password go; the group's folder with the last of its parts."""
    if RUN not in folder.parents:
        return
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def contained(argv: Sequence[str]) -> list[str]:
    """The command in a process namespace of its own.

    With its first process all others end, whatever they made of their session, parent and
    environment; and the first one ends with the one that is started here.
    """
    return ["unshare", "--pid", "--fork", "--kill-child=KILL", "--", *argv]


def program(name: str, package: str, folders: str = "") -> str:
    """The path of a program in `folders`, else where programs are; ResourceError says what to install."""
    found = shutil.which(name, path=folders or f"{os.environ.get('PATH', '')}:{SBIN}")
    if found is None:
        raise ResourceError(f"{name} is not installed on this node: install {package}")
    return found


def require_root(who: str) -> None:
    if os.geteuid() != 0:
        raise ResourceError(f"{who} can only be started by an agent that runs as root")


def user(name: str) -> tuple[int, int]:
    """(uid, gid) of a user of this machine."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise ResourceError(f"there is no user {name} on this node") from None
    return found.pw_uid, found.pw_gid


def has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ResourceError(f"there is no group of users {name} on this node") from None


def is_plain(path: str) -> bool:
    """True where a path can stand in any configuration file as it is."""
    return _PLAIN.fullmatch(path) is not None


def check_plain(path: Path) -> None:
    if not is_plain(str(path)):
        raise ResourceError(f"the path {str(path)!r} may hold letters, digits and / . + @ = - _ only")


def check_way(path: Path, name: str) -> None:
    """Refuse a path that the user cannot walk to; says which folder is closed."""
    uid, gid = user(name)
    for folder in reversed(path.parents):
        found = folder.stat()
        bit = stat.S_IXUSR if found.st_uid == uid else stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH
        if not found.st_mode & bit:
            raise ResourceError(
                f"the user {name} may not enter {folder} on the way to {path}: chmod o+x {folder}"
            )


def give(folder: Path, uid: int, gid: int, mode: int) -> None:
    """Make the folder, of that owner; where another node's user had another number, with all in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != uid:
        for root, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.lchown(Path(root) / name, uid, gid)
    os.chown(folder, uid, gid)
    folder.chmod(mode)


def write(path: Path, text: str, *, mode: int = 0o600, gid: int = 0) -> None:
    """A file of root's that nobody reads before its mode is right.

    It is dated back: Postfix reads a file again and again that was written within the last seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchown(descriptor, 0, gid)
        os.fchmod(descriptor, mode)
    moment = time.time() - LONG_AGO_S
    os.utime(path, (moment, moment))


def check_ports(address: str, ports: Iterable[int]) -> None:
    """Refuse ports that somebody listens on; the servers would say so less clearly, and later."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError as error:
                raise ResourceError(f"port {port} of {address} cannot be used: {error.strerror}") from error
