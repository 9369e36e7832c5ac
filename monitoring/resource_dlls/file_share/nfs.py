"""The NFS Export resource: a directory of the group's disk, exported by the kernel's NFS server.

The server itself runs on every node, started with it; what moves is the export, together with the
address that clients mount it from. Its fsid is made of the group and the path, the same on all
nodes: a client that has it mounted goes on after a move.

Entry points are plain methods: they ask programs and the disk, which may hang.

Source: exports(5), exportfs(8), nfsd(7).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Context, Property, PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.file_share import rpc
from monitoring.resource_dlls.file_share.places import (
    SHARE_CHECK_FAILED,
    SHARE_LOST,
    check_directory,
    disk_of,
)
from monitoring.resource_dlls.programs import path_of, run, run_for
from monitoring.resource_dlls.shared_files import write_atomically

NFSD = Path("/proc/fs/nfsd")
TABLE = Path("/var/lib/nfs/etab")
"""What is exported, as exportfs keeps it."""
NFS_PROGRAM, NFS_PORT = 100003, 2049
MAX_FSID = 0x7FFFFFFF
COMMAND_S = 20.0
CHEAP_S = 0.25
PROBE_S = 5.0
MARKER = "exported.json"


class NFSExport(ResourceDLL):
    type_name = "NFS Export"
    description = "A directory of the group's disk, exported by the node's NFS server at the group's address."
    family = "Storage"
    icon = "folder-tree"
    notice = "Every possible owner has to run the NFS server of its kernel (Debian: nfs-kernel-server)."
    required_dependencies = ("IP Address", "Physical Disk")
    is_alive_ms = 30_000
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "Path",
            kind="path",
            required=True,
            unique="cluster",
            help="directory on the group's disk to export",
        ),
        Property(
            "Clients",
            required=True,
            help="who may mount it: addresses, networks, host names, with spaces between; * is everybody",
        ),
        Property(
            "Options",
            default="rw,sync,no_subtree_check,root_squash",
            help="of the export, as in /etc/exports, without fsid",
        ),
        Property(
            "FsId",
            kind="int",
            minimum=1,
            maximum=MAX_FSID,
            placeholder="made of the group and the path",
            help="number of the exported file system, by which clients know it again on another node",
        ),
    )

    def __init__(self, context: Context, properties: Mapping[str, Any]) -> None:
        super().__init__(context, properties)
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was ended: an Online that is interrupted must not go on to export it."""

    @classmethod
    def check(cls, values: Any) -> None:
        for name in ("Clients", "Options", "Path"):
            if re.search(r"[\x00-\x1f\x7f()\"']", values[name]) or values[name].startswith("-"):
                raise PropertyError(name, f"{values[name]!r} has a character in it that is not allowed here")
        if re.search(r"\s", values["Options"]):
            raise PropertyError("Options", f"{values['Options']!r} has a space in it")
        if re.search(r"(^|,)fsid=", values["Options"]):
            raise PropertyError("Options", "give fsid by the property FsId")

    @property
    def exports(self) -> list[str]:
        """What exportfs calls an export: client:/path."""
        return [f"{_bracketed(client)}:{self['Path']}" for client in self["Clients"].split()]

    @property
    def fsid(self) -> int:
        if self["FsId"]:
            return int(self["FsId"])
        digest = hashlib.sha256(f"{self.context.group_id} {self['Path']}".encode()).digest()
        return int.from_bytes(digest[:4], "big") & MAX_FSID or 1

    def open(self) -> None:
        self.sweep(self.context.state_dir)

    def online(self) -> None:
        begun = self._ends
        path_of("exportfs")
        self._require_server()
        disk_of(self["Path"], self.context.providers)
        try:
            Path(self["Path"]).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"{self['Path']} cannot be made: {error.strerror}", SHARE_LOST) from error
        self.context.state_dir.mkdir(parents=True, exist_ok=True)
        note = {"exports": self.exports, "path": self["Path"]}
        write_atomically(self.context.state_dir / MARKER, json.dumps(note))
        for export in self.exports:
            self._export(export, begun)
        self.is_alive()

    def _export(self, export: str, begun: int) -> None:
        argv = ["exportfs", "-o", f"{self['Options']},fsid={self.fsid}", export]
        with self._changing:
            if self._ends != begun:
                raise ResourceError(f"{self['Path']} was given up while it came online")
            done = run_for(self.context, argv, COMMAND_S)
        if done.code != 0:
            raise ResourceError(f"{export} cannot be exported: {done.last_line}")

    def adopt(self) -> bool:
        """An export needs nothing of its agent."""
        return self.looks_alive()

    def terminate(self) -> None:
        self._ends += 1
        self.context.kill_all()
        with self._changing:  # an export that is under way ends before
            self.sweep(self.context.state_dir)

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        """Take the exports back, and what the server holds of them: its disk has to be unmounted."""
        marker = state_dir / MARKER
        if not marker.exists():
            return
        note = json.loads(marker.read_text(encoding="utf-8"))
        said = [run(["exportfs", "-u", export], COMMAND_S).last_line for export in note["exports"]]
        if note["path"] in exported():  # what was not found is fine
            raise ResourceError(f"{note['path']} is exported still: {'; '.join(said)}")
        with suppress(OSError, ResourceError):
            run(["exportfs", "-f"], COMMAND_S)
            (NFSD / "unlock_filesystem").write_text(f"{note['path']}\n", encoding="utf-8")
        marker.unlink(missing_ok=True)

    def _require_server(self) -> None:
        if threads() > 0:
            return
        kernel = Path("/proc/filesystems").read_text(encoding="ascii")
        why = (
            "is not started: systemctl start nfs-server"
            if "nfsd" in kernel
            else "is not in its kernel (nfsd)"
        )
        raise ResourceError(f"{self.context.node} runs no NFS server: it {why}", SHARE_CHECK_FAILED)

    def looks_alive(self) -> bool:
        """The server runs, and has the export in its table."""
        return threads() > 0 and self["Path"] in exported()

    def is_alive(self) -> bool:
        self._require_server()
        if self["Path"] not in exported():
            raise ResourceError(f"{self['Path']} is not exported any more", SHARE_LOST)
        check_directory(self["Path"])
        for provider in self.context.providers:
            if provider.type_name == "IP Address":
                self._call(provider.properties["Address"])
        return True

    def _call(self, address: str) -> None:
        if not any(rpc.answers(address, NFS_PORT, NFS_PROGRAM, version, PROBE_S) for version in (4, 3)):
            text = f"the NFS server does not answer at {address}, port {NFS_PORT}"
            raise ResourceError(text, SHARE_CHECK_FAILED)


def threads() -> int:
    """How many threads the kernel's NFS server has; 0 where it does not run."""
    try:
        return int((NFSD / "threads").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def exported() -> set[str]:
    """The paths in the table of exports."""
    try:
        lines = TABLE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {
        re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split("\t")[0]) for line in lines if line
    }


def _bracketed(client: str) -> str:
    """exportfs wants IPv6 addresses in brackets."""
    return f"[{client}]" if client.count(":") > 1 and not client.startswith("[") else client
