"""What of a resource can be on a machine without a process: addresses, mounts, ports, open files.

Two looks are compared: one before the resource came online, one after it went down.
Others work on the machine as well, so that what cannot be told to be the resource's own is named
as a doubt, and fails nothing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state in /proc/net of a socket that takes what comes (see tcp(7))."""
STANDARD = ("0", "1", "2")
SHARED = ("0.0.0.0", "::", "127.0.0.1", "::1")
PSEUDO = re.compile(r"/proc/|/dev/|/sys/|pipe:|anon_inode:")


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is at one moment."""

    addresses: frozenset[str]
    mounts: frozenset[str]
    listening: Mapping[str, str]
    """Protocol, address and port of what listens, with the inode of its socket."""
    files: frozenset[str]
    """Sockets and files that this process holds open."""


@dataclass(frozen=True, slots=True)
class Left:
    """What was not there before."""

    certain: tuple[str, ...]
    doubtful: tuple[str, ...]
    """It may be somebody else's."""


def look(home: Path) -> Machine:
    """Now. Files in `home`, the logs of the suite itself, are left out."""
    return Machine(
        addresses=frozenset(_addresses()),
        mounts=frozenset(_mounts()),
        listening=dict(_listening()),
        files=frozenset(_files(str(home))),
    )


def left(before: Machine, after: Machine, words: Iterable[str]) -> Left:
    """What is there now and was not before. `words`: the resource's property values, which tell its own."""
    known = _Words(words)
    certain = [f"an open file of the agent ({each})" for each in sorted(after.files - before.files)]
    doubtful: list[str] = []
    for text, each, mine in (
        ("the address", after.addresses - before.addresses, known.names_address),
        ("the mount", after.mounts - before.mounts, known.names_path),
    ):
        for one in sorted(each):
            (certain if mine(one) else doubtful).append(f"{text} {one}")
    for port in sorted(after.listening.keys() - before.listening.keys()):
        if known.names_port(port):
            certain.append(f"the listening port {port}")
        elif owner := _orphan_with(after.listening[port]):
            doubtful.append(f"the listening port {port} of {owner}")
    return Left(tuple(certain), tuple(doubtful))


def _orphan_with(inode: str) -> str:
    """The process that holds a socket, where it could be a daemon of the resource: its parent is
    this process, or gone. A server that somebody else has just started is none."""
    target = f"socket:[{inode}]"
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(fd.readlink() == Path(target) for fd in (folder / "fd").iterdir()):
                name, _, rest = _read(f"{folder}/stat").partition("(")[2].rpartition(")")
                parent = int(rest.split()[1])
                return f"{name} (process {folder.name})" if parent in (1, os.getpid()) else ""
    return ""


class _Words:
    """Whose an address, a path or a port is, by the values of properties."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = [word for word in words if word]
        self._paths = [word.rstrip("/") for word in self._words if re.fullmatch(r"/.+", word)]

    def names_address(self, address: str) -> bool:
        return any(_is_address(word, address) for word in self._words)

    def names_path(self, path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in self._paths)

    def names_port(self, port: str) -> bool:
        """ "tcp 127.0.0.9:80" is named by its address. Where many share that, or none is known, the
        number has to be one of the resource's, too."""
        address, _, number = port.partition(" ")[2].rpartition(":")
        if self.names_address(address) and address not in SHARED:
            return True
        knows_one = any(_is_address(word, word) for word in self._words)
        return number in self._words and (address in SHARED or not knows_one)


def _is_address(word: str, address: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_interface(word).ip == ipaddress.ip_interface(address).ip
    return False


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


def _addresses() -> Iterable[str]:
    last = ""
    for line in _read("/proc/net/fib_trie").splitlines():
        if "|-- " in line:
            last = line.rpartition(" ")[2]
        elif "/32 host LOCAL" in line:
            yield last
    for line in _read("/proc/net/if_inet6").splitlines():
        yield str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))


def _mounts() -> Iterable[str]:
    for line in _read("/proc/self/mountinfo").splitlines():
        yield line.split()[4].encode().decode("unicode_escape")


def _listening() -> Iterable[tuple[str, str]]:
    for kind, state in LISTENING.items():
        for line in _read(f"/proc/net/{kind}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                yield f"{kind[:3]} {_endpoint(fields[1])}", fields[9]


def _endpoint(text: str) -> str:
    """ "0100007F:1F90" as 127.0.0.1:8080: words of four bytes, each in the machine's order."""
    digits, _, port = text.partition(":")
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    return f"{ipaddress.ip_address(b''.join(words))}:{int(port, 16)}"


def _files(home: str) -> Iterable[str]:
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("socket:"):
                is_mine = _is_of_a_network(int(entry.name))
            else:
                is_mine = entry.name not in STANDARD and not PSEUDO.match(target)
            if is_mine and not target.startswith(home):
                yield target


def _is_of_a_network(fd: int) -> bool:
    """False for sockets within the machine: by those this process talks to its own helpers."""
    with socket.socket(fileno=os.dup(fd)) as found:
        return found.family in (socket.AF_INET, socket.AF_INET6)
