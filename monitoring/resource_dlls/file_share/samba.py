"""The File Share resource: a directory of the group's disk, served by a Samba server of its own.

One smbd, in the foreground and bound to the group's addresses, for each resource: it knows
nothing of a Samba that the node runs, and moves with all it has. Its end is noticed at once.

Entry points are plain methods: they ask programs and the disk, which may hang.

Source: semantics 5.1 and 5.2.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import time
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.file_share import smb, smbconf
from monitoring.resource_dlls.file_share.places import (
    SHARE_CHECK_FAILED,
    SHARE_LOST,
    check_directory,
    disk_of,
)
from monitoring.resource_dlls.file_share.smbconf import Server
from monitoring.resource_dlls.programs import path_of, run
from monitoring.resource_dlls.shared_files import write_atomically

CHEAP_S = 0.25
PROBE_S = 10.0
PAUSE_S = 0.05
REFUSED = ("NT_STATUS_LOGON_FAILURE", "NT_STATUS_ACCESS_DENIED", "NT_STATUS_REQUEST_NOT_ACCEPTED")
"""The server works, and does not let this client in: an unknown account, or too many users."""


class FileShare(ResourceDLL):
    type_name = "File Share"
    description = "A directory of the group's disk, shared by SMB (Samba) at the group's own address."
    family = "Storage"
    icon = "folder-open"
    required_dependencies = ("IP Address", "Physical Disk")
    is_alive_ms = 30_000
    properties: ClassVar[tuple[Property, ...]] = (
        Property("ShareName", required=True, help="name of the share; one that ends with $ is hidden"),
        Property(
            "Path",
            kind="path",
            required=True,
            help="directory on the group's disk; made where it is missing",
        ),
        Property("Remark", default="", help="a comment that clients see"),
        Property(
            "MaxUsers",
            kind="int",
            minimum=1,
            placeholder="no limit",
            help="connections at the same time",
        ),
        Property("ReadOnly", kind="bool", default=False, help="clients may not write"),
        Property("GuestAccess", kind="bool", default=False, help="let in clients without an account"),
        Property(
            "ValidUsers", default="", help="who may use it, such as: anna, @staff; empty: every account"
        ),
        Property("ForceUser", default="", help="Unix user in whose name all files are used"),
        Property(
            "Accounts",
            default="",
            secret=True,
            help="accounts of this server: name:password, with spaces between them",
            details="Each has to be a Unix user on every node. One that exists already keeps its password,"
            " which lies on the group's disk and moves with it.",
        ),
        Property(
            "ShareSubDirs", kind="bool", default=False, help="share each directory in it by its own name, too"
        ),
        Property("HideSubDirShares", kind="bool", default=False, help="hide those, with a $ at their end"),
        Property("Encryption", default="if asked", choices=("if asked", "required"), help="of connections"),
        Property("Workgroup", kind="netbios", default="WORKGROUP", help="as clients see it"),
        Property("Port", kind="port", default=445, help="where clients connect; Windows knows 445 only"),
        Property("IncludeFile", kind="path", help="file with further settings of the share (smb.conf)"),
    )

    _process: Process | None = None

    @classmethod
    def check(cls, values: Any) -> None:
        smbconf.check_share_name(values["ShareName"])
        smbconf.accounts(values["Accounts"])
        for name in ("Path", "Remark", "ValidUsers", "ForceUser", "IncludeFile"):
            smbconf.check_line(name, values[name] or "")

    # Up and down

    def online(self) -> None:
        if os.geteuid() != 0:
            raise ResourceError(f"Samba needs root, and the agent of {self.context.node} is not")
        for program in ("smbd", "smbclient", "pdbedit", "smbpasswd"):
            path_of(program)
        server = self._server()
        self._make_directory()
        for folder in server.folders():
            folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(server.state_dir / "lock", ignore_errors=True)  # of an earlier life
        (server.state_dir / "lock").mkdir()
        (server.disk_dir / "private").chmod(0o700)
        self._write_config(server)
        self._refuse_used_port(server)
        self._add_accounts(server)
        argv = [
            path_of("smbd"),
            "--foreground",
            "--no-process-group",
            "--debug-stdout",
            "-s",
            str(server.config),
        ]
        self._process = self.context.spawn(argv, cwd="/")
        self._wait_until_it_serves()

    def adopt(self) -> bool:
        """The server needs nothing of its agent."""
        running = self.context.watched()
        self._process = running[0] if running else None
        return bool(running)

    def offline(self) -> None:
        self._process = None
        self.context.kill_all(grace=5.0)

    def terminate(self) -> None:
        self._process = None
        self.context.kill_all()

    def _server(self) -> Server:
        addresses = tuple(
            p.properties["Address"] for p in self.context.providers if p.type_name == "IP Address"
        )
        names = [p.properties["Name"] for p in self.context.providers if p.type_name == "Network Name"]
        disk_dir = disk_of(self["Path"], self.context.providers) / ".samba" / self["ShareName"]
        name = names[0] if names else socket.gethostname().partition(".")[0].upper()[:15]
        return Server(name, addresses, self.context.state_dir, disk_dir)

    def _make_directory(self) -> None:
        path = Path(self["Path"])
        try:
            if path.is_dir():
                return
            path.mkdir(parents=True)
            if self["ForceUser"]:
                user = pwd.getpwnam(self["ForceUser"])
                os.chown(path, user.pw_uid, user.pw_gid)
        except KeyError:
            text = f"{self['ForceUser']}, the ForceUser, is no user on {self.context.node}"
            raise ResourceError(text) from None
        except OSError as error:
            raise ResourceError(f"{path} cannot be made: {error.strerror}", SHARE_LOST) from error

    def _write_config(self, server: Server) -> None:
        """Only where it has changed: smbd reads it again within a minute."""
        shares = smbconf.sub_shares(self["Path"], self["HideSubDirShares"]) if self["ShareSubDirs"] else {}
        shares.pop(self["ShareName"], None)
        wanted = smbconf.text(server, self._values, shares)
        if not server.config.exists() or server.config.read_text(encoding="utf-8") != wanted:
            write_atomically(server.config, wanted)

    def _refuse_used_port(self, server: Server) -> None:
        """smbd would go on without it, and another server would answer in its place."""
        for address in server.addresses:
            try:
                with socket.create_server((address, self["Port"]), family=_family(address)):
                    pass
            except OSError as error:
                raise ResourceError(
                    f"port {self['Port']} of {address} cannot be used: {error.strerror}; the node's own Samba"
                    " must be bound to other addresses, and an address has one File Share (see ShareSubDirs)"
                ) from error

    def _add_accounts(self, server: Server) -> None:
        wanted = smbconf.accounts(self["Accounts"])
        if not wanted:
            return
        listed = run(["pdbedit", "-s", str(server.config), "-L"], PROBE_S).output
        known = {line.partition(":")[0] for line in listed.splitlines()}
        for name, password in wanted:
            if name in known:
                continue
            argv = ["smbpasswd", "-c", str(server.config), "-s", "-a", name]
            done = run(argv, PROBE_S, given=f"{password}\n{password}\n")
            if done.code != 0:
                raise ResourceError(
                    f"the account {name} cannot be made: {done.last_line}; it has to be a Unix user here"
                )

    def _wait_until_it_serves(self) -> None:
        assert self._process is not None
        process = self._process
        while True:
            if process.returncode is not None:
                raise ResourceError(f"smbd ended with exit code {process.returncode}{self._last_words()}")
            if self._process is None:
                raise ResourceError(f"{self['ShareName']} was given up while it came online")
            if self.looks_alive():
                try:
                    self.is_alive()
                    return
                except ResourceError as error:
                    if error.code != SHARE_CHECK_FAILED:
                        raise
                    self.context.progress(str(error))
            time.sleep(PAUSE_S)

    def _last_words(self) -> str:
        try:
            lines = (self.context.state_dir / "output.log").read_text(errors="replace").split("\n")
        except OSError:
            return ""
        words = [line.strip() for line in lines if line.strip()]
        return f": {words[-1]}" if words else ""

    # Probes

    def looks_alive(self) -> bool:
        """An SMB server answers on each address."""
        addresses = self._server().addresses
        return self._process is not None and all(
            smb.answers(address, self["Port"], CHEAP_S) for address in addresses
        )

    def is_alive(self) -> bool:
        """The share is there for a client, and its directory can be listed."""
        if self._process is None:
            return False
        check_directory(self["Path"])
        server = self._server()
        if self["ShareSubDirs"]:
            self._write_config(server)
        for address in server.addresses:
            self._visit(server, address)
        self._show_clients(server)
        return True

    def _show_clients(self, server: Server) -> None:
        """How many are connected, as Samba counts them; its own probe is gone by now."""
        try:
            asked = run(["smbstatus", "-s", str(server.config), "--json"], PROBE_S)
            count = len(json.loads(asked.output)["sessions"])
        except (ResourceError, ValueError, KeyError):
            return  # no smbstatus, or one that does not know the option: the share works
        limit = self["MaxUsers"]
        self.context.show("Clients", f"{count} connected", share=count / limit if limit else None)

    def _visit(self, server: Server, address: str) -> None:
        """Connect to the share as a client does."""
        share = f"//{server.netbios_name}/{self['ShareName']}"
        file = self.context.state_dir / "client"
        who = ["-N"]
        if account := next(iter(smbconf.accounts(self["Accounts"])), None):
            _write_secretly(file, "username = {}\npassword = {}\n".format(*account))
            who = ["-A", str(file)]  # a password must not be seen in a list of processes
        argv = ["smbclient", "-s", str(server.config), "-I", address, "-p", str(self["Port"])]
        argv += [*who, share, "-c", "exit"]
        try:
            done = run(argv, PROBE_S)
        finally:
            file.unlink(missing_ok=True)
        if done.code != 0 and not any(status in done.output for status in REFUSED):
            text = f"{share} does not answer as it should at {address}: {done.last_line}"
            raise ResourceError(text, SHARE_CHECK_FAILED)


def _write_secretly(file: Path, text: str) -> None:
    """A file that only root reads, from its first byte on."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as content:
        content.write(text)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
