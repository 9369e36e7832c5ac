"""An NFS Export comes and goes with its group, in the table of the node's NFS server.

The table is kept by the real exportfs, in a mount namespace with a table of its own. The server is the
kernel's, which the kernels of containers and small virtual machines come without: its files in
/proc/fs/nfsd, and its answer to a call, are stand-ins. What clients see of an export is not tested.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls.api import PropertyError, Provider, ResourceDLL, ResourceError
from monitoring.resource_dlls.file_share import NFSExport, nfs, rpc
from tests.resource_dlls.context import LocalContext, call, free_address, make

PROPERTIES: dict[str, Any] = {"Clients": "10.1.0.0/16 fd00::1"}


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address at which the stand-in server answers."""
    nfsd = tmp_path / "nfsd"
    nfsd.mkdir()
    (nfsd / "threads").write_text("8\n")
    monkeypatch.setattr(nfs, "NFSD", nfsd)
    with rpc_server(free_address()) as (host, port):
        monkeypatch.setattr(nfs, "NFS_PORT", port)
        yield host


@contextmanager
def rpc_server(address: str, port: int = 0, status: int = 0) -> Iterator[tuple[str, int]]:
    """Answers every call of procedure 0 with that status."""
    with socket.create_server((address, port)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    call_id = connection.recv(256)[4:8]
                    answer = call_id + struct.pack(">6I", 1, 0, 0, 0, status, 0)[:20]
                    connection.sendall(struct.pack(">I", 0x80000000 | len(answer)) + answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def export(tmp_path: Path, address: str, node: str = "NODE1", **properties: Any) -> ResourceDLL:
    providers = [
        Provider("address", "IP Address", {"Address": address}),
        Provider("disk", "Physical Disk", {"Path": str(tmp_path / "disk")}),
    ]
    context = LocalContext(tmp_path / node, name="export", node=node, providers=providers)
    return make(
        "NFS Export", context, **{"Path": str(tmp_path / "disk" / "data"), **PROPERTIES, **properties}
    )


REAL = """
import sys
from pathlib import Path
import pytest
from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.conformance import check
from monitoring.resource_dlls.file_share import NFSExport, nfs
from tests.resource_dlls.context import call, free_address
from tests.resource_dlls.test_nfs_export import PROPERTIES, export, rpc_server
tmp_path, address = Path(sys.argv[1]), free_address()
(nfs.NFSD / "threads").write_text("8")
nfs.TABLE.touch()
with rpc_server(address, nfs.NFS_PORT):
    first = export(tmp_path, address)
    call(first.online)
    assert call(first.looks_alive) and call(first.is_alive)
    text = nfs.TABLE.read_text()
    assert text.count(f"{tmp_path}/disk/data") == 2, text
    assert "10.1.0.0/16(" in text and "fd00::1(" in text and f"fsid={first.fsid}" in text, text
    second = export(tmp_path, address, "NODE2")
    assert second.fsid == first.fsid  # clients go on after a move
    assert call(second.adopt)
    call(first.offline)
    assert nfs.TABLE.read_text() == "", nfs.TABLE.read_text()
    assert (nfs.NFSD / "unlock_filesystem").read_text() == f"{tmp_path}/disk/data\\n"
    with pytest.raises(ResourceError, match="is not exported any more"):
        call(first.is_alive)
    call(first.online)
    NFSExport.sweep(tmp_path / "NODE1")  # the agent died
    assert nfs.TABLE.read_text() == ""
    bad = export(tmp_path, address, Options="no_such_option")
    with pytest.raises(ResourceError, match="cannot be exported: .*no_such_option"):
        call(bad.online)
    call(bad.terminate)
    disk = {"Path": f"{tmp_path}/disk"}
    providers = [("IP Address", {"Address": address, "SubnetMask": "255.0.0.0"}), ("Physical Disk", disk)]
    report = check("NFS Export", {"Path": f"{tmp_path}/disk/data", **PROPERTIES}, providers=providers)
    assert report.passed, str(report)
"""


def test_an_export_is_in_the_table_while_it_is_online_and_conforms_to_the_plugin_api(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a mount namespace")
    if shutil.which("exportfs", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("needs the package nfs-kernel-server (make packages)")
    prepare = 'for at in /var/lib/nfs /proc/fs/nfsd; do mount -t tmpfs none $at; done; exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-e", "-c", prepare, sys.executable, REAL, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_server_of_the_kernel_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nfs, "NFSD", tmp_path / "nothing")
    monkeypatch.setattr(nfs, "path_of", lambda program: program)
    resource = export(tmp_path, "127.0.0.1")
    with pytest.raises(ResourceError, match="NODE1 runs no NFS server: it is not"):
        call(resource.online)
    assert not call(resource.looks_alive)


def test_a_server_that_does_not_answer_has_failed_its_exports(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk" / "data").mkdir(parents=True)
    table = tmp_path / "etab"
    table.write_text(f"{tmp_path}/disk/data\t10.1.0.0/16(rw)\n")
    monkeypatch.setattr(nfs, "TABLE", table)
    resource = export(tmp_path, address)
    assert call(resource.is_alive)
    monkeypatch.setattr(nfs, "NFS_PORT", 1)
    with pytest.raises(ResourceError, match=f"does not answer at {address}, port 1"):
        call(resource.is_alive)


def test_only_a_service_that_has_the_program_answers() -> None:
    with rpc_server(free_address()) as (host, port):
        assert rpc.answers(host, port, 100003, 4, 2)
    with rpc_server(free_address(), status=1) as (host, port):  # PROG_UNAVAIL
        assert not rpc.answers(host, port, 100003, 4, 2)


@pytest.mark.parametrize(
    "name,value,text",
    [
        ("Options", "rw,fsid=0", "by the property FsId"),
        ("Options", "rw, sync", "has a space"),
        ("Clients", "*(rw)", "not allowed here"),
        ("Clients", "", "a value is required"),
    ],
)
def test_properties_that_would_export_something_else_are_refused(name: str, value: str, text: str) -> None:
    with pytest.raises(PropertyError, match=text) as refused:
        NFSExport.clean({"Path": "/disk/data", **PROPERTIES, name: value})
    assert refused.value.field == name
