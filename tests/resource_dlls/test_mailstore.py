"""The store's databases: spread over storage groups, all or nothing, fenced."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.resource_dlls.api import ResourceDLL
from monitoring.resource_dlls.exchange.services.mailstore import MailStore
from monitoring.resource_dlls.physical_disk.fence import FencedError
from tests.resource_dlls.context import LocalContext, call, make, online

MAILBOXES = ["postmaster", "alice", "bob"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[ResourceDLL]:
    with online(make("Physical Disk", LocalContext(tmp_path / "state"), Path=str(tmp_path / "disk"))) as held:
        yield held


def store(disk: ResourceDLL, storage_groups: int = 2) -> MailStore:
    return MailStore(Path(disk["Path"]), 1, storage_groups, MAILBOXES)


def files(disk: ResourceDLL) -> list[str]:
    return sorted(path.name for path in (Path(disk["Path"]) / "mdbdata").glob("sg*.sqlite"))


def test_mailboxes_are_spread_over_the_storage_groups(disk: ResourceDLL) -> None:
    store(disk)
    counts = []
    for name in files(disk):
        database = sqlite3.connect(Path(disk["Path"]) / "mdbdata" / name)
        counts.append(database.execute("SELECT count(*) FROM mailbox").fetchone()[0])
    assert sorted(counts) == [1, 2]


def test_mail_is_kept_when_the_number_of_storage_groups_changes(disk: ResourceDLL) -> None:
    store(disk, 3).deliver("bob@EVS1", MAILBOXES, [], b"Subject: kept\r\n\r\n")
    for storage_groups in (1, 5):
        again = store(disk, storage_groups)
        assert all(again.data(mailbox, 1) == b"Subject: kept\r\n\r\n" for mailbox in MAILBOXES)
    assert len(files(disk)) == 5


def test_a_mail_goes_to_all_mailboxes_and_the_queue_or_to_none(disk: ResourceDLL) -> None:
    mail = store(disk)
    with pytest.raises(KeyError):
        mail.deliver("bob@EVS1", ["alice", "nobody"], ["carol@EVS2"], b"x")
    assert mail.entries("alice") == []
    assert mail.outbound.ids() == []
    mail.deliver("bob@EVS1", ["alice"], ["carol@EVS2"], b"x")
    (number,) = mail.outbound.ids()
    parcel = mail.outbound.get(number)
    assert parcel is not None
    assert (parcel.sender, parcel.recipient, parcel.data) == ("bob@EVS1", "carol@EVS2", b"x")


def test_a_uid_is_never_given_twice(disk: ResourceDLL) -> None:
    mail = store(disk)
    assert mail.append("alice", b"first", "", 0.0) == 1
    mail.delete("alice", [1])
    assert mail.append("alice", b"second", "\\Seen", 0.0) == 2
    assert mail.status("alice")[1] == 3
    assert [entry.uid for entry in mail.entries("alice")] == [2]
    assert mail.arrivals(0, 10) == [(1, "alice", 1), (2, "alice", 2)]


def test_nothing_is_written_once_the_disk_was_given_back(disk: ResourceDLL) -> None:
    mail = store(disk)
    call(disk.offline)
    with pytest.raises(FencedError):
        mail.deliver("bob@EVS1", ["alice"], [], b"too late")
    assert mail.entries("alice") == []
