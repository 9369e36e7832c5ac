"""The mail of a virtual server on its disk: SQLite databases, one a storage group.

All are written through one connection, so that a mail to several mailboxes is in all of them
or in none. A call that writes returns once the mail is on disk (rollback journal, FULL sync:
write-ahead logging needs memory shared between machines, which shared storage is not), and
is refused where the disk has passed to another epoch.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monitoring.resource_dlls.exchange.services.spool import SCHEMA as SPOOL_SCHEMA
from monitoring.resource_dlls.exchange.services.spool import Spool
from monitoring.resource_dlls.physical_disk import fence

COMMON = """
CREATE TABLE IF NOT EXISTS arrival (
    number INTEGER PRIMARY KEY AUTOINCREMENT, mailbox TEXT NOT NULL, uid INTEGER NOT NULL
);
"""
STORAGE_GROUP = """
CREATE TABLE IF NOT EXISTS {0}.mailbox (
    name TEXT PRIMARY KEY, validity INTEGER NOT NULL, next_uid INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {0}.message (
    mailbox TEXT NOT NULL, uid INTEGER NOT NULL, received REAL NOT NULL,
    flags TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (mailbox, uid)
);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as a list shows it: `flags` separated by blanks, `received` seconds since 1970."""

    uid: int
    size: int
    flags: str
    received: float


class MailStore:
    """Mailboxes and the queue of mail for elsewhere. Raises fence.FencedError once the disk has passed on."""

    def __init__(self, disk: Path, epoch: int, storage_groups: int, mailboxes: Sequence[str]) -> None:
        self._disk = disk
        self._epoch = epoch
        folder = disk / "mdbdata"
        folder.mkdir(exist_ok=True)
        with fence.writing(disk, epoch):
            self._db = connect(folder / "common.sqlite")
            self._db.executescript(COMMON + SPOOL_SCHEMA)
            groups = [f"sg{number}" for number in range(1, self._count(folder, storage_groups) + 1)]
            for group in groups:
                self._db.execute(f"ATTACH ? AS {group}", (str(folder / f"{group}.sqlite"),))
                self._db.executescript(STORAGE_GROUP.format(group))
                set_durable(self._db, group)
        self.outbound = Spool(self._db, self._writing)
        self._groups = self._place_mailboxes(groups, mailboxes)

    @staticmethod
    def _count(folder: Path, wanted: int) -> int:
        """Fewer storage groups than there are databases would hide mail: they stay."""
        return max(wanted, len(list(folder.glob("sg*.sqlite"))))

    def _place_mailboxes(self, groups: list[str], mailboxes: Sequence[str]) -> dict[str, str]:
        """The storage group of each mailbox; a new one goes to the group with the fewest."""
        found = {
            name: group
            for group in groups
            for (name,) in self._db.execute(f"SELECT name FROM {group}.mailbox")  # noqa: S608
        }
        with self._writing():
            for name in mailboxes:
                if name not in found:
                    group = min(groups, key=list(found.values()).count)
                    self._db.execute(
                        f"INSERT INTO {group}.mailbox (name, validity) VALUES (?, ?)",  # noqa: S608
                        (name, int(time.time())),
                    )
                    found[name] = group
        return {name: found[name] for name in mailboxes}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, on disk when the block ends, under the fence all the while."""
        with fence.writing(self._disk, self._epoch), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def check_owner(self) -> None:
        """Raise FencedError once the disk has passed on."""
        fence.check(self._disk, self._epoch)

    def check(self) -> None:
        """Raise where the databases do not answer."""
        self._db.execute("SELECT count(*) FROM arrival WHERE number = 0").fetchone()

    def has(self, mailbox: str) -> bool:
        return mailbox in self._groups

    def deliver(self, sender: str, local: Sequence[str], remote: Sequence[str], data: bytes) -> None:
        """Take a mail: into mailboxes here, and into the queue for recipients elsewhere."""
        with self._writing():
            for mailbox in local:
                self._insert(mailbox, data, "", time.time())
            if remote:
                self.outbound.insert(sender, remote, data)

    def append(self, mailbox: str, data: bytes, flags: str, received: float) -> int:
        """Put a message into a mailbox; its uid."""
        with self._writing():
            return self._insert(mailbox, data, flags, received)

    def _insert(self, mailbox: str, data: bytes, flags: str, received: float) -> int:
        group = self._groups[mailbox]
        (uid,) = self._db.execute(
            f"UPDATE {group}.mailbox SET next_uid = next_uid + 1 WHERE name = ? RETURNING next_uid - 1",  # noqa: S608
            (mailbox,),
        ).fetchone()
        self._db.execute(
            f"INSERT INTO {group}.message VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            (mailbox, uid, received, flags, len(data), data),
        )
        self._db.execute("INSERT INTO arrival (mailbox, uid) VALUES (?, ?)", (mailbox, uid))
        return int(uid)

    def status(self, mailbox: str) -> tuple[int, int]:
        """(UIDVALIDITY, next uid) of a mailbox (RFC 3501, 2.3.1.1)."""
        group = self._groups[mailbox]
        validity, next_uid = self._db.execute(
            f"SELECT validity, next_uid FROM {group}.mailbox WHERE name = ?",  # noqa: S608
            (mailbox,),
        ).fetchone()
        return int(validity), int(next_uid)

    def entries(self, mailbox: str) -> list[Entry]:
        """All messages of a mailbox, oldest first."""
        rows = self._db.execute(
            f"SELECT uid, size, flags, received FROM {self._groups[mailbox]}.message"  # noqa: S608
            " WHERE mailbox = ? ORDER BY uid",
            (mailbox,),
        )
        return [Entry(*row) for row in rows]

    def data(self, mailbox: str, uid: int) -> bytes | None:
        """The message as it was delivered, None where it was deleted."""
        row = self._db.execute(
            f"SELECT data FROM {self._groups[mailbox]}.message WHERE mailbox = ? AND uid = ?",  # noqa: S608
            (mailbox, uid),
        ).fetchone()
        return bytes(row[0]) if row else None

    def set_flags(self, mailbox: str, uid: int, flags: str) -> None:
        with self._writing():
            self._db.execute(
                f"UPDATE {self._groups[mailbox]}.message SET flags = ? WHERE mailbox = ? AND uid = ?",  # noqa: S608
                (flags, mailbox, uid),
            )

    def delete(self, mailbox: str, uids: Sequence[int]) -> None:
        with self._writing():
            self._db.executemany(
                f"DELETE FROM {self._groups[mailbox]}.message WHERE mailbox = ? AND uid = ?",  # noqa: S608
                [(mailbox, uid) for uid in uids],
            )

    def arrivals(self, after: int, limit: int) -> list[tuple[int, str, int]]:
        """(number, mailbox, uid) of what arrived after arrival number `after`, in order."""
        rows = self._db.execute(
            "SELECT * FROM arrival WHERE number > ? ORDER BY number LIMIT ?", (after, limit)
        )
        return [(number, mailbox, uid) for number, mailbox, uid in rows]


def connect(path: Path) -> sqlite3.Connection:
    """A database whose transactions are on disk once they have ended; they are begun explicitly."""
    database = sqlite3.connect(path, isolation_level=None)
    set_durable(database, "main")
    return database


def set_durable(database: sqlite3.Connection, schema: str) -> None:
    database.execute(f"PRAGMA {schema}.journal_mode = TRUNCATE")
    database.execute(f"PRAGMA {schema}.synchronous = FULL")
    database.execute(f"PRAGMA {schema}.cache_size = -512")  # KiB; the kernel caches the rest
