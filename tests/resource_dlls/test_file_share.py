"""A File Share is a Samba of its own: real clients see it, and nothing of it stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import PropertyError, Provider, ResourceDLL, ResourceError
from monitoring.resource_dlls.file_share import FileShare, smb, smbconf
from tests.resource_dlls.context import LocalContext, call, free_address, make, online, wait_until

PORT = 4450
"""Of an address of its own in each test."""


@pytest.fixture(autouse=True)
def samba() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: so does Samba")
    for program in ("smbd", "smbclient"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip("needs the packages samba and smbclient (make packages)")


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "letter").write_text("dear reader")
    yield folder


def share(tmp_path: Path, address: str, node: str = "NODE1", **properties: Any) -> ResourceDLL:
    providers = [
        Provider("address", "IP Address", {"Address": address}),
        Provider("name", "Network Name", {"Name": "FILES1"}),
        Provider("disk", "Physical Disk", {"Path": str(tmp_path / "disk")}),
    ]
    context = LocalContext(tmp_path / node, name="share", node=node, providers=providers)
    values = {"ShareName": "data", "Path": str(tmp_path / "disk" / "data"), "Port": PORT, **properties}
    return make("File Share", context, **values)


GUESTS: dict[str, Any] = {"GuestAccess": True, "ForceUser": "root"}


def client(address: str, command: str, name: str = "data", who: str = "") -> subprocess.CompletedProcess[str]:
    login = ["-U", who] if who else ["-N"]
    argv = ["smbclient", "-p", str(PORT), *login, f"//{address}/{name}", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20)


def test_clients_read_and_write_what_lies_on_the_disk_and_it_moves_with_it(
    tmp_path: Path, address: str, disk: Path
) -> None:
    (tmp_path / "new").write_text("from a client")
    with online(share(tmp_path, address, **GUESTS)) as first:
        assert call(first.looks_alive) and call(first.is_alive)
        assert "letter" in client(address, "ls").stdout
        done = client(address, f"put {tmp_path}/new new")
        assert done.returncode == 0, done.stdout
        assert ".samba" not in client(address, "ls").stdout
        call(first.offline)
        assert not call(first.is_alive)
        assert not smb.answers(address, PORT, 1)
        assert (disk / "data" / "new").read_text() == "from a client"
        with online(share(tmp_path, address, "NODE2", **GUESTS)):
            assert "new" in client(address, "ls").stdout


def test_an_account_has_to_give_its_password_and_keeps_it_on_another_node(
    tmp_path: Path, address: str, disk: Path
) -> None:
    accounts = {"Accounts": "root:first-secret", "ValidUsers": "root"}
    with online(share(tmp_path, address, **accounts)) as first:
        assert client(address, "ls", who="root%first-secret").returncode == 0
        assert "NT_STATUS_LOGON_FAILURE" in client(address, "ls", who="root%wrong").stdout
        assert client(address, "ls").returncode != 0
        call(first.offline)
    with online(share(tmp_path, address, "NODE2", **accounts | {"Accounts": "root:another"})) as second:
        assert client(address, "ls", who="root%first-secret").returncode == 0
        assert call(second.is_alive)  # it answers, though the probe's own password is not right
    found = subprocess.run(["grep", "-rl", "first-secret", tmp_path], capture_output=True, text=True)
    assert found.stdout == ""


def test_who_is_connected_is_counted(tmp_path: Path, address: str, disk: Path) -> None:
    with online(share(tmp_path, address, MaxUsers=4, **GUESTS)) as resource:
        facts = resource.context.facts  # type: ignore[attr-defined]
        assert facts["Clients"].text == "0 connected"
        argv = ["smbclient", "-p", str(PORT), "-N", f"//{address}/data"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
            assert other.stdin is not None
            wait_until(lambda: call(resource.is_alive) and facts["Clients"].text == "1 connected")
            assert facts["Clients"].share == 0.25
            other.stdin.close()


def test_an_ipv6_address_serves_too(tmp_path: Path, disk: Path) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("needs a kernel with IPv6")
    with online(share(tmp_path, "::1", Port=free_port("::1"), **GUESTS)) as resource:
        assert call(resource.looks_alive) and call(resource.is_alive)


def free_port(address: str) -> int:
    with socket.create_server((address, 0), family=socket.AF_INET6) as found:
        return int(found.getsockname()[1])


def test_a_share_that_is_taken_away_is_noticed(tmp_path: Path, address: str, disk: Path) -> None:
    with online(share(tmp_path, address, **GUESTS)) as resource:
        shutil.rmtree(disk / "data")
        with pytest.raises(ResourceError, match="data cannot be listed: No such file") as lost:
            call(resource.is_alive)
        assert lost.value.code == 1054


def test_a_server_that_hangs_is_noticed(
    tmp_path: Path, address: str, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.resource_dlls.file_share.samba.PROBE_S", 1.0)
    with online(share(tmp_path, address, **GUESTS)) as resource:
        (server,) = resource.context.pids()
        os.kill(server, signal.SIGSTOP)
        try:
            assert not call(resource.looks_alive)
            with pytest.raises(ResourceError, match="did not return within 1 s"):
                call(resource.is_alive)
        finally:
            os.kill(server, signal.SIGCONT)


def test_each_directory_can_be_a_share_too(tmp_path: Path, address: str, disk: Path) -> None:
    for name in ("plans", "notes", ".hidden", "a;b"):
        (disk / "data" / name).mkdir()
    with online(share(tmp_path, address, ShareSubDirs=True, HideSubDirShares=True, **GUESTS)):
        assert client(address, "ls", name="plans$").returncode == 0
        assert client(address, "ls", name="notes$").returncode == 0
        assert "NT_STATUS_BAD_NETWORK_NAME" in client(address, "ls", name=".hidden$").stdout


def test_a_port_that_another_server_has_is_refused(tmp_path: Path, address: str, disk: Path) -> None:
    with socket.create_server((address, PORT)):
        resource = share(tmp_path, address, **GUESTS)
        with pytest.raises(ResourceError, match=f"port {PORT} of {address} cannot be used"):
            call(resource.online)
        call(resource.terminate)


def test_a_directory_that_is_on_no_disk_of_the_group_is_refused(
    tmp_path: Path, address: str, disk: Path
) -> None:
    resource = share(tmp_path, address, Path="/srv/elsewhere")
    with pytest.raises(ResourceError, match="lies on none of the disks that the share depends on"):
        call(resource.online)


def test_a_directory_that_is_missing_is_made_for_its_user(tmp_path: Path, address: str, disk: Path) -> None:
    made = tmp_path / "disk" / "new" / "share"
    with online(share(tmp_path, address, Path=str(made), GuestAccess=True, ForceUser="daemon")):
        assert made.owner() == "daemon"
        for folder in (tmp_path, *tmp_path.parents):
            if folder.name.startswith(("pytest-", "popen-", "test_")):
                folder.chmod(0o711)  # pytest's folders are its own
        done = client(address, "mkdir inside")
        assert (made / "inside").is_dir(), done.stdout


def test_the_server_is_taken_over_by_the_next_agent(tmp_path: Path, address: str, disk: Path) -> None:
    with online(share(tmp_path, address, **GUESTS)) as first:
        dll = registry.get("File Share")
        second = dll(first.context, dict(first._values))
        assert call(second.adopt) and call(second.is_alive)
        call(second.offline)
        wait_until(lambda: not smb.answers(address, PORT, 1))
        assert not call(dll(first.context, dict(first._values)).adopt)


@pytest.mark.parametrize(
    "name,value,text",
    [
        ("ShareName", "homes", "keeps for itself"),
        ("ShareName", "a/b", "'/' is not allowed"),
        ("ShareName", "x" * 81, "81 characters"),
        ("Remark", "a\nroot preexec = id", "line breaks"),
        ("ValidUsers", "%u", "line breaks, %"),
        ("Accounts", "anna", "name:password"),
        ("MaxUsers", "0", "is not within"),
    ],
)
def test_properties_that_would_break_the_configuration_are_refused(name: str, value: str, text: str) -> None:
    with pytest.raises(PropertyError, match=text) as refused:
        FileShare.clean({"ShareName": "data", "Path": "/disk/data", name: value})
    assert refused.value.field == name


def test_what_moves_lies_on_the_disk_and_what_does_not_in_the_state_folder() -> None:
    server = smbconf.Server("FILES1", ("10.0.0.9", "fd00::9"), Path("/node"), Path("/disk/.samba/data"))
    text = smbconf.text(server, FileShare.clean({"ShareName": "data", "Path": "/disk/data"}), {})
    assert "private dir = /disk/.samba/data/private" in text
    assert "lock directory = /node/lock" in text
    assert "interfaces = 10.0.0.9 fd00::9" in text
    assert "max connections = 0" in text and "guest ok = no" in text
