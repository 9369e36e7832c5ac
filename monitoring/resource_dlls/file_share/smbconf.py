"""The configuration of one file share's own smbd, and what may stand in it.

What has to move with the group lies on its disk: accounts, secrets, the server's identity. Locks,
caches and sockets are this node's, and lie in the state folder. Source: smb.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from monitoring.resource_dlls.api import MAX_UINT32, PropertyError

RESERVED = frozenset({"global", "homes", "printers", "print$", "ipc$", "admin$"})
_FORBIDDEN = re.compile(r"""[\\/\[\]:|<>+=;,?*"%\x00-\x1f]""")
LONGEST_NAME = 80
NODE_FOLDERS = {"lock directory": "lock", "cache directory": "cache", "ncalrpc dir": "ncalrpc"}
DISK_FOLDERS = {"private dir": "private", "state directory": "state"}


@dataclass(frozen=True, slots=True)
class Server:
    """What is not a property: where it serves, and where it keeps its files."""

    netbios_name: str
    addresses: tuple[str, ...]
    state_dir: Path
    disk_dir: Path

    @property
    def config(self) -> Path:
        return self.state_dir / "smb.conf"

    def folders(self) -> list[Path]:
        return [self.state_dir / name for name in NODE_FOLDERS.values()] + [
            self.disk_dir / name for name in DISK_FOLDERS.values()
        ]


def check_share_name(name: str) -> None:
    if name.lower() in RESERVED:
        raise PropertyError("ShareName", f"{name!r} is a name that Samba keeps for itself")
    if found := _FORBIDDEN.search(name):
        raise PropertyError("ShareName", f"{found.group()!r} is not allowed in the name of a share")
    if len(name) > LONGEST_NAME:
        raise PropertyError("ShareName", f"it is {len(name)} characters long; {LONGEST_NAME} are allowed")


def check_line(field: str, value: str) -> None:
    """A value must not be able to end its line, go on in the next, or be replaced (%)."""
    if re.search(r"[\x00-\x1f\x7f%]", value) or value.endswith("\\"):
        raise PropertyError(field, "line breaks, % and a \\ at the end are not allowed")


def sub_shares(path: str, hide: bool) -> dict[str, str]:
    """Each directory in `path` as a share of its name, with $ at its end where they are hidden."""
    found = {}
    for entry in sorted(Path(path).iterdir()):
        name = entry.name + ("$" if hide else "")
        is_name = not _FORBIDDEN.search(name) and len(name) <= LONGEST_NAME
        if is_name and name.lower() not in RESERVED and entry.is_dir() and not name.startswith("."):
            found[name] = str(entry)
    return found


def text(server: Server, properties: Mapping[str, Any], shares: Mapping[str, str]) -> str:
    """The whole smb.conf; `shares` are those of the subdirectories."""
    lines = _section("global", _global(server, properties))
    lines += _section(properties["ShareName"], _share(properties, properties["Path"]))
    for name, path in shares.items():
        lines += _section(name, _share(properties, path))
    return "\n".join(lines) + "\n"


def _section(name: str, settings: Iterable[tuple[str, str]]) -> list[str]:
    return [f"[{name}]", *(f"    {key} = {value}" for key, value in settings), ""]


def _global(server: Server, properties: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("server role", "standalone server"),
        ("workgroup", properties["Workgroup"]),
        ("netbios name", server.netbios_name),
        ("disable netbios", "yes"),
        ("interfaces", " ".join(_interface(address) for address in server.addresses)),
        ("bind interfaces only", "yes"),
        ("smb ports", str(properties["Port"])),
        *((key, str(server.state_dir / folder)) for key, folder in NODE_FOLDERS.items()),
        *((key, str(server.disk_dir / folder)) for key, folder in DISK_FOLDERS.items()),
        ("pid directory", str(server.state_dir)),
        ("passdb backend", "tdbsam"),
        ("map to guest", "Bad User" if properties["GuestAccess"] else "Never"),
        ("server smb encrypt", "required" if properties["Encryption"] == "required" else "default"),
        ("server min protocol", "SMB2_10"),
        ("load printers", "no"),
        ("printing", "bsd"),
        ("printcap name", "/dev/null"),
        ("disable spoolss", "yes"),
        ("usershare max shares", "0"),
    ]


def _share(properties: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    limit = properties["MaxUsers"]
    settings = [
        ("path", path),
        ("comment", properties["Remark"]),
        ("read only", "yes" if properties["ReadOnly"] else "no"),
        ("guest ok", "yes" if properties["GuestAccess"] else "no"),
        ("max connections", "0" if limit in (None, MAX_UINT32) else str(limit)),
        ("valid users", properties["ValidUsers"]),
        ("force user", properties["ForceUser"]),
        ("veto files", "/.cluster/.samba/"),
        ("include", properties["IncludeFile"] or ""),
    ]
    return [(key, value) for key, value in settings if value]


def _interface(address: str) -> str:
    """Addresses of 127.0.0.0/8 are on no interface; any other is found on its own."""
    parsed = ip_address(address)
    return f"{address}/8" if parsed.is_loopback and parsed.version == 4 else address


def accounts(value: str) -> Sequence[tuple[str, str]]:
    """Name and password of each; PropertyError, which quotes none, where they cannot be read."""
    found = []
    for entry in re.split(r"[\s,]+", value):
        name, colon, password = entry.partition(":")
        if entry and not (name and colon and password):
            raise PropertyError("Accounts", "give each account as name:password, with spaces between them")
        if entry:
            found.append((name, password))
    return found
